"""Which texts belong together: columns of prediction files, other runs' files, and raw ratings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import goemo_report as gr
from goemo_report.labels import EMOTIONS

HEADER = "text,id,rater_id," + ",".join(EMOTIONS)


def predictions(path: Path, seed: int, threads: list[str] | None, texts: int = 60) -> Path:
    """A file of texts in an order of its own."""
    generator = np.random.default_rng(seed)
    header = "text,true_labels,pred_labels,pred_probs_joy,pred_probs_love"
    lines = [f"{header},thread" if threads else header]
    for number in generator.permutation(texts).tolist():
        scores = generator.random(2).round(3)
        named = [name for name, one in zip(("joy", "love"), scores, strict=True) if one >= 0.5]
        cells = [f"t{number}", ("joy", "love")[number % 2], f'"{",".join(named)}"']
        cells += [*map(str, scores), *([threads[number]] if threads else [])]
        lines.append(",".join(cells))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


THREADS = [f"th{number // 4}" for number in range(60)]


def test_the_column_of_one_file_holds_for_all_runs(tmp_path: Path) -> None:
    one = predictions(tmp_path / "one.csv", 1, THREADS)
    two = predictions(tmp_path / "two.csv", 2, None)
    c = gr.compare(one, two, cluster="thread", resamples=100)
    for run in c.comparison.runs:
        of_text = dict(zip(run.predictions.texts, run.predictions.clusters, strict=True))
        assert of_text == {f"t{number}": THREADS[number] for number in range(60)}
    assert c.comparison.clusters.number == 15
    shown = c.document()
    assert "clusters:thread:15" in shown["signature"]
    assert "15 clusters of 60 texts" in str(shown)
    plain = gr.compare(one, two, resamples=100)
    assert not plain.comparison.runs[0].predictions.clusters
    assert plain.leaderboard["value"].tolist() == c.leaderboard["value"].tolist()
    bounds = [one.differences.query("metric == 'micro_f1'")["low"] for one in (plain, c)]
    assert bounds[0].tolist() != bounds[1].tolist()


def test_a_thread_for_each_text_gives_the_ordinary_report(tmp_path: Path) -> None:
    own = [f"th{number}" for number in range(60)]
    one = predictions(tmp_path / "one.csv", 1, own)
    two = predictions(tmp_path / "two.csv", 2, own)
    found, plain = (gr.compare(one, two, resamples=100, cluster=name) for name in ("thread", None))
    for table in ("leaderboard", "differences", "per_label"):
        assert getattr(found, table).equals(getattr(plain, table)), table


def test_raw_ratings_say_which_texts_belong_together(tmp_path: Path) -> None:
    one = predictions(tmp_path / "one.csv", 1, None)
    marks = ",".join("1" if name == "joy" else "0" for name in EMOTIONS)
    rows = [
        f"t{number},k{number},{rater},{marks},a{number // 10}"
        for number in range(50)
        for rater in (1, 2, 3)
    ]
    raw = tmp_path / "raw.csv"
    raw.write_text("\n".join((f"{HEADER},author", *rows)) + "\n", encoding="utf-8")
    c = gr.compare(one, raters=raw, cluster="author", resamples=100)
    assert c.comparison.clusters.number == 5 + 10  # ten texts have no rater: each on its own
    shown = c.document()
    assert "10 texts without one" in str(shown)
    assert c.raters["run"].tolist() == ["held-out rater", "one"]
    assert c.raters["macro_f1"].tolist()[0] == 0.5  # joy is right, love is never chosen
    [found] = shown["data"]["raters"].values()
    assert found["rater"]["f1"]["joy"]["value"] == 1.0
    assert (found["unrated"], found["gap"]["value"]) == (10, c.raters["difference"].tolist()[1])
    assert gr.compare(one, resamples=100).raters.empty


@pytest.mark.parametrize(
    ("threads", "column", "said"),
    [
        (THREADS, "author", r"one.csv: no column 'author' for any of the texts"),
        (["th"] * 60, "thread", r"all texts of .*one.csv are of one thread: 'th'"),
    ],
)
def test_clusters_that_cannot_be_used(
    threads: list[str], column: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(gr.DataError, match=said):
        gr.compare(predictions(tmp_path / "one.csv", 1, threads), cluster=column)


def test_files_that_disagree_are_refused_by_row(tmp_path: Path) -> None:
    others = [*THREADS[:-1], "elsewhere"]
    one = predictions(tmp_path / "one.csv", 1, THREADS)
    two = predictions(tmp_path / "two.csv", 2, others)
    with pytest.raises(
        gr.DataError, match=r"two.csv, row \d+: thread is 'elsewhere', but in .*one"
    ):
        gr.compare(one, two, cluster="thread")

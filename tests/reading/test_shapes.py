"""Every format and every shape of columns gives the same predictions, or says why not."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from goemo_report.errors import DataError
from goemo_report.labels import EKMAN, EMOTIONS, WITHOUT_NEUTRAL, set_of
from goemo_report.predictions import Predictions, read_predictions, write_predictions
from goemo_report.reading.names import Reading

CASES = Path(__file__).parents[3] / "shared" / "cases"
ROWS = 30


@pytest.fixture
def guide(tmp_path: Path) -> Predictions:
    generator = np.random.default_rng(5)
    truth = generator.random((ROWS, len(EMOTIONS))) < 0.1
    truth[:, 0] |= ~truth.any(axis=1)
    probabilities = generator.random(truth.shape).round(4)
    texts = [f'text {i}, with "quotes"; and marks' for i in range(ROWS)]
    write_predictions(tmp_path / "guide.csv", texts, truth, probabilities, 0.5, EMOTIONS)
    return read_predictions(tmp_path / "guide.csv")


def names(row: Any) -> list[str]:
    return [label for label, mark in zip(EMOTIONS, row, strict=True) if mark]


def same(found: Predictions, guide: Predictions, *, texts: bool = True) -> None:
    assert found.labels == guide.labels
    assert np.array_equal(found.truth, guide.truth)
    assert np.array_equal(found.predicted, guide.predicted)
    assert np.array_equal(found.probabilities, guide.probabilities)
    assert not texts or found.texts == guide.texts


def test_an_empty_cell_is_no_word_for_nothing(tmp_path: Path) -> None:
    rows = [
        {"text": f"t{i}", "true_labels": true, "pred_labels": predicted}
        for i, (true, predicted) in enumerate((("joy", None), (None, "joy"), ("love", "love")))
    ]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    found = read_predictions(tmp_path / "rows.json")
    assert found.truth.sum(axis=1).tolist() == [1, 0, 1]
    assert found.predicted.sum(axis=1).tolist() == [0, 1, 1]
    assert "is no label" not in " ".join(found.notes)
    (tmp_path / "words.json").write_text(json.dumps(rows).replace("null", '"none"'))
    assert "'none' is no label" in " ".join(read_predictions(tmp_path / "words.json").notes)


def as_npz(p: Predictions) -> bytes:
    buffer = io.BytesIO()
    np.savez(
        buffer, y_true=p.truth, y_prob=p.probabilities, labels=np.array(EMOTIONS), texts=p.texts
    )
    return buffer.getvalue()


def zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("test_predictions.csv", data)
    return buffer.getvalue()


def csv_of(p: Predictions, **options: Any) -> bytes:
    text: str = p.to_frame().to_csv(index=False, **options)
    return text.encode()


def parquet_of(p: Predictions, method: str = "to_parquet") -> bytes:
    buffer = io.BytesIO()
    getattr(p.to_frame(), method)(buffer)
    return buffer.getvalue()


FORMATS: dict[str, Callable[[Predictions], bytes]] = {
    "tabs": lambda p: csv_of(p, sep="\t"),
    "semicolons": lambda p: csv_of(p, sep=";", decimal=","),
    "bars": lambda p: csv_of(p, sep="|"),
    "gzip": lambda p: gzip.compress(csv_of(p)),
    "bzip2": lambda p: bz2.compress(csv_of(p)),
    "xz": lambda p: lzma.compress(csv_of(p, sep="\t")),
    "zip": lambda p: zipped(csv_of(p)),
    "parquet": parquet_of,
    "feather": lambda p: parquet_of(p, "to_feather"),
    "records": lambda p: p.to_frame().to_json(orient="records").encode(),
    "lines": lambda p: p.to_frame().to_json(orient="records", lines=True).encode(),
    "columns": lambda p: p.to_frame().to_json(orient="columns").encode(),
    "wandb table": lambda p: p.to_frame().to_json(orient="split", index=False).encode(),
    "npz": as_npz,
}


@pytest.mark.parametrize("form", FORMATS)
def test_formats_are_told_by_content(form: str, guide: Predictions, tmp_path: Path) -> None:
    path = tmp_path / "file.csv"  # whatever its ending says
    path.write_bytes(FORMATS[form](guide))
    same(read_predictions(path), guide)


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"tabs", "semicolons", "bars"}))
def test_what_is_cut_off_is_named_for_what_it_is(
    form: str, guide: Predictions, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    data = FORMATS[form](guide)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"cut off or damaged|not a whole|not a JSON object"):
        read_predictions(path)


def test_a_zip_file_that_lost_bytes_is_named(guide: Predictions, tmp_path: Path) -> None:
    data = zipped(csv_of(guide))
    (tmp_path / "a.zip").write_bytes(data[:60] + data[65:])
    with pytest.raises(DataError, match=r"a\.zip is not a whole zip file"):
        read_predictions(tmp_path / "a.zip")


def one_hot(p: Predictions, true: str, prob: str) -> pd.DataFrame:
    frame = pd.DataFrame({"text": p.texts})
    for i, label in enumerate(EMOTIONS):
        frame[true.format(label)] = p.truth[:, i].astype(int)
    for i, label in enumerate(EMOTIONS):
        frame[prob.format(label)] = p.probabilities[:, i]
    return frame


def listed(p: Predictions, cell: Callable[[Any], Any]) -> pd.DataFrame:
    frame = p.to_frame()
    for column, marks in (("true_labels", p.truth), ("pred_labels", p.predicted)):
        frame[column] = [cell(row) for row in marks.tolist()]
    return frame


SHAPES: dict[str, tuple[Callable[[Predictions], pd.DataFrame], str]] = {
    "one-hot": (lambda p: one_hot(p, "true_{}", "prob_{}"), "true labels, 0 or 1"),
    "bare": (lambda p: one_hot(p, "{}", "{}_prob"), "true labels, 0 or 1"),
    "python lists": (lambda p: listed(p, lambda row: str(names(row))), ""),
    "json lists": (lambda p: listed(p, lambda row: json.dumps(names(row))), ""),
    "ids": (
        lambda p: listed(p, lambda r: ",".join(str(i) for i, m in enumerate(r) if m)),
        "ids in the order admiration",
    ),
    "lists of ids": (
        lambda p: listed(p, lambda r: str([i for i, m in enumerate(r) if m])),
        "ids in the order admiration",
    ),
    "list of probabilities": (
        lambda p: pd.DataFrame(
            {
                "text": p.texts,
                "labels": [",".join(names(row)) for row in p.truth.tolist()],
                "probs": [str(row) for row in p.probabilities.tolist()],
            }
        ),
        "column probs",
    ),
    "without pred_labels": (lambda p: p.to_frame().drop(columns="pred_labels"), "at least 0.5"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_columns(shape: str, guide: Predictions, tmp_path: Path) -> None:
    make, note = SHAPES[shape]
    make(guide).to_csv(tmp_path / "file.csv", index=False)
    found = read_predictions(tmp_path / "file.csv")
    same(found, guide)
    assert note in " ".join(found.notes)


@pytest.mark.parametrize(("column", "first"), [("id", "id-0"), (None, "row 1")])
def test_rows_without_texts(
    column: str | None, first: str, guide: Predictions, tmp_path: Path
) -> None:
    frame = guide.to_frame().drop(columns="text")
    if column:
        frame.insert(0, column, [f"id-{i}" for i in range(ROWS)])
    frame.to_csv(tmp_path / "file.csv", index=False)
    found = read_predictions(tmp_path / "file.csv")
    same(found, guide, texts=False)
    assert found.texts[0] == first
    assert "no texts" in found.notes[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop(columns="true_labels"), "lacks 1 column: true_labels; it has 'text'"),
        (
            lambda f: f.assign(true_labels="99"),
            r"line 2 \(row 1\), column true_labels: '99' holds an id that is no label's",
        ),
        (lambda f: f.assign(true_labels="['mirth']"), "'mirth' is no emotion"),
        (
            lambda f: f.assign(true_labels='{"joy": 0.03, "love": 1}'),
            r"line 2 .*column true_labels.*'0\.03' for a label, neither 0 nor 1",
        ),
    ],
)
def test_what_cannot_be_understood_says_why(
    change: Callable[[pd.DataFrame], pd.DataFrame],
    said: str,
    guide: Predictions,
    tmp_path: Path,
) -> None:
    change(guide.to_frame()).to_csv(tmp_path / "file.csv", index=False)
    with pytest.raises(DataError, match=said):
        read_predictions(tmp_path / "file.csv")


@pytest.mark.skipif(not CASES.is_dir(), reason="needs the shared cases beside the repository")
@pytest.mark.parametrize(
    "name",
    ["tabs.csv", "semicolons.csv", "lists.csv", "ids.csv", "onehot.csv", "predictions.parquet",
     "predictions.jsonl", "majority.csv", "ekman.csv", "toxicity.csv"],
)  # fmt: skip
def test_the_cases_are_read(name: str) -> None:
    found = read_predictions(CASES / name)
    assert len(found) == 40
    assert found.label_set != EKMAN or name == "ekman.csv"


@pytest.mark.parametrize(
    ("header", "row", "alone"),
    [
        ("gold_joy,gold_fear,gold_love,p_joy,p_fear", "0,1,1,0.2,0.7", "gold_love"),
        ("gold_joy,gold_fear,p_joy,p_fear,p_love", "0,1,0.2,0.7,0.9", "p_love"),
        ("true_joy,true_fear,true_love,pred_joy,pred_fear", "0,1,1,0,1", "true_love"),
    ],
)
def test_a_column_without_partner_is_named(
    tmp_path: Path, header: str, row: str, alone: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"text,{header}\nhello,{row}\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"1 column without partner: '{alone}'"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("gold_joy,gold_fear,gold_love,p_joy,p_fear", "0,1,1,0.2,0.7", "'gold_love'.*labels="),
        ("gold_joy,gold_fear,p_joy,p_fear,p_love", "0,1,0.2,0.7,0.9", "'p_love'.*remove it"),
        ("gold_joy,gold_fear,p_love,p_pride", "0,1,0.2,0.7", "4 columns without partner"),
    ],
)
def test_a_pattern_drops_no_column(tmp_path: Path, header: str, row: str, words: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"text,{header}\nhello,{row}\n", encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read_predictions(path, reading=Reading(true="gold_{label}", prob="p_{label}"))


def test_labels_between_bars_or_semicolons_in_any_case(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "text,true_labels,pred_labels\na,Joy|love,joy\nb,joy; Fear,Fear;joy\n", encoding="utf-8"
    )
    found = read_predictions(path)
    assert found.labels == WITHOUT_NEUTRAL.labels
    names = [[found.labels[i] for i in row.nonzero()[0]] for row in found.truth]
    assert names == [["joy", "love"], ["fear", "joy"]]
    assert found.predicted.sum(axis=1).tolist() == [1, 2]


def test_arrays_without_names_are_in_the_order_asked_for(tmp_path: Path) -> None:
    truth = np.array([[0, 1, 0], [1, 0, 0]])
    np.savez(tmp_path / "a.npz", y_true=truth, y_prob=truth * 0.5 + 0.25)
    with pytest.raises(DataError, match="nothing names all labels"):
        read_predictions(tmp_path / "a.npz")
    asked = set_of(("red", "green", "blue"))
    found = read_predictions(tmp_path / "a.npz", reading=Reading(expected=(asked,)))
    by_name = dict(zip(found.labels, found.y_prob.T.tolist(), strict=True))
    assert by_name == {"red": [0.25, 0.75], "green": [0.75, 0.25], "blue": [0.25, 0.25]}


def test_columns_that_are_no_labels_need_no_partner(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    header = "text,gold_joy,gold_fear,gold_votes,p_joy,p_fear"
    path.write_text(f"{header}\nhello,0,1,7,0.2,0.7\n", encoding="utf-8")
    assert set(read_predictions(path).labels) == {"joy", "fear"}


@pytest.mark.parametrize("predicted", ["[0, 1]", "[1, 0]"])
def test_lists_of_two_marks_are_no_ids(tmp_path: Path, predicted: str) -> None:
    """Where each text carries one of two labels no list has a mark twice."""
    path = tmp_path / "a.csv"
    rows = [f'a,"[1, 0]","{predicted}",0.9,0.1', f'b,"[0, 1]","{predicted}",0.2,0.8']
    path.write_text("\n".join(["text,labels,predictions,p_joy,p_fear", *rows, ""]))
    found = read_predictions(path)
    assert found.on_labels(["joy", "fear"]).truth.tolist() == [[True, False], [False, True]]
    assert found.predicted.sum(axis=1).tolist() == [1, 1]
    path.write_text('text,labels,p_joy,p_fear\na,[1],0.9,0.1\nb,"[0, 1]",0.2,0.8\n')
    assert read_predictions(path).truth.sum(axis=1).tolist() == [1, 2]


def test_mappings_may_leave_out_what_is_not_marked(guide: Predictions, tmp_path: Path) -> None:
    frame = listed(guide, lambda row: dict.fromkeys(names(row), 1))
    for method, name in (("to_json", "a.jsonl"), ("to_parquet", "a.parquet")):
        options = {"orient": "records", "lines": True} if method == "to_json" else {}
        getattr(frame, method)(tmp_path / name, **options)
        same(read_predictions(tmp_path / name), guide)


def test_numbers_without_end_are_no_ids(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,true_labels,pred_probs_a,pred_probs_b\nx,inf,0.5,0.2\n")
    with pytest.raises(DataError, match="'inf' is no id of the 2 labels"):
        read_predictions(path)


def test_ids_count_in_the_order_that_the_note_says(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    columns = [f"p_{label}" for label in reversed(EKMAN.labels)]
    path.write_text(f'text,labels,{",".join(columns)}\na,"[0, 3]",{",".join(["0.5"] * 7)}\n')
    found = read_predictions(path)
    assert [found.labels[at] for at in found.truth[0].nonzero()[0]] == ["anger", "joy"]
    assert "column labels: ids in the order anger, disgust, fear, ..." in found.notes

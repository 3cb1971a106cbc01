"""Model cards: what the hub's own library reads in them, and that data stays data."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from huggingface_hub import EvalResult, ModelCard
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined] # it is public

import goemo_report as gr
from goemo_report.card.body import render_card
from goemo_report.card.facts import Card
from goemo_report.cli import goemo_report
from goemo_report.labels import EMOTIONS, GOEMOTIONS, SPLIT_SAMPLES
from goemo_report.metrics.scores import score
from goemo_report.results import RunResult
from goemo_report.results.loading import load_results
from goemo_report.sources.offline_logs.source import LogSource
from goemo_report.thresholds.protocols import tuned_per_class

assert GOEMOTIONS.data is not None
HUB_DATASET = GOEMOTIONS.data.hub
HUB_METRICS = {"roc_auc", "f1", "precision", "recall", "accuracy"}
HOSTILE = "a: b # c\n---\nlicense: mit\n\"'{{x}} <script>|*_`[l](u) \x1b[2J\u202e\ufffe\U0001f600"


@pytest.fixture(scope="module")
def result(offline_root: Path) -> RunResult:
    source = LogSource(offline_root)
    return load_results(source, [source.find_run("robertalarges1")])[0]


def data(card: ModelCard) -> Any:
    """The front matter; the library leaves it untyped."""
    return card.data


def parsed(card: Card) -> ModelCard:
    return ModelCard(render_card(card))


def evaluations(card: ModelCard) -> dict[str, EvalResult]:
    assert data(card).eval_results is not None
    return {str(item.metric_name): item for item in data(card).eval_results}


def test_the_hub_reads_the_results(result: RunResult) -> None:
    card = parsed(Card(result, "apache-2.0"))
    assert data(card).license == "apache-2.0"
    assert data(card).language == ["en"]
    assert data(card).base_model == "FacebookAI/roberta-large"
    assert data(card).datasets == [HUB_DATASET]
    assert data(card).library_name == "transformers"
    assert data(card).pipeline_tag == "text-classification"
    found = evaluations(card)
    test = result.splits["test"]
    assert found["Micro AUC"].metric_value == pytest.approx(test.scores.overall["micro_auc"], 1e-5)
    macro = found["Macro F1 (threshold 0.5)"]
    assert macro.metric_value == pytest.approx(test.scores.overall["macro_f1"], abs=1e-6)
    assert (macro.metric_type, macro.task_type) == ("f1", "text-classification")
    assert (macro.dataset_type, macro.dataset_config, macro.dataset_split) == (
        HUB_DATASET, "simplified", "test",
    )  # fmt: skip
    choice = tuned_per_class(result.splits["val"].predictions)
    p = test.predictions
    tuned = score(p.truth, p.probabilities, p.labels, choice.thresholds)  # type: ignore[arg-type] # tuned
    assert found["Macro F1 (thresholds tuned on validation)"].metric_value == pytest.approx(
        tuned.overall["macro_f1"], abs=1e-6
    )
    assert {item.metric_type for item in found.values()} == HUB_METRICS
    assert data(card).to_dict()["model-index"][0]["name"] == "roberta-large-goemotions"


def test_the_hub_writes_the_same_front_matter_again(result: RunResult) -> None:
    card = parsed(Card(result, "mit"))
    again = ModelCard(str(card))
    assert data(again).to_dict() == data(card).to_dict()
    assert data(again).eval_results == data(card).eval_results


def test_the_body_has_every_emotion_its_interval_and_its_threshold(result: RunResult) -> None:
    text = parsed(Card(result)).text
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == [
        *("Intended use", "Data", "Training configuration", "Results", "Thresholds"),
        *("Limitations", "Environment", "Reproduce", "Citation"),
    ]
    rows = dict(re.findall(r"^\| (\w+) \| (.+) \|$", text, re.MULTILINE))
    scores = result.splits["test"].scores
    for j, emotion in enumerate(EMOTIONS):
        cells = rows[emotion].split(" | ")
        assert cells[0] == str(scores.counts.support[j])
        assert cells[3].startswith(f"{scores.counts.metric('f1')[j]:.3f}")
        assert cells[3].endswith("]</sub>")
    code = re.search(r"```python\n(.+?)\n```", text, re.DOTALL)
    assert code is not None
    compile(code[1], "card", "exec")
    assert all(f'"{emotion}": ' in code[1] for emotion in EMOTIONS)
    assert "goemo-train --model FacebookAI/roberta-large" in text
    assert "@inproceedings{demszky" in text


def test_the_interval_at_tuned_thresholds_is_that_of_the_report(
    result: RunResult, offline_root: Path
) -> None:
    found = gr.compare(gr.runs("robertalarges1", wandb_dir=offline_root)).comparison.runs[0]
    bounds, text = Card(result).tuned_bounds, parsed(Card(result)).text
    assert bounds is not None
    assert bounds["macro_f1"] == found.tuned_interval
    assert "holds the choice of the thresholds" in text


def test_limitations_follow_from_the_numbers(result: RunResult) -> None:
    said = render_card(Card(result))
    support = result.splits["test"].scores.counts.support
    rare = [f"{name} ({n})" for name, n in zip(EMOTIONS, support, strict=True) if 0 < n < 50]
    assert f"Fewer than 50 texts carry {', '.join(rare[:12])}" in said
    assert "one seed" in said
    split = result.splits["test"]
    quiet = replace(split, scores=score(
        split.predictions.truth, split.predictions.probabilities / 3, split.labels,
    ))  # fmt: skip
    card = Card(replace(result, splits={"test": quiet}))
    said = render_card(card)
    assert "At 0.5 it never predicts admiration" in said
    assert "no validation predictions" in render_card(card)


def test_hostile_text_stays_text(result: RunResult) -> None:
    config: dict[str, Any] = {
        **result.run.config, "dataset_name": HOSTILE, "dropout": HOSTILE, "model_name": HOSTILE,
    }  # fmt: skip
    url = 'https://wandb.ai/x") [click](javascript:1)\n---'
    run = replace(result.run, config=config, name=HOSTILE, id=HOSTILE, url=url)
    text = render_card(Card(replace(result, run=run), name=HOSTILE))
    assert "\x1b" not in text
    assert "\u202e" not in text
    front = yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))
    assert front["license"] == "unknown"
    assert front["model-index"][0]["name"].startswith("a: b # c --- license: mit \"'{{x}}")
    card = ModelCard(text)
    assert data(card).license == "unknown"
    outside = re.sub(r"(`+).+?\1", "", re.sub(r"```.+?```", "", card.text, flags=re.DOTALL))
    assert "<script>" not in outside
    assert "[l](u)" not in outside
    assert "](javascript" not in outside


def test_another_data_set_is_not_called_goemotions(result: RunResult) -> None:
    run = replace(result.run, config={**result.run.config, "dataset_name": "demo"})
    card = parsed(Card(replace(result, run=run)))
    assert data(card).datasets is None
    assert {item.dataset_type for item in evaluations(card).values()} == {"demo"}


def test_the_command_names_no_private_path(result: RunResult) -> None:
    config = {**result.run.config, "model": "/home/me/.venv/best", "dataset": "go_emotions"}
    private = replace(result, run=replace(result.run, config=config))
    text = render_card(Card(private))
    assert "/home/me" not in text
    assert "goemo-train --model roberta-large " in text
    assert "What `--model` names was a directory of the machine that trained it" in text
    text = render_card(Card(private, base="me/mine"))
    assert "goemo-train --model me/mine " in text
    assert "was a directory" not in text


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("demo", "demo"),
        ("me/my-texts_2.0", "me/my-texts_2.0"),
        ("my own texts", "other"),
        ("../texts", "other"),
        ("a/b/c", "other"),
        ("two--dashes", "other"),
        ("texts.git", "other"),
        ("t" * 97, "other"),
    ],
)
def test_the_type_of_a_data_set_is_a_name_that_the_hub_takes(
    result: RunResult, name: str, kind: str
) -> None:
    run = replace(result.run, config={**result.run.config, "dataset_name": name})
    for found in evaluations(parsed(Card(replace(result, run=run)))).values():
        assert (found.dataset_type, found.dataset_name) == (kind, name)
        validate_repo_id(found.dataset_type)


def test_a_part_of_the_official_split_is_said(
    result: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = result.splits["test"].scores.rows
    names = {item.dataset_name for item in evaluations(parsed(Card(result))).values()}
    assert names == {f"GoEmotions ({rows} of the 5,427 test texts)"}
    assert f"evaluated on {rows} of the 5,427 test texts" in render_card(Card(result))
    monkeypatch.setitem(SPLIT_SAMPLES, "test", rows)
    names = {item.dataset_name for item in evaluations(parsed(Card(result))).values()}
    assert names == {"GoEmotions"}
    assert "evaluated on" not in render_card(Card(result))


class TestCommand:
    @pytest.fixture(autouse=True)
    def nothing_set(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("WANDB_MODE", raising=False)
        monkeypatch.chdir(tmp_path)

    def test_writes_a_file_whole(self, offline_root: Path, tmp_path: Path) -> None:
        arguments = ["card", "robertalarges1", "--wandb-dir", str(offline_root)]
        options = ["--license", "mit", "--base-model", "me/mine", "--name", "n", "-o", "README.md"]
        done = CliRunner().invoke(goemo_report, [*arguments, *options])
        assert done.exit_code == 0, done.stderr
        card = ModelCard.load(tmp_path / "README.md")
        assert (data(card).license, data(card).base_model) == ("mit", "me/mine")
        assert data(card).model_name == "n"

    def test_says_where_a_licence_is_missing_and_refuses_what_is_none(
        self, offline_root: Path
    ) -> None:
        arguments = ["card", "robertalarges1", "--wandb-dir", str(offline_root)]
        done = CliRunner().invoke(goemo_report, arguments)
        assert done.stderr == "note: the card names no licence; give --license\n"
        assert data(ModelCard(done.stdout)).license == "unknown"
        wrong = CliRunner().invoke(goemo_report, [*arguments, "--license", "my own: terms"])
        assert wrong.exit_code == 2

    def test_replicate_prints_the_command_alone(self, offline_root: Path) -> None:
        arguments = ["show", "robertalarges1", "--wandb-dir", str(offline_root), "--replicate"]
        done = CliRunner().invoke(goemo_report, arguments)
        assert done.stdout.count("\n") == 1
        assert done.stdout.startswith("goemo-train --model FacebookAI/roberta-large ")
        assert "another trainer" in done.stderr


def test_the_card_of_labels_alone_claims_no_training_and_no_threshold(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,true_labels,pred_labels\na,joy,joy\nb,grief,joy\n", encoding="utf-8")
    shown = CliRunner().invoke(goemo_report, ["card", str(path)])
    assert shown.exit_code == 0, shown.output
    assert "Macro F1 (as predicted)" in shown.stdout
    for claim in (
        "t 0.5",
        "d 0.5",
        "AUC",
        "roc_auc",
        "transformers",
        "fine-tuned",
        "goemo-train",
        "seed",
    ):
        assert claim not in shown.stdout


def test_the_card_of_a_run_claims_no_more_than_its_config_and_files_show(result: RunResult) -> None:
    files = tuple(one for one in result.artifacts if one.role != "checkpoint")
    other = replace(result.run, config={"prompt": "few-shot", "random_seed": 1}, name="org/llm-1")
    text = render_card(Card(replace(result, run=other, artifacts=files)))
    for claim in ("transformers", "fine-tuned", "base_model", "trained", "goemo-train", "one seed"):
        assert claim not in text.replace("not trained on", ""), claim
    assert "neither a checkpoint nor a training setting" in text
    trained = replace(other, config={"learning_rate": 1e-5, "_name_or_path": "org/encoder"})
    text = render_card(Card(replace(result, run=trained, artifacts=files)))
    assert 'library_name: "transformers"' in text
    assert '"org/encoder"' in text
    assert "fine-tuned" in text

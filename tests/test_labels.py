"""Label sets: what is known about labels, and that no output claims more than that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from goemo_report import labels as label_sets
from goemo_report.cli import goemo_report
from goemo_report.errors import DataError
from goemo_report.labels import (
    EKMAN,
    GOEMOTIONS,
    LABEL_SETS,
    SENTIMENT,
    WITHOUT_NEUTRAL,
    Board,
    DataSet,
    LabelSet,
    PublishedResult,
    check_label,
    configured_set,
    guess,
    logged_set,
    set_of,
)
from tests.conftest import MakeOnce
from tests.offline_runs import OfflineRun, make_runs

OWN = ("very_toxic", "<script>alert(1)</script>", "loss")
"""Labels that nobody knows, and that are not what they look like."""
TOXICITY = LabelSet(
    "toxicity",
    ("toxic", "insult", "threat"),
    "toxicity",
    "Comments",
    data=DataSet(
        "comments",
        "Comments",
        "owner/comments",
        {"train": 200, "val": 60, "test": 60},
        language="de",
        tag="hate-speech",
        use="Finding comments that hurt.",
        description="comments under news.",
        citation="@misc{comments}",
        repeats="greetings",
    ),
    board=Board((PublishedResult("fastText", "README", "fixed 0.5", "https://x.org", 0.61),), 0.07),
    tag="toxicity-detection",
)
"""A set that is known with a data set of its own, once LABEL_SETS has it."""
SETS = {
    "goemotions": GOEMOTIONS.labels,
    "neutral-free": WITHOUT_NEUTRAL.labels,
    "ekman": EKMAN.labels,
    "sentiment": SENTIMENT.labels,
    "own": OWN,
    "toxicity": TOXICITY.labels,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "neutral-free": {"val_samples": 56, "test_samples": 55},
    "toxicity": {"dataset_name": "comments"},
}
_GOEMOTIONS = r"goemotions|go_emotions|reddit|5,427|43,?410|\b(27|28) (labels|emotions)"
CLAIMS = {
    "ekman": rf"{_GOEMOTIONS}|\blabel: F1",
    "sentiment": rf"{_GOEMOTIONS}|emotion|ekman|demszky",
    "own": rf"{_GOEMOTIONS}|emotion|ekman|sentiment|demszky",
    "toxicity": rf"{_GOEMOTIONS}|emotion|ekman|sentiment|demszky|toxicitys|thanks",
}
"""What no text about such runs may say."""


@pytest.fixture(scope="session")
def every_set(make_once: MakeOnce) -> Path:
    """Two runs of each label set, tagged with its name. Read only."""
    runs = [
        OfflineRun(
            model=model,
            seed=1,
            quality=quality,
            run_id=f"{name}-{model[:4]}",
            tags=(model, "training", "final", name),
            project="texts",
            texts=60,
            exclude_neutral=name == "neutral-free",
            config=CONFIGS.get(name, {}),
            own_labels=() if labels in (GOEMOTIONS.labels, WITHOUT_NEUTRAL.labels) else labels,
        )
        for name, labels in SETS.items()
        for model, quality in (("distilbert-base", 0.5), ("roberta-large", 0.8))
    ]
    return make_once("label-sets", lambda root: make_runs(root, runs))


def run(root: Path, *arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(goemo_report, [*arguments, "--wandb-dir", str(root)])
    assert done.exit_code == code, done.stderr
    return done.stdout if arguments[-1] == "json" else done.stdout + done.stderr


@pytest.fixture
def toxicity(monkeypatch: pytest.MonkeyPatch) -> None:
    """TOXICITY is a known set."""
    monkeypatch.setattr(label_sets, "LABEL_SETS", (*LABEL_SETS, TOXICITY))


def texts(value: Any) -> Iterator[str]:
    """Text that people read in a JSON document: no keys, and no ids and names of columns."""
    if isinstance(value, dict):
        for key, held in value.items():
            if key not in {"id", "key", "row_header", "origin", "command", "source"}:
                yield from texts(held)
    elif isinstance(value, list):
        for held in value:
            yield from texts(held)
    elif isinstance(value, str):
        yield value


def visible(document: str) -> str:
    """The text of an HTML, Markdown or JSON document, without ids, links and scripts."""
    if document.startswith(("{", "[")):
        return "\n".join(texts(json.loads(document)))
    for hidden in (r"<script.*?</script>", r"<style.*?</style>", r"<[^>]+>"):
        document = re.sub(hidden, " ", document, flags=re.DOTALL)
    return document


# --- The value ------------------------------------------------------------------------


def test_known_sets_are_found_in_any_order_and_others_keep_theirs() -> None:
    assert [len(known.labels) for known in LABEL_SETS] == [28, 27, 7, 4]
    for known in LABEL_SETS:
        assert set_of(reversed(known.labels)) is known
        assert LabelSet.of(known.labels) is known
        turned = LabelSet.of(known.labels[::-1])
        assert turned.labels == known.labels[::-1]
        assert (turned.noun, turned.data) == (known.noun, known.data)
    own = set_of(OWN)
    assert (own.labels, own.name, own.noun, own.nouns) == (OWN, "3 labels", "label", "labels")
    assert replace(TOXICITY, plural="toxics").nouns == "toxics"
    assert (own.data, own.board, own.groupings, own.task) == (
        None, None, (), "multi-label classification",
    )  # fmt: skip
    six = set_of(EKMAN.labels[:-1])
    assert (six.noun, six.data) == ("label", None)


def test_what_is_known_goes_together() -> None:
    assert GOEMOTIONS.board
    assert not WITHOUT_NEUTRAL.board
    assert GOEMOTIONS.own_data is WITHOUT_NEUTRAL.own_data is EKMAN.data is SENTIMENT.data
    assert EKMAN.own_data is SENTIMENT.own_data is None
    sentiment, ekman = GOEMOTIONS.groupings
    assert tuple(ekman.groups) == EKMAN.labels
    assert tuple(sentiment.groups) == SENTIMENT.labels
    assert (ekman.group_of("grief"), ekman.group_of("nothing")) == ("sadness", "")
    for name in EKMAN.labels:  # both ways from 28 labels to sentiment agree
        [group] = {sentiment.group_of(member) for member in ekman.groups[name]}
        assert EKMAN.groupings[0].group_of(name) == group


def test_a_part_keeps_its_noun_and_has_no_board() -> None:
    part = GOEMOTIONS.only(("joy", "anger"))
    assert (part.name, part.noun, part.board) == ("2 emotions", "emotion", None)
    assert part.by_group() == (("positive", ("joy",)), ("negative", ("anger",)))
    assert LabelSet.of(OWN).by_group() == (("", OWN),)


@pytest.mark.parametrize("name", ["", " a", "a ", "a,b", "a\nb", "a\x1b[2J", "a\u202eb", "micro"])
def test_names_that_files_cannot_carry(name: str) -> None:
    with pytest.raises(DataError, match=r"^here: the label "):
        check_label(name, "here")
    for fine in ("very toxic", "hate/speech", 'say "no"', "=1+1", "<b>", "日本語"):
        check_label(fine, "here")


def test_labels_are_read_off_logged_metrics() -> None:
    keys = [f"test/{s}_{label}" for label in OWN for s in ("f1", "recall")]
    found = logged_set([*keys, "test/f1_macro", "test/precision_macro", "test/f1_at_5", "val/f1_a"])
    assert found is not None
    assert found.labels == OWN
    assert logged_set(["test/macro_f1", "test/auc"]) is None


@pytest.mark.usefixtures("toxicity")
def test_what_is_meant_by_some_of_the_labels() -> None:
    for names, count, meant in (
        (["joy", "gratitude"], 0, WITHOUT_NEUTRAL),
        (["gratitude", "neutral"], 0, GOEMOTIONS),
        (["joy", "fear"], 0, None),  # those of Ekman as well
        (["positive", "negative"], 0, None),  # of sentiment, which has no data set of its own
        (["joy", "threat"], 0, None),
        ([], 0, None),
        (["threat"], 0, TOXICITY),
        ([], 28, GOEMOTIONS),
        ([], 27, WITHOUT_NEUTRAL),
        ([], 7, None),  # seven of anything
        ([], 3, None),
        (["joy", "fear"], 7, EKMAN),
        (["positive"], 4, SENTIMENT),
        (["insult"], 3, TOXICITY),
        (["insult"], 4, None),
    ):
        assert guess(names, count) is meant, (names, count)


@pytest.mark.usefixtures("toxicity")
def test_what_a_config_means() -> None:
    for number, dataset, meant in (
        (28, "go_emotions", GOEMOTIONS),
        (27, "google-research-datasets/go_emotions", WITHOUT_NEUTRAL),
        (28, "demo", GOEMOTIONS),
        (None, None, GOEMOTIONS),  # the guide's
        (3, "owner/comments", TOXICITY),
        (None, "comments", TOXICITY),
        (28, "comments", None),
        (3, "demo", None),
        (None, "demo", None),
        (3, None, None),
    ):
        assert configured_set(number, dataset) is meant, (number, dataset)


# --- What commands say ------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_every_command_takes_every_label_set(
    every_set: Path, tmp_path: Path, name: str, request: pytest.FixtureRequest
) -> None:
    if name == "toxicity":
        request.getfixturevalue("toxicity")
    labels, best = SETS[name], f"{name}-robe"
    said = [
        run(every_set, "metrics", best),
        run(every_set, "metrics", best, "--format", "md"),
        run(every_set, "card", best, "--license", "mit"),
        run(every_set, "audit", best),
        run(every_set, "audit", best, "--format", "json"),
        run(every_set, "check", best, "--fail-under", f"f1_{labels[0]}=0.1"),
        run(every_set, "check", best, "--fail-under", "f1_nothing=0.1", code=2),
        run(every_set, "show", best),
    ]
    shown = json.loads(run(every_set, "metrics", best, "--format", "json"))
    assert shown["labels"] == [row["emotion"] for row in shown["per_class"]] == list(labels)
    assert all(row["support"] for row in shown["per_class"])
    run(every_set, "thresholds", best, "-o", str(tmp_path / "t.json"))
    [entry] = json.loads((tmp_path / "t.json").read_text())["entries"]
    assert entry["labels"] == list(labels)
    header = run(every_set, "metrics", best, "--format", "csv").partition(",")[0]
    assert header == "emotion"
    audited = json.loads(run(every_set, "audit", best, "--format", "json"))["runs"][0]["findings"]
    assert not [one for one in audited if one["severity"] == "error"]
    run(every_set, "compare", "--tag", name, "-o", str(tmp_path), "--name", "r")
    written = {form: (tmp_path / f"r.{form}").read_text("utf-8") for form in ("html", "md", "json")}
    assert not re.search(r"<script>\s*alert", written["html"] + written["md"])
    claim = re.compile(CLAIMS.get(name, r"$^"), re.IGNORECASE)
    for text in map(visible, (*said, *written.values())):
        assert not claim.search(text), text[claim.search(text).start() - 80 :][:200]  # type: ignore[union-attr] # found
    assert ("GoEmotions" in visible(written["md"])) == (name not in CLAIMS)
    for section in json.loads(written["json"])["sections"]:
        for block in section["blocks"]:
            assert block.get("rows", True), block["id"]
            assert (block.get("table") or {}).get("rows", True), block["id"]


@pytest.mark.usefixtures("toxicity")
def test_a_known_set_is_spoken_of_in_its_own_words(every_set: Path, tmp_path: Path) -> None:
    card = run(every_set, "card", "toxicity-robe", "--license", "mit")
    for said in (
        'language:\n- "de"\n',
        'datasets:\n- "owner/comments"\ntags:\n- "toxicity-detection"\n',
        '- "hate-speech"\n',
        "multi-label toxicity classification with 3 labels on Comments",
        "\nFinding comments that hurt.\n",
        "[Comments](https://huggingface.co/datasets/owner/comments): comments under news.\n",
        "```bibtex\n@misc{comments}\n```",
        "macro averages over toxicities.",
    ):
        assert said in card
    run(every_set, "compare", "--tag", "toxicity", "-o", str(tmp_path), "--name", "r")
    report = (tmp_path / "r.md").read_text("utf-8")
    assert "| fastText | [README](https://x.org) | fixed 0.5 | 0.610 |" in report
    assert "this split is about \u00b10.07 (95%), that of a gap between two rows up to" in report
    assert "Repeats are part of Comments (greetings); above" in report
    audited = json.loads(run(every_set, "audit", "toxicity-dist", "--format", "json"))["runs"][0]
    assert not [one for one in audited["findings"] if one["rule"] == "run-project"]
    odd = tmp_path / "odd"
    config = {"dataset_name": "comments", "train_samples": 199}
    make_runs(odd, [OfflineRun(own_labels=TOXICITY.labels, run_id="odd", texts=60, config=config)])
    [found] = [
        one
        for one in json.loads(run(odd, "audit", "odd", "--format", "json"))["runs"][0]["findings"]
        if one["rule"] == "dataset-size"
    ]
    assert found["requires"].startswith("A run on comments uses its official splits: 200 train, 60")
    file = tmp_path / "names.csv"
    rows = [f"text {n},{name},{name}" for n, name in enumerate(("threat", "insult") * 5)]
    file.write_text("\n".join(("text,true_labels,pred_labels", *rows)))
    for more in (), ("--labels", "toxicity"):
        shown = json.loads(run(tmp_path, "metrics", str(file), *more, "--format", "json"))
        assert shown["labels"] == list(TOXICITY.labels)
    refused = run(tmp_path, "metrics", str(file), "--labels", "nothing", code=1)
    assert "goemotions, ekman, sentiment and toxicity" in refused


def test_help_names_the_known_sets() -> None:
    said = " ".join(CliRunner().invoke(goemo_report, ["metrics", "--help"]).output.split())
    assert f"must have: {', '.join(label_sets.named_sets())}, or a file of names" in said


def test_ekman_labels_on_goemotions_are_said_to_be_so(tmp_path: Path) -> None:
    config = {"dataset_name": "google-research-datasets/go_emotions"}
    made = OfflineRun(own_labels=EKMAN.labels, run_id="e", texts=60, config=config)
    make_runs(tmp_path, [made])
    card = run(tmp_path, "card", "e", "--license", "mit")
    assert '- "google-research-datasets/go_emotions"' in card
    assert "Here they are put together as 7 emotions." in card
    assert 'GoEmotions (60 of the 5,427 test texts)"' in card
    odd = run(tmp_path, "audit", "e")
    assert "train_samples is 200, not 43410" in odd

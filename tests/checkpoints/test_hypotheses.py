"""The mistake behind a difference: each is named, and no other with it."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from goemo_report.checkpoints.checkpoint import Checkpoint, Precision, sigmoid
from goemo_report.checkpoints.hypotheses import Evidence, Trial, sampled, try_all
from goemo_report.checkpoints.verify import TOLERANCES
from goemo_report.labels import EMOTIONS
from goemo_report.metrics.arrays import FloatArray
from goemo_report.predictions import Predictions
from tests.checkpoints.conftest import blamed

ROWS = 24


@pytest.fixture(scope="module")
def texts(stated: Predictions) -> tuple[str, ...]:
    """Longer than 32 tokens, most of them, and none like another."""
    return tuple(" ".join(stated.texts[i : i + 5]) for i in range(ROWS))


@pytest.fixture(scope="module")
def logits(loaded: Checkpoint, texts: tuple[str, ...]) -> FloatArray:
    return loaded.predict(texts)


def first(
    loaded: Checkpoint, texts: tuple[str, ...], logits: FloatArray, stated: FloatArray
) -> Trial:
    return tried(loaded, texts, logits, stated)[0]


def tried(
    loaded: Checkpoint, texts: tuple[str, ...], logits: FloatArray, stated: FloatArray
) -> list[Trial]:
    return try_all(Evidence(loaded, texts, stated, logits, 1e-4, TOLERANCES, 128, 32))


def test_alphabetical_columns(
    loaded: Checkpoint, texts: tuple[str, ...], logits: FloatArray
) -> None:
    order = [EMOTIONS.index(name) for name in sorted(EMOTIONS)]
    found = first(loaded, texts, logits, sigmoid(logits)[:, order])
    assert found.explains
    assert found.finding == "the file's columns are in alphabetical order"


def test_rows_that_are_merely_near_another_are_in_no_order(
    loaded: Checkpoint, texts: tuple[str, ...], logits: FloatArray
) -> None:
    wrong = sigmoid(logits)
    wrong[1:20] = wrong[0]  # one text's probabilities, many times
    assert blamed(tried(loaded, texts, logits, wrong)) == set()
    twice = (*texts, *texts)  # texts that are there twice may change places
    doubled = np.concatenate([logits, logits])
    trials = tried(loaded, twice, doubled, np.roll(sigmoid(doubled), 1, axis=0))
    assert blamed(trials) == {"row order"}


def test_shuffled_rows(loaded: Checkpoint, texts: tuple[str, ...], logits: FloatArray) -> None:
    found = first(loaded, texts, logits, np.roll(sigmoid(logits), 1, axis=0))
    assert found.explains
    assert found.name == "row order"
    assert found.finding.startswith(f"{ROWS} of {ROWS} rows")


def test_softmax(loaded: Checkpoint, texts: tuple[str, ...], logits: FloatArray) -> None:
    powers = np.exp(logits)
    found = first(loaded, texts, logits, powers / powers.sum(axis=1, keepdims=True))
    assert (found.name, found.explains) == ("softmax", True)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *(("maximum length", {"max_length": n}) for n in (3, 8, 16, 24, 32, 41)),
        ("tokenizer: special tokens", {"special_tokens": False}),
        ("padding", {"masked": False, "max_length": 128}),
    ],
)
def test_other_ways_to_predict(
    loaded: Checkpoint,
    texts: tuple[str, ...],
    logits: FloatArray,
    name: str,
    settings: dict[str, int],
) -> None:
    wrong = sigmoid(loaded.predict(texts, **settings))  # type: ignore[arg-type] # a mix of kinds
    assert np.abs(wrong - sigmoid(logits)).max() > 1e-4, "the mistake makes no difference"
    trials = tried(loaded, texts, logits, wrong)
    assert (trials[0].name, trials[0].explains) == (name, True)
    assert blamed(trials) == {name}
    if name == "maximum length":
        said = f"the file's texts were cut after {settings['max_length']} tokens, not 128"
        assert trials[0].finding == said


def test_texts_that_were_cut_later_than_said(
    loaded: Checkpoint, texts: tuple[str, ...], logits: FloatArray
) -> None:
    short = loaded.predict(texts, max_length=20)
    for stated, said in (
        (logits, f"cut after {loaded.lengths(texts).max()} tokens or more, not 20"),
        (loaded.predict(texts, max_length=30), "cut after 30 tokens, not 20"),
    ):
        evidence = Evidence(loaded, texts, sigmoid(stated), short, 1e-4, TOLERANCES, 20, 32)
        trials = try_all(evidence)
        assert blamed(trials) == {"maximum length"}
        assert trials[0].finding.endswith(said)


def test_few_texts_that_were_cut_are_no_half_precision(
    loaded: Checkpoint, stated: Predictions
) -> None:
    """Many texts, nearly all of them shorter than the cut: little is moved."""
    lengths = loaded.lengths(stated.texts)
    cut = int(np.sort(lengths)[-8])
    logits = loaded.predict(stated.texts)
    wrong = sigmoid(loaded.predict(stated.texts, max_length=cut))
    trials = tried(loaded, stated.texts, logits, wrong)
    assert blamed(trials) == {"maximum length"}
    assert trials[0].finding == f"the file's texts were cut after {cut} tokens, not 128"


def test_lower_case(loaded: Checkpoint, texts: tuple[str, ...]) -> None:
    shouted = tuple(text.upper() for text in texts)
    wrong = sigmoid(loaded.predict([text.lower() for text in shouted]))
    found = first(loaded, shouted, loaded.predict(shouted), wrong)
    assert (found.name, found.explains) == ("tokenizer: case", True)


def test_dropout_is_known_by_its_size(
    loaded: Checkpoint, texts: tuple[str, ...], logits: FloatArray
) -> None:
    torch.manual_seed(7)
    wrong = sigmoid(loaded.predict(texts, dropout=True))
    found = first(loaded, texts, logits, wrong)
    assert (found.name, found.explains) == ("dropout", True)
    assert blamed(tried(loaded, texts, logits, wrong)) == {"dropout"}
    doubled = sigmoid(logits) + 2 * (wrong - sigmoid(logits))
    assert not first(loaded, texts, logits, doubled).explains
    size = np.abs(wrong - sigmoid(logits)).mean(axis=0)  # as large, but always upwards
    assert not first(loaded, texts, logits, sigmoid(logits) + size).explains


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("kind", ["sums", "weights"])
def test_half_precision(
    loaded: Checkpoint, stated: Predictions, precision: Precision, kind: str
) -> None:
    """Repeated, or another device's: weights in half precision stand for that."""
    texts = stated.texts[:240]
    logits = loaded.predict(texts)
    other = loaded
    if kind == "weights":
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        other = replace(loaded, model=copy.deepcopy(loaded.model).to(half))
    wrong = sigmoid(other.predict(texts, precision="fp32" if other is not loaded else precision))
    before = np.abs(wrong - sigmoid(logits))
    tolerance = float(before.max()) / 2
    evidence = Evidence(loaded, texts, wrong, logits, tolerance, TOLERANCES, 128, 32)
    trials = try_all(evidence)
    assert blamed(trials) == {"half precision"}
    assert precision in trials[0].finding


def test_a_twentieth_of_the_rows_that_moved_is_no_half_precision(
    loaded: Checkpoint, texts: tuple[str, ...], logits: FloatArray
) -> None:
    wrong = sigmoid(logits)
    wrong[:5] = sigmoid(loaded.predict(texts[:5], precision="bf16"))
    assert np.abs(wrong - sigmoid(logits)).max() > 1e-4
    assert blamed(tried(loaded, texts, logits, wrong)) == set()


def test_the_sample_holds_the_worst_rows_and_a_spread() -> None:
    differences = np.zeros(1000)
    differences[[3, 777]] = 1.0
    rows = sampled(differences, 20)
    assert {3, 777, 0, 999} <= set(rows.tolist())
    assert len(rows) <= 20
    assert np.array_equal(sampled(differences[:5], 20), np.arange(5))

"""Threshold protocols: tuned exactly, applied as tuned, exported for use."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from goemo_report.metrics.scores import score
from goemo_report.predictions import Predictions
from goemo_report.thresholds.protocols import (
    as_logged,
    choices,
    export_thresholds,
    fixed,
    oracle,
    tuned,
    tuned_per_class,
)
from goemo_report.thresholds.tune import Tuned
from tests.numbers import make_predictions


def test_rare_classes_keep_the_global_threshold() -> None:
    made = make_predictions(400)
    support = made.truth.sum(axis=0)
    choice = tuned_per_class(made)
    rare = tuple(label for label, n in zip(made.labels, support, strict=True) if n < 10)
    assert rare
    assert choice.fallback == rare
    assert choice.thresholds is not None
    together = Tuned(made.truth, made.probabilities).overall
    assert (choice.thresholds[support < 10] == together).all()
    alone = Tuned(made.truth, made.probabilities).per_class
    assert np.array_equal(choice.thresholds[support >= 10], alone[support >= 10])
    assert rare[0] in choice.description


def test_each_protocol_predicts_what_it_says() -> None:
    judged, validation = make_predictions(500, seed=1), make_predictions(500, seed=2)
    judged = replace(judged, predicted=judged.probabilities >= 0.7)
    found = {choice.protocol: choice for choice in choices(judged, validation)}
    assert list(found) == ["fixed", "as-logged", "global", "per-class", "oracle"]
    assert np.array_equal(found["fixed"].predicted(judged), judged.probabilities >= 0.5)
    assert np.array_equal(found["as-logged"].predicted(judged), judged.predicted)
    macro = {}
    for protocol, choice in found.items():
        thresholds = 0.7 if choice.thresholds is None else choice.thresholds
        macro[protocol] = score(judged.truth, judged.probabilities, judged.labels, thresholds)
        assert np.array_equal(choice.predicted(judged), judged.probabilities >= thresholds)
    best = macro["oracle"].overall["macro_f1"]
    assert best is not None
    assert all((scores.overall["macro_f1"] or 0.0) <= best for scores in macro.values())
    assert "not a result" in found["oracle"].description
    assert "validation (n = 500)" in found["global"].description


def test_no_validation_no_tuned_protocols() -> None:
    judged = make_predictions(60)
    fewer = judged.take(np.arange(60), np.arange(27))
    for validation, split in ((None, "test"), (fewer, "test"), (judged, "val")):
        found = choices(judged, validation, "val" if split == "val" else "test")
        assert [choice.protocol for choice in found] == ["fixed", "as-logged", "oracle"]


def test_thresholds_for_other_labels_are_refused() -> None:
    made = make_predictions(60)
    fewer = made.take(np.arange(60), np.arange(27))
    with pytest.raises(ValueError, match="thresholds for 28 labels"):
        fixed(made.labels).predicted(fewer)


def test_export_is_json_that_can_be_applied() -> None:
    made = make_predictions(300)
    exported = json.loads(
        json.dumps(export_thresholds([("run1", tuned(made)[0]), ("run1", tuned_per_class(made))]))
    )
    assert exported["schema_version"] == 2
    first, second = exported["entries"]
    assert (first["run"], first["protocol"], first["split"], first["n"]) == (
        "run1",
        "global",
        "val",
        300,
    )
    assert second["labels"] == list(made.labels)
    again = made.probabilities >= np.array(second["thresholds"])
    assert np.array_equal(again, tuned_per_class(made).predicted(made))


def test_what_cannot_be_used_is_not_exported() -> None:
    made: Predictions = make_predictions(60)
    for choice in (oracle(made), as_logged(made.labels)):
        with pytest.raises(ValueError, match="not for use"):
            export_thresholds([("run1", choice)])

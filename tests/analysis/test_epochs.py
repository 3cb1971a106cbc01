"""Which rows of a history are epochs, counted by hand."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from goemo_report.analysis.epochs import METRICS, spread, training, training_of
from goemo_report.metrics.rankings import drawn
from tests.synthetic import run_result


def losses(rows: list[dict[str, Any]]) -> tuple[str, dict[float, Any]]:
    found = training(tuple({"_step": step, **row} for step, row in enumerate(rows)))
    return found.unit, {at: row.get("train/loss") for at, row in found.rows.items()}


BATCHES = [{"train/loss": float(step)} for step in range(9000)]


def test_rows_with_an_epoch_are_the_epochs_and_batches_between_are_not() -> None:
    for step in (2999, 5999, 8999):
        BATCHES[step]["epoch"] = (step + 1) // 3000
    assert losses(BATCHES) == ("epoch", {1: 2999, 2: 5999, 3: 8999})


def test_without_epochs_steps_are_steps() -> None:
    unit, rows = losses([{"train/loss": 3}, {"other": 1}, {"train/loss": 2}, {"epoch": 1}])
    assert (unit, rows) == ("step", {0: 3, 2: 2})
    assert losses([{"other": 1}, {"test/auc": 0.5, "epoch": 1}]) == ("step", {})


@pytest.mark.parametrize("key", ["epoch", "train/epoch"])
def test_an_epoch_of_trainer_is_the_row_at_its_end_or_the_first_after_it(key: str) -> None:
    logged = [
        (0.0, 9),
        (0.37, 8),
        (0.74, 7),
        (1.0, None),
        (1.11, 6),
        (1.48, 5),
        (2.22, 4),
        (2.99, 3),
    ]
    rows = [{"train/loss": loss, "eval/loss": 1.0, key: epoch} for epoch, loss in logged]
    assert losses(rows) == ("epoch", {1: 7, 2: 4, 3: 3})
    found = training(tuple(rows))
    assert found.logged == 8
    assert found.rows[1]["val/loss"] == 1.0
    assert found.curve("train/loss")[0] == [0.0, 0.37, 0.74, 1.11, 1.48, 2.22, 2.99]
    assert losses(rows[1:3]) == ("step", {0: 8, 1: 7})  # the first epoch did not end


def test_rows_of_one_epoch_are_joined_in_any_spelling() -> None:
    rows = (
        {"_step": 1, "epoch": 0, "train/loss": 3, "val/auc_micro": 0.1, "val/auc": 0.2},
        {"_step": 2, "epoch": 0, "train/loss": 2, "val/auc": None},
        {"_step": 3, "epoch": 0, "val/f1_macro": 0.4},
        {"_step": 4, "epoch": 1, "val/auc_micro": 0.3},
        {"_step": 5, "epoch": 2, "val/f1_macro": 0.4},
        {"_step": 6, "epoch": float("nan"), "train/loss": 1},
    )
    found = training(rows)
    assert found.rows.keys() == {0, 1}
    assert {k: found.rows[0][k] for k in ("train/loss", "val/auc", "val/macro_f1")} == {
        "train/loss": 2,
        "val/auc": 0.2,
        "val/macro_f1": 0.4,
    }
    assert found.rows[1]["val/auc"] == 0.3
    assert "epoch" not in METRICS


def test_a_training_is_read_once_and_kept_no_longer_than_its_run() -> None:
    result = run_result()
    assert training_of(result) is training_of(result)
    assert list(training_of(result).rows) == [1, 2, 3]
    gone = weakref.ref(result)
    del result
    gc.collect()
    assert gone() is None


def test_spread_keeps_the_ends() -> None:
    assert spread(range(5), 9) == [0, 1, 2, 3, 4]
    assert spread(range(101), 5) == [0, 25, 50, 75, 100]
    assert spread(range(5), 1) == [4]
    assert spread((), 3) == []


def test_a_drawn_line_keeps_its_shape() -> None:
    x = np.arange(60_000.0)
    y = 2 * np.exp(-x / 9000) + np.random.default_rng(0).normal(0, 0.02, len(x))
    y[41_234], y[50_001] = 9.0, -4.0
    kept = drawn(x, y, 300)
    assert len(kept) <= 300
    assert {0, 59_999, 41_234, 50_001} <= set(kept.tolist())
    smooth = np.interp(x, x[kept], y[kept])
    assert np.median(np.abs(smooth - y)) < 0.05
    assert drawn(x[:9], y[:9], 300).tolist() == list(range(9))
    assert len(drawn(x, np.ones(60_000), 300)) <= 300

"""Predictions and scores of any training script, written into a W&B run as the guide asks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from goemo_report import contract
from goemo_report.api.arguments import Labels, check
from goemo_report.api.arrays import arrays
from goemo_report.api.scores import Evaluation, score
from goemo_report.contract import Role, Split
from goemo_report.errors import ArgumentError, DataError
from goemo_report.formats.table import to_csv
from goemo_report.metrics.scores import Scores, per_class_rows
from goemo_report.metrics.table import key_of
from goemo_report.predictions import Predictions, write_predictions


def metric_row(scores: Scores) -> dict[str, float | int | None]:
    """A split's metrics under the guide's names, without the split in front.

    `auc` is the micro average over all text x label pairs; `macro_auc` stands beside it.
    """
    overall = [key.name.partition("/")[2] for key in contract.OVERALL_METRICS]
    of_classes = [
        f"{one}_{label}" for label in scores.labels for one in contract.PER_CLASS_STATISTICS
    ]
    names = (*overall, "macro_auc", *of_classes)
    return {name: scores.values[key_of(name)] for name in names}


def per_class_csv(scores: Scores) -> str:
    """The guide's CSV of per-class metrics."""
    columns = [key.name for key in contract.PER_CLASS_COLUMNS]
    rows = ([row[column] for column in columns] for row in per_class_rows(scores))
    return to_csv([columns, *rows])


def log_evaluation(run: Any, evaluation: Evaluation, *, split: Split = "test") -> None:
    """Set a split's metrics in a W&B run's summary under the guide's keys and, of the test split,
    log the artifact of per-class metrics. The history of the epochs stays as it is.

    Args:
        run: a run of the `wandb` package, as `wandb.init` gives it.
        evaluation: what `score` gives.
        split: `test` or `val`.

    Raises:
        ArgumentError: what is given is no run, or no split.

    """
    _check(run, split)
    row = metric_row(evaluation.scores)
    found = {f"{split}/{name}": value for name, value in row.items() if value is not None}
    for key in found:  # else a step that is still open sets its own value at the end
        run.define_metric(key, summary="none")
    run.summary.update(found)
    if split == "test":
        text = per_class_csv(evaluation.scores)
        _log_file(run, "per-class-metrics", lambda path: path.write_bytes(text.encode()))


def log_predictions(run: Any, predictions: Predictions, *, split: Split = "test") -> None:
    """Log predictions to a W&B run as the artifact that the guide asks for.

    Args:
        run: a run of the `wandb` package, as `wandb.init` gives it.
        predictions: what `predictions_of` or `read_predictions` gives.
        split: `test` or `val`.

    Raises:
        ArgumentError: what is given is no run, or no split.
        DataError: the predictions have no probabilities.

    """
    _check(run, split)
    if not predictions.has_probabilities:
        raise DataError(f"{predictions.source} has no probabilities", "The guide's files need them")
    held = predictions

    def write(path: Path) -> None:
        write_predictions(
            *(path, held.texts, held.truth, held.probabilities, 0.5, held.labels, held.predicted)
        )

    _log_file(run, "val-predictions" if split == "val" else "test-predictions", write)


def _check(run: Any, split: str) -> None:
    if not callable(getattr(run, "log_artifact", None)):
        raise ArgumentError(
            f"{type(run).__name__} is not a W&B run", "Give what wandb.init returns"
        )
    check(split=split)


def predictions_of(
    texts: Sequence[str] | None = None,
    y_true: Any = None,
    y_prob: Any = None,
    labels: Labels = None,
    *,
    threshold: float = contract.DEFAULT_THRESHOLD,
) -> Predictions:
    """Predictions from the arrays of any model, checked as those of a file are.

    Args:
        texts: n texts; without them rows are matched by their number.
        y_true: (n, k) of 0 and 1.
        y_prob: (n, k) probabilities from 0 to 1, or as scikit-learn's `predict_proba` gives them.
        labels: k names, where no DataFrame has them.
        threshold: a label is predicted at `p >= threshold`.

    Raises:
        DataError: what `score` refuses, and another number of texts than of rows.

    """
    for name, value in (("y_true", y_true), ("y_prob", y_prob)):
        if value is None:
            raise DataError(f"there is no {name}", f"Give {name}, (n, k): one row a text")
    held, _ = arrays(y_true, y_prob, None, labels)
    check(threshold=threshold)
    if len(held.labels) < 2:
        raise DataError("there is one label", "Give probabilities of two labels or more")
    held = replace(held, predicted=held.probabilities >= threshold)
    if texts is None:
        return held
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise ArgumentError(f"texts is a {type(texts).__name__}", "Give a list of texts")
    own = tuple(map(str, texts))
    if len(own) != len(held):
        raise DataError(f"{len(own)} texts for {len(held)} rows", "Give one a row")
    return replace(held, texts=own, row_key="text")


def trainer_metrics(
    labels: Sequence[str], *, threshold: float = contract.DEFAULT_THRESHOLD
) -> Callable[[Any], Mapping[str, float]]:
    """A `compute_metrics` for `transformers.Trainer` that gives the guide's metrics.

    Args:
        labels: k names in the order of the model's outputs.
        threshold: a label is predicted at `sigmoid(logit) >= threshold`.

    Returns:
        A function of an `EvalPrediction` (logits (n, k), 0/1 labels (n, k)). Its keys have no
        prefix: Trainer writes `eval_macro_f1`, and W&B shows `eval/macro_f1`.

    Example:
        >>> import goemo_report as gr
        >>> compute = gr.trainer_metrics(["joy", "anger"])
        >>> found = compute(([[2.0, -1.0], [-2.0, 3.0]], [[1, 0], [0, 1]]))
        >>> found["macro_f1"]
        1.0

    """
    check(threshold=threshold)

    def compute(evaluated: Any) -> Mapping[str, float]:
        logits, truth = evaluated[0], evaluated[1]
        logits = np.asarray(logits[0] if isinstance(logits, tuple) else logits, np.float64)
        probabilities = 0.5 * (1.0 + np.tanh(0.5 * logits))
        found = score(y_true=truth, y_prob=probabilities, labels=labels, threshold=threshold)
        row = metric_row(found.scores)
        return {name: float(value) for name, value in row.items() if value is not None}

    return compute


def _log_file(run: Any, role: Role, write: Callable[[Path], Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="goemo-") as folder:
        path = Path(folder, str(contract.ARTIFACTS[role].contents[0]))
        write(path)
        log_artifact(run, role, path)


def log_artifact(
    run: Any, role: Role, path: Path, metadata: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Log a file, or all files of a directory, to a W&B run as the guide's artifact of this role.

    Raises what the client raises.
    """
    import wandb

    about = contract.ARTIFACTS[role]
    name = about.name(contract.artifact_model(run.config), run.id)
    artifact = wandb.Artifact(name, about.type, about.description, metadata=dict(metadata))
    (artifact.add_dir if path.is_dir() else artifact.add_file)(str(path))
    run.log_artifact(artifact)

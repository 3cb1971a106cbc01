"""Scores of predictions, whatever they are kept in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from goemo_report.api import html
from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.errors import DataError
from goemo_report.labels import LabelSet
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.scores import Scores, per_class_rows, score_predicted
from goemo_report.predictions import Predictions

if TYPE_CHECKING:
    import pandas as pd

_COUNTS: Final = ("support", "tp", "fp", "fn", "tn", "predicted")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Every metric of one set of predictions, recomputed.

    `overall` and `per_label` have the names of `goemo-report metrics --format json`.
    """

    scores: Scores

    @cached_property
    def overall(self) -> pd.Series[float]:
        """Overall metrics by key, such as `macro_f1`: a float64 Series, nan where undefined."""
        import pandas as pd

        return pd.Series(self.scores.overall, dtype="float64", name="overall")

    @cached_property
    def per_label(self) -> pd.DataFrame:
        """One row a label: `emotion` (categorical, in canonical order), metrics (float64),
        counts (Int64) and the threshold."""
        import pandas as pd

        frame = pd.DataFrame(per_class_rows(self.scores))
        frame["emotion"] = pd.Categorical(frame["emotion"], self.scores.labels, ordered=True)
        numbers = [name for name in frame if name != "emotion"]
        kinds = {name: "Int64" if name in _COUNTS else "float64" for name in numbers}
        return frame.astype(kinds)

    def __repr__(self) -> str:
        """One line with the headline metrics."""
        found = self.scores.overall
        parts = (f"{key}={html.text(found[key])}" for key in ("macro_f1", "micro_f1", "macro_auc"))
        return f"<Evaluation of {self.scores.rows:,} texts: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        scores = self.scores
        overall = html.table(("metric", "value"), scores.overall.items())
        keys = ("emotion", "f1_score", "precision", "recall", "support")
        rows = ([row[key] for key in keys] for row in per_class_rows(scores))
        return html.page(repr(self), overall, html.table(keys, rows))


def score(
    predictions: Predictions | None = None,
    *,
    y_true: Any = None,
    y_prob: Any = None,
    y_pred: Any = None,
    labels: Sequence[str] | None = None,
    threshold: float | Sequence[float] | Mapping[str, float] | None = None,
) -> Evaluation:
    """Every metric of predictions, or of the arrays of any model.

    Args:
        predictions: what `read_predictions` or `Run.predictions` gives. Without a `threshold`
            its own `pred_labels` are scored.
        y_true: (n, k) of 0 and 1: NumPy array, torch tensor, DataFrame (its columns name the
            labels) or `datasets.Dataset` with one column a label.
        y_prob: (n, k) probabilities from 0 to 1; a label is predicted at `p >= threshold`.
        y_pred: (n, k) predicted labels, in place of a threshold or of probabilities.
        labels: k names, where no DataFrame has them.
        threshold: one for all labels, or one a label (a sequence, or a mapping by label);
            0.5 for arrays where nothing else is given.

    Raises:
        DataError: arrays of other shapes than (n, k), values that are no labels or no
            probabilities.

    Example:
        >>> import goemo_report as gr
        >>> found = gr.score(y_true=[[1, 0], [0, 1]], y_prob=[[0.9, 0.2], [0.6, 0.3]],
        ...                  labels=["joy", "anger"])
        >>> round(float(found.overall["macro_f1"]), 3)
        0.333

    """
    if predictions is not None:
        if y_true is not None or y_prob is not None or y_pred is not None:
            raise DataError("predictions and arrays were given", "Give one of the two")
        found = predictions.labels
        if threshold is None:
            return _evaluated(
                predictions.truth, predictions.probabilities, predictions.predicted, found, None
            )
        return _evaluated(predictions.truth, predictions.probabilities, None, found, threshold)
    if y_true is None or (y_prob is None and y_pred is None):
        raise DataError("there is nothing to score", "Give predictions, or y_true and y_prob")
    names = _names(labels, y_true, y_prob, y_pred)
    truth = _labels(y_true, "y_true")
    names = names or tuple(f"label_{i}" for i in range(truth.shape[1]))
    probabilities = None if y_prob is None else _probabilities(y_prob)
    predicted = None if y_pred is None else _labels(y_pred, "y_pred")
    for what, array in (("y_prob", probabilities), ("y_pred", predicted)):
        if array is not None and array.shape != truth.shape:
            raise DataError(f"y_true is {truth.shape}, {what} is {array.shape}", "Align them")
    if len(names) != truth.shape[1]:
        raise DataError(f"{len(names)} labels for {truth.shape[1]} columns", "Name each column")
    return _evaluated(truth, probabilities, predicted, LabelSet.of(names).labels, threshold)


def _evaluated(
    truth: BoolArray,
    probabilities: FloatArray | None,
    predicted: BoolArray | None,
    labels: tuple[str, ...],
    threshold: float | Sequence[float] | Mapping[str, float] | None,
) -> Evaluation:
    if predicted is not None and threshold is None:
        return Evaluation(score_predicted(truth, probabilities, predicted, labels))
    if probabilities is None:
        raise DataError("a threshold needs probabilities", "Give y_prob, or leave it out")
    cut = _threshold(threshold, labels)
    return Evaluation(score_predicted(truth, probabilities, probabilities >= cut, labels, cut))


def _threshold(
    threshold: float | Sequence[float] | Mapping[str, float] | None, labels: tuple[str, ...]
) -> float | FloatArray:
    if threshold is None:
        return DEFAULT_THRESHOLD
    if isinstance(threshold, Mapping):
        missing = [label for label in labels if label not in threshold]
        if missing:
            raise DataError(f"there is no threshold for {missing[0]}", "Give one a label")
        threshold = [threshold[label] for label in labels]
    found = np.asarray(threshold, np.float64)
    if found.ndim == 0:
        return float(found)
    if found.shape != (len(labels),):
        raise DataError(f"{found.shape} thresholds for {len(labels)} labels", "Give one a label")
    return found


def _names(labels: Sequence[str] | None, *arrays: Any) -> tuple[str, ...]:
    if labels is not None:
        return tuple(map(str, labels))
    named = (getattr(array, "columns", getattr(array, "column_names", None)) for array in arrays)
    return next((tuple(map(str, names)) for names in named if names is not None), ())


def _array(value: Any, what: str) -> Any:
    """(n, k) numbers from whatever holds them."""
    if hasattr(value, "column_names"):  # datasets.Dataset
        value = np.stack([np.asarray(value[name]) for name in value.column_names], axis=1)
    elif hasattr(value, "detach"):  # a torch tensor, maybe of a device and in half precision
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    found = np.asarray(value)
    if found.ndim != 2 or 0 in found.shape or found.dtype.kind not in "bifu":
        raise DataError(
            f"{what} is {found.dtype} of shape {found.shape}",
            "Give numbers (n, k): one row a text, one column a label",
        )
    return found


def _labels(value: Any, what: str) -> BoolArray:
    found = _array(value, what)
    if not np.isin(found, (0, 1)).all():
        raise DataError(f"{what} holds other values than 0 and 1", "Give labels, not scores")
    return np.asarray(found, np.bool_)


def _probabilities(value: Any) -> FloatArray:
    found = np.asarray(_array(value, "y_prob"), np.float64)
    if not ((found >= 0) & (found <= 1)).all():
        raise DataError(
            "y_prob holds values that are not from 0 to 1", "Give sigmoid outputs, not logits"
        )
    return found

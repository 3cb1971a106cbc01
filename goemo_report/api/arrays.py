"""Arrays of any model as checked arrays: NumPy, torch, pandas, SciPy's sparse, `datasets`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence, Set
from numbers import Integral
from typing import Any, Final, TypeAlias

import numpy as np

from goemo_report.api.arguments import Labels, chosen_labels
from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.errors import ArgumentError, DataError
from goemo_report.formats.table import Table
from goemo_report.formats.text import shown
from goemo_report.formats.wording import listed
from goemo_report.labels import LabelSet, check_label, set_of
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.predictions import Predictions, of_table
from goemo_report.reading.names import Reading

Threshold: TypeAlias = "float | Sequence[float] | FloatArray | Mapping[str, float] | None"
_SHAPE: Final = "Give numbers (n, k): one row a text, one column a label"


def arrays(
    y_true: Any, y_prob: Any, y_pred: Any, labels: Labels
) -> tuple[Predictions, tuple[str, ...]]:
    """Predictions of arrays, those of a known set in canonical order; and the labels as given.

    Without `y_pred` a label is predicted from 0.5 on. Raises DataError for what is not (n, k) or
    holds wrong values.
    """
    _require_same_rows(y_true=y_true, y_prob=y_prob, y_pred=y_pred)
    given = _names(labels, y_true, y_prob, y_pred)
    truth = _labels(y_true, "y_true", given)
    given = given or tuple(f"label_{i}" for i in range(truth.shape[1]))
    if len(given) != truth.shape[1]:
        raise DataError(f"{len(given)} labels for {truth.shape[1]} columns", "Name each column")
    likely = None if y_prob is None else _probabilities(_of_estimators(y_prob, given), given)
    predicted = None if y_pred is None else _labels(y_pred, "y_pred", given)
    for what, array in (("y_prob", likely), ("y_pred", predicted)):
        if array is not None and array.shape != truth.shape:
            raise DataError(f"y_true is {truth.shape}, {what} is {array.shape}", "Align them")
    if predicted is None:
        predicted = truth if likely is None else likely >= DEFAULT_THRESHOLD
    held = Predictions(
        tuple(f"row {row}" for row in range(1, len(truth) + 1)),
        truth,
        predicted.astype(np.float64) if likely is None else likely,
        predicted,
        LabelSet.of(given),
        "predictions",
        has_probabilities=likely is not None,
        row_key="row",
    )
    return held.on_labels(set_of(given).labels), given


def thresholds_of(
    threshold: Threshold, labels: tuple[str, ...], given: tuple[str, ...]
) -> float | FloatArray:
    """One threshold for all labels, or one a label (k,) in their order.

    A sequence has them in the order of `given`. Raises DataError for what is no threshold.
    """
    to_dict = getattr(threshold, "to_dict", None)
    if to_dict is not None:  # a Series, whose index names the labels
        threshold = {str(name): cut for name, cut in to_dict().items()}
    if isinstance(threshold, Mapping):
        given, named = labels, threshold
        if missing := next((label for label in labels if label not in named), None):
            odd = [shown(str(name)) for name in named if name not in labels]
            more = f", and {listed(odd)} {'is no label' if len(odd) == 1 else 'are no labels'}"
            what = f"there is no threshold for {missing}{more if odd else ''}"
            raise DataError(what, f"Give one a label: {listed(labels, 8)}")
        threshold = [named[label] for label in labels]
    try:
        found = np.asarray(threshold)
    except (TypeError, ValueError):
        found = np.array(None)
    if found.dtype.kind not in "iuf" or not ((found >= 0) & (found <= 1)).all():
        raise DataError("a threshold is not a number from 0 to 1", "Give 0.5, or one a label")
    if found.ndim == 0:
        return float(found)
    if found.shape != (len(labels),):
        raise DataError(f"{found.shape} thresholds for {len(labels)} labels", "Give one a label")
    return found.astype(np.float64)[[given.index(label) for label in labels]]


def of_frame(frame: Any, reading: Reading) -> Predictions:
    """Predictions of a DataFrame or a `datasets.Dataset`, with the columns of a prediction file."""
    if not hasattr(frame, "iloc"):
        frame = frame.to_pandas()
    frame = frame.to_frame() if frame.ndim == 1 else frame
    columns = [_cells(frame.iloc[:, place]) for place in range(frame.shape[1])]
    header = list(map(str, frame.columns))
    return of_table(Table(header, "the DataFrame", values=columns).flat(), reading)


def _cells(column: Any) -> Sequence[Any]:
    """The cells of a column as a file gives them: numbers as they are, None for what is missing."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        numbers: Sequence[Any] = column.to_numpy()
        return numbers
    lost = column.isna().tolist()
    cells = (None if no else one for one, no in zip(column.tolist(), lost, strict=True))
    return [one.tolist() if isinstance(one, np.ndarray) else one for one in cells]


# --- Rows and columns ----------------------------------------------------------------------


def _require_same_rows(**tables: Any) -> None:
    """Refuse DataFrames whose rows are named alike and stand in another order."""
    indexes = {
        name: one.index
        for name, one in tables.items()
        if hasattr(one, "columns") and hasattr(one, "index")
    }
    first, *others = indexes or ("",)
    for other in others:
        rows, ours = indexes[other], indexes[first]
        if rows.equals(ours) or len(rows) != len(ours) or not (rows.is_unique and ours.is_unique):
            continue
        if set(rows) == set(ours):
            raise DataError(
                f"{first} and {other} have the same index in another order",
                "Reindex one of them; if their rows do belong together, give it as .to_numpy()",
            )


def _names(labels: Labels | Mapping[Any, Any], *tables: Any) -> tuple[str, ...]:
    if labels is None:
        named = (_columns(table) for table in tables)
        found = next((names for names in named if names), ())
    elif isinstance(labels, str | os.PathLike):
        found = chosen_labels(labels).reading.expected[0].labels
    elif isinstance(labels, Set) and not isinstance(labels, Sequence):
        raise ArgumentError("labels is a set, which has no order", "Give them as a list")
    elif isinstance(labels, Mapping):  # id2label or label2id
        pairs = [
            (one, key) if isinstance(one, Integral) else (key, one) for key, one in labels.items()
        ]
        try:
            found = tuple(str(name) for _, name in sorted(pairs, key=lambda pair: int(pair[0])))
        except (TypeError, ValueError):
            raise ArgumentError("labels is a mapping without ids", "Give id2label") from None
    elif not isinstance(labels, Iterable):
        raise ArgumentError(f"labels is {labels!r}", "Give one name a column")
    else:
        found = tuple(map(str, labels))
    for name in found:
        check_label(name, "labels")
    _require_different(found, "the label")
    return found


def _require_different(names: Sequence[str], what: str) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{what} {shown(twice)} is there twice", "Name each column once")


def _columns(value: Any) -> tuple[str, ...]:
    """Names of the columns of a DataFrame or a `datasets.Dataset`; none of anything else."""
    found = getattr(value, "columns", getattr(value, "column_names", None))
    if found is None or list(found) == list(range(len(found))):  # pandas numbers what has no names
        return ()
    return tuple(map(str, found))


def _array(value: Any, what: str, names: Sequence[str]) -> Any:
    """(n, k) numbers from whatever holds them; of named columns those of the labels, in order."""
    columns = _columns(value)
    if columns:
        _require_different(columns, f"{what}: the column")
        lacking = [name for name in names if name not in columns]
        if lacking:
            raise DataError(f"{what} has no column {shown(lacking[0])}", "Name columns alike")
    if hasattr(value, "column_names"):  # datasets.Dataset
        value = np.stack([np.asarray(value[name]) for name in names], axis=1)
    elif columns:
        value = np.asarray(value)[:, [columns.index(name) for name in names]]
    elif hasattr(value, "toarray"):  # a sparse matrix
        value = value.toarray()
    elif hasattr(value, "detach"):  # a torch tensor, maybe of a device and in half precision
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    try:
        found = np.asarray(value)
    except ValueError:
        raise DataError(f"{what} has rows of several lengths", _SHAPE) from None
    if found.dtype == object and found.ndim == 2:
        found = _numbers(found, what, names)
    if found.ndim != 2 or 0 in found.shape or found.dtype.kind not in "bifu":
        raise DataError(f"{what} is {found.dtype} of shape {found.shape}", _SHAPE)
    return found


def _numbers(value: Any, what: str, names: Sequence[str]) -> FloatArray:
    """Cells of mixed columns as numbers, nan where one is missing."""
    found = np.full(value.shape, np.nan)
    for place, one in np.ndenumerate(value):
        if isinstance(one, int | float | np.number | np.bool_):
            found[place] = one
        elif str(one) not in {"None", "<NA>"}:
            raise DataError(f"{_at(what, names, place)} is {shown(one)}", "Give numbers")
    return found


def _require(right: BoolArray, found: Any, what: str, names: Sequence[str], remedy: str) -> None:
    """DataError that names the first value that is not right."""
    if not right.all():
        row, column = np.argwhere(~right)[0].tolist()
        value = found[row, column]
        missing = value != value  # nan
        remedy = "Leave out rows with missing values, or fill them" if missing else remedy
        raise DataError(f"{_at(what, names, (row, column))} is {value:g}", remedy)


def _at(what: str, names: Sequence[str], place: tuple[int, ...]) -> str:
    row, column = place
    name = shown(names[column]) if column < len(names) else f"column {column}"
    return f"{what} in row {row}, {name},"


def _labels(value: Any, what: str, names: Sequence[str] = ()) -> BoolArray:
    found = _array(value, what, names)
    right = (found == 0) | (found == 1)
    _require(right, found, what, names, "Give labels, 0 and 1, not scores")
    return np.array(found, np.bool_)  # a copy: the caller may go on writing to its own


def _of_estimators(value: Any, names: Sequence[str]) -> Any:
    """Probabilities of scikit-learn's multi-label `predict_proba`: k arrays (n, 2), one a label, of
    which the second column says that it applies. Anything else is left as it is."""
    parts = list(value) if isinstance(value, list | tuple | np.ndarray) else []
    if len(parts) != len(names) or {np.ndim(one) for one in parts} != {2}:
        return value
    columns = []
    for name, one in zip(names, map(np.asarray, parts), strict=True):
        if one.shape[1] == 1:
            what = f"y_prob of {shown(name)} has one column: the model learned from one class alone"
            raise DataError(what, "Give (n, k): 0 or 1 for this label, as it was in training")
        if one.shape[1] != 2 or one.dtype.kind not in "bifu":
            return value
        if not np.allclose(one.sum(axis=1), 1.0, atol=1e-3):
            what = f"y_prob of {shown(name)} has two columns that do not add up to 1"
            raise DataError(what, _SHAPE)
        columns.append(one[:, 1])
    if len({len(column) for column in columns}) > 1:
        return value
    return np.stack(columns, axis=1)


def _probabilities(value: Any, names: Sequence[str] = ()) -> FloatArray:
    found = np.array(_array(value, "y_prob", names), np.float64)  # a copy, see above
    right = (found >= 0) & (found <= 1)
    _require(right, found, "y_prob", names, "Give probabilities from 0 to 1, not logits")
    return found

"""Scores of predictions, whatever they are kept in."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from goemo_report.api import html
from goemo_report.api.arguments import Labels, Names, Place, Shown, chosen_labels, settled
from goemo_report.contract import DEFAULT_THRESHOLD, Split
from goemo_report.errors import DataError
from goemo_report.formats.files import named_path, user_path
from goemo_report.formats.text import shown
from goemo_report.labels import check_label, set_of
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.scores import (
    Scores,
    metrics_document,
    per_class_rows,
    score_predicted,
)
from goemo_report.predictions import Predictions, understood
from goemo_report.predictions import read_predictions as _read_file

if TYPE_CHECKING:
    import pandas as pd

    from goemo_report.analysis.label_choice import LabelChoice
    from goemo_report.api.one_run import Run
    from goemo_report.report.document import Table
    from goemo_report.settings import SourceChoice

Threshold: TypeAlias = "float | Sequence[float] | FloatArray | Mapping[str, float] | None"
_SHAPE: Final = "Give numbers (n, k): one row a text, one column a label"
_COUNTS: Final = ("support", "tp", "fp", "fn", "tn", "predicted")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Every metric of one set of predictions, recomputed.

    `overall` and `per_label` have the names of `goemo-report metrics --format json`.
    """

    _scored: Callable[[], Scores] = field(repr=False)
    held: Predictions | None = field(default=None, repr=False)

    @cached_property
    def scores(self) -> Scores:
        """What everything here is taken from, computed when it is first asked for."""
        return self._scored()

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What is odd about the predictions: labels that never occur, columns that are alike."""
        from goemo_report.analysis.oddities import oddities

        if self.held is None:
            return ()
        changed = (self.held.change,) if self.held.change else ()
        return (*understood([self.held]), *changed, *oddities(self.held, self.scores))

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

    def document(self) -> Mapping[str, Any]:
        """All of it as one JSON value."""
        return metrics_document(self.scores)

    def tables(self) -> list[Table]:
        """Overall and by label, for reading."""
        from goemo_report.report import tables

        return [tables.overall_table(self.scores), tables.per_class_table(self.scores)]

    def render(self, form: str) -> str:
        """As `csv`, one line a label, or as Markdown (`md`)."""
        from goemo_report.report import tables
        from goemo_report.report.render import render_block

        if form == "csv":
            return tables.per_class_csv(self.scores)
        titled = zip(self.tables(), ("Overall", "Per class"), strict=True)
        return "\n".join(render_block(replace(one, title=title), form) for one, title in titled)

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


def read_predictions(
    path: Place,
    *,
    labels: Labels = None,
    map_to: str | None = None,
    true: str | None = None,
    pred: str | None = None,
    prob: str | None = None,
    name: str | None = None,
) -> Predictions:
    """Read and check a prediction file of any format.

    CSV, TSV, semicolons with decimal commas, Parquet, Arrow, JSON, JSON Lines and `.npz`, plain
    or compressed, told by content. Columns are the guide's, or others that are understood: `notes`
    of the result say how.

    Args:
        path: the file.
        labels: the labels that it must have: `goemotions`, `ekman`, `sentiment`, a file of names,
            or the names.
        map_to: roll labels up: `ekman`, `sentiment`, or one of `[tool.goemo.groups]`.
        true: column of the true labels, or `true_{label}` for one of 0 and 1 a label.
        pred: column of the predicted labels, likewise.
        prob: columns of the probabilities, as `prob_{label}`, or one column of lists.
        name: what to call the file in messages; its own name without it.

    Raises:
        DataError: what cannot be read, naming file, line and column.

    """
    choice = chosen_labels(labels, map_to, true=true, pred=pred, prob=prob)
    return choice.on(_read_file(path, name=name, reading=choice.reading))


def score(
    predictions: Predictions | Run | Place | None = None,
    *,
    y_true: Any = None,
    y_prob: Any = None,
    y_pred: Any = None,
    labels: Labels = None,
    threshold: Threshold = None,
    split: Split = "test",
    map_to: str | None = None,
    artifact: Names = (),
    alias: str | None = None,
    source: str | None = None,
    wandb_dir: Place | None = None,
    entity: str | None = None,
    project: str | None = None,
    progress: Shown = False,
) -> Evaluation:
    """Every metric of predictions, or of the arrays of any model.

    Args:
        predictions: what `read_predictions` or `Run.predictions` gives, a prediction file, or a
            run or what names one. Without a `threshold` its own `pred_labels` are scored.
        y_true: (n, k) of 0 and 1: NumPy array, torch tensor, DataFrame (its columns name the
            labels) or `datasets.Dataset` with one column a label.
        y_prob: (n, k) probabilities from 0 to 1; a label is predicted at `p >= threshold`.
        y_pred: (n, k) predicted labels, in place of a threshold or of probabilities.
        labels: k names, where no DataFrame has them; of a file or a run, as in `Run.predictions`.
        threshold: one for all labels, or one a label (a sequence, or a mapping by label);
            0.5 for arrays where nothing else is given.
        split: which predictions of a run.
        map_to: of predictions, a file or a run: as in `Run.predictions`.
        artifact: of a run, where its predictions have another name: as `predictions` of `runs`.
        alias: of a run: as in `runs`.
        source: as in `runs`, for what names a run; likewise the following three.
        wandb_dir: see `source`.
        entity: see `wandb_dir`.
        project: see `wandb_dir`.
        progress: show a bar while a run is read.

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
        choice = chosen_labels(labels, map_to)
        if isinstance(predictions, Predictions):
            if choice.reading.expected and all(
                set(one.labels) != set(predictions.labels) for one in choice.reading.expected
            ):
                raise DataError(f"{predictions!r} has other labels", "Leave labels out")
            held = choice.on(predictions)
        else:
            where = partial(settled, wandb_dir, entity, project, (), artifact, alias, source)
            held = _read(predictions, split, where, choice, progress)
        predicted = held.predicted if threshold is None else None
        if threshold is not None and not held.has_probabilities:
            raise DataError(
                f"{held.source} has no probabilities, only labels", "Leave the threshold out"
            )
        found = _evaluated(held.truth, held.y_prob, predicted, held.labels, threshold)
        return replace(found, held=held)
    if y_true is None or (y_prob is None and y_pred is None):
        raise DataError("there is nothing to score", "Give predictions, or y_true and y_prob")
    truth, probabilities, predicted, names = arrays(y_true, y_prob, y_pred, labels)
    given = _names(labels, y_true, y_prob, y_pred)
    if isinstance(threshold, Sequence | np.ndarray) and len(threshold) == len(given):
        threshold = dict(zip(given, threshold, strict=True))
    return _evaluated(truth, probabilities, predicted, names, threshold)


def arrays(
    y_true: Any, y_prob: Any, y_pred: Any, labels: Labels
) -> tuple[BoolArray, FloatArray | None, BoolArray | None, tuple[str, ...]]:
    """Checked arrays (n, k) with the names of their columns, known sets in canonical order."""
    given = _names(labels, y_true, y_prob, y_pred)
    truth = _labels(y_true, "y_true", given)
    given = given or tuple(f"label_{i}" for i in range(truth.shape[1]))
    probabilities = None if y_prob is None else _probabilities(y_prob, given)
    predicted = None if y_pred is None else _labels(y_pred, "y_pred", given)
    for what, array in (("y_prob", probabilities), ("y_pred", predicted)):
        if array is not None and array.shape != truth.shape:
            raise DataError(f"y_true is {truth.shape}, {what} is {array.shape}", "Align them")
    if len(given) != truth.shape[1]:
        raise DataError(f"{len(given)} labels for {truth.shape[1]} columns", "Name each column")
    names = set_of(given).labels
    if names != given:
        order = [given.index(name) for name in names]
        truth = truth[:, order]
        probabilities = None if probabilities is None else probabilities[:, order]
        predicted = None if predicted is None else predicted[:, order]
    return truth, probabilities, predicted, names


def _read(
    reference: Run | Place,
    split: Split,
    where: Callable[[], SourceChoice],
    labels: LabelChoice,
    progress: Shown,
) -> Predictions:
    """The predictions of a run or a file; a single file is read whatever its split."""
    found = _file(reference)
    if found is not None:
        path, named = found
        return labels.on(_read_file(path, name=named, reading=labels.reading))
    from goemo_report.api.one_run import Run
    from goemo_report.sources.resolve import find_one

    if isinstance(reference, Run):
        return replace(reference, progress=progress or reference.progress).predictions(
            split, labels=labels
        )
    if not isinstance(reference, str | os.PathLike):
        kind = type(reference).__name__
        raise DataError(f"a {kind} is no predictions", "Give arrays as y_true= and y_prob=")
    choice = where()
    source, record = find_one(choice, named_path(os.fspath(reference))[1])
    return Run(record, source, choice, progress).predictions(split, labels=labels)


def _file(reference: Any) -> tuple[Path, str] | None:
    """The path of a prediction file, and as it was named; None for what names a run."""
    if not isinstance(reference, str | os.PathLike):
        return None
    text = os.fspath(reference)
    _, named = named_path(text)
    if named in {"", "-"}:
        raise DataError(
            f"{text!r} names no run and no file", "Name a RUN or a file; /dev/stdin is a file too"
        )
    path = user_path(named)
    is_file = os.path.lexists(path) and not path.is_dir() and path.suffix != ".wandb"
    return (path, named) if is_file or named.lower().endswith((".csv", ".csv.gz")) else None


def _evaluated(
    truth: BoolArray,
    probabilities: FloatArray | None,
    predicted: BoolArray | None,
    labels: tuple[str, ...],
    threshold: Threshold,
) -> Evaluation:
    if predicted is not None and threshold is None:
        return Evaluation(partial(score_predicted, truth, probabilities, predicted, labels))
    if probabilities is None:
        raise DataError("a threshold needs probabilities", "Give y_prob, or leave it out")
    cut = _threshold(threshold, labels)
    predicted = probabilities >= cut
    return Evaluation(partial(score_predicted, truth, probabilities, predicted, labels, cut))


def _threshold(threshold: Threshold, labels: tuple[str, ...]) -> float | FloatArray:
    if threshold is None:
        return DEFAULT_THRESHOLD
    if isinstance(threshold, Mapping):
        missing = [label for label in labels if label not in threshold]
        if missing:
            raise DataError(f"there is no threshold for {missing[0]}", "Give one a label")
        threshold = [threshold[label] for label in labels]
    try:
        found = np.asarray(threshold, np.float64)
    except (TypeError, ValueError):
        found = np.array(np.nan)
    if not ((found >= 0) & (found <= 1)).all():
        raise DataError("a threshold is not a number from 0 to 1", "Give 0.5, or one a label")
    if found.ndim == 0:
        return float(found)
    if found.shape != (len(labels),):
        raise DataError(f"{found.shape} thresholds for {len(labels)} labels", "Give one a label")
    return found


def _names(labels: Labels, *arrays: Any) -> tuple[str, ...]:
    if labels is None:
        named = (_columns(array) for array in arrays)
        found = next((names for names in named if names), ())
    elif isinstance(labels, str | os.PathLike):
        found = chosen_labels(labels).reading.expected[0].labels
    else:
        found = tuple(map(str, labels))  # type: ignore[arg-type] # a LabelChoice names none
    for name in found:
        check_label(name, "labels")
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"the label {twice} is there twice", "Name each column once")
    return found


def _columns(value: Any) -> tuple[str, ...]:
    """Names of the columns of a DataFrame or a `datasets.Dataset`; none of anything else."""
    found = getattr(value, "columns", getattr(value, "column_names", None))
    return () if found is None else tuple(map(str, found))


def _array(value: Any, what: str, names: Sequence[str]) -> Any:
    """(n, k) numbers from whatever holds them; of named columns those of the labels, in order."""
    columns = _columns(value)
    if columns:
        lacking = [name for name in names if name not in columns]
        if lacking:
            raise DataError(f"{what} has no column {shown(lacking[0])}", "Name columns alike")
    if hasattr(value, "column_names"):  # datasets.Dataset
        value = np.stack([np.asarray(value[name]) for name in names], axis=1)
    elif columns:
        value = np.asarray(value)[:, [columns.index(name) for name in names]]
        value = value.astype(np.float64) if value.dtype == object and _numeric(value) else value
    elif hasattr(value, "detach"):  # a torch tensor, maybe of a device and in half precision
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    try:
        found = np.asarray(value)
    except ValueError:
        raise DataError(f"{what} has rows of several lengths", _SHAPE) from None
    if found.ndim != 2 or 0 in found.shape or found.dtype.kind not in "bifu":
        raise DataError(f"{what} is {found.dtype} of shape {found.shape}", _SHAPE)
    return found


def _numeric(value: Any) -> bool:
    """Whether the cells of mixed columns are numbers: a table may hold text beside them."""
    return all(isinstance(one, int | float | np.number | np.bool_) for one in value.ravel())


def _labels(value: Any, what: str, names: Sequence[str] = ()) -> BoolArray:
    found = _array(value, what, names)
    if found.dtype != np.bool_ and not ((found == 0) | (found == 1)).all():
        raise DataError(f"{what} holds other values than 0 and 1", "Give labels, not scores")
    return np.asarray(found, np.bool_)


def _probabilities(value: Any, names: Sequence[str] = ()) -> FloatArray:
    found = np.asarray(_array(value, "y_prob", names), np.float64)
    if not ((found >= 0) & (found <= 1)).all():
        raise DataError(
            "y_prob holds values that are not from 0 to 1", "Give sigmoid outputs, not logits"
        )
    return found

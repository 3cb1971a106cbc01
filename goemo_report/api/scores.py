"""Scores of predictions, whatever they are kept in."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from goemo_report.api.arguments import Labels, Names, Place, check, chosen_labels, place, settled
from goemo_report.api.arrays import Threshold, arrays, of_frame, thresholds_of
from goemo_report.api.progress import Shown
from goemo_report.contract import DEFAULT_THRESHOLD, Split
from goemo_report.errors import ArgumentError, DataError
from goemo_report.formats import notebook
from goemo_report.formats.files import named_path, user_path
from goemo_report.metrics.scores import Scores, metrics_document, per_class_rows, score_predicted
from goemo_report.predictions import Predictions, understood
from goemo_report.predictions import read_predictions as _read_file

if TYPE_CHECKING:
    import pandas as pd

    from goemo_report.analysis.label_choice import LabelChoice
    from goemo_report.api.one_run import Run
    from goemo_report.report.document import Table
    from goemo_report.settings import SourceChoice

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
        """Oddities of the predictions: labels that never occur, columns that are alike."""
        from goemo_report.analysis.multilabel import oddities

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
        found = self.scores.overall
        parts = (
            f"{key}={notebook.text(found[key])}" for key in ("macro_f1", "micro_f1", "macro_auc")
        )
        return f"<Evaluation of {self.scores.rows:,} texts: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        scores = self.scores
        overall = notebook.table(("metric", "value"), scores.overall.items())
        keys = ("emotion", "f1_score", "precision", "recall", "support")
        rows = ([row[key] for key in keys] for row in per_class_rows(scores))
        return notebook.page(repr(self), overall, notebook.table(keys, rows))


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
        labels: the labels that it must have: a known set's name as `ekman`, a file of names,
            or the names.
        map_to: roll labels up: `ekman`, `sentiment`, or one of `[tool.goemo.groups]`.
        true: column of the true labels, or `true_{label}` for one of 0 and 1 a label.
        pred: column of the predicted labels, likewise.
        prob: columns of the probabilities, as `prob_{label}`, or one column of lists.
        name: what to call the file in messages; its own name without it.

    Raises:
        DataError: what cannot be read, naming file, line and column.
        ArgumentError: `path` is no path.

    """
    path = place(path, "path")
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
    true: str | None = None,
    pred: str | None = None,
    prob: str | None = None,
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
        true, pred, prob: of a file or a run: columns, as in `read_predictions`.
        artifact: of a run, where its predictions have another name: as `predictions` of `runs`.
        alias: of a run: as in `runs`.
        source, wandb_dir, entity, project: as in `runs`, for what names a run.
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
    check(split=split)
    has_arrays = y_true is not None or y_prob is not None or y_pred is not None
    if predictions is None:
        if y_true is None or (y_prob is None and y_pred is None):
            raise DataError("there is nothing to score", "Give predictions, or y_true and y_prob")
        about: dict[str, object] = {"map_to": map_to, "true": true, "pred": pred, "prob": prob}
        about |= {"artifact": artifact, "alias": alias, "source": source}
        name = next((name for name, given in about.items() if given), None)
        if name is not None:
            raise ArgumentError(f"{name}= is about a file or a run", "Leave it out with arrays")
        if y_pred is not None and threshold is not None:
            raise ArgumentError("y_pred and a threshold were given", "Give one of the two")
        held, order = arrays(y_true, y_prob, y_pred, labels)
        threshold = DEFAULT_THRESHOLD if y_pred is None and threshold is None else threshold
    elif has_arrays:
        raise DataError("predictions and arrays were given", "Give one of the two")
    else:
        choice = chosen_labels(labels, map_to, true=true, pred=pred, prob=prob)
        if hasattr(predictions, "to_csv"):  # a DataFrame
            predictions = of_frame(predictions, choice.reading)
        if isinstance(predictions, Predictions):
            held = choice.on(predictions)
        else:
            where = partial(settled, wandb_dir, entity, project, (), artifact, alias, source)
            if (artifact or alias) and _file(predictions) is not None:
                where().check_files()
            held = _read(predictions, split, where, choice, progress)
        order = held.labels
    known = None if has_arrays else held
    if threshold is None:
        own = partial(score_predicted, held.truth, held.y_prob, held.predicted, held.labels)
        return Evaluation(own, known)
    if not held.has_probabilities:
        what = f"{held.source} has no probabilities, only labels"
        raise DataError(what, "Leave the threshold out")
    cut = thresholds_of(threshold, held.labels, order)
    return Evaluation(partial(held.score_at, cut), known)


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
    return Run(record, source, progress).predictions(split, labels=labels)


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

"""The error browser: one row a text, who is wrong there, and suspected label errors apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from goemo_report.analysis.multilabel import Suspect, disagreements, mistakes, suspects
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.formats.wording import listed, plural
from goemo_report.metrics.arrays import BoolArray
from goemo_report.predictions import Predictions
from goemo_report.report.document import MISSING, Callout, Column, Row, Section, Table, Value
from goemo_report.report.sections._tables import firsts, label_column
from goemo_report.report.sections._words import measured, side

ORDER = 80
CHAPTER = "Errors"
_PAGE: Final = 10
_ROW: Final = Column("row", "row", "integer", help="data row of the prediction file, from 1")


def build(comparison: Comparison) -> Section | None:
    """Texts worth reading; None where no errors were asked for."""
    limit = comparison.options.max_errors
    if limit == 0:
        return None
    without = Callout(
        "note", "Texts are left out (--no-text); rows are those of the prediction file."
    )
    return Section.of(
        "errors",
        "Error browser",
        None if comparison.options.texts else without,
        _texts(comparison, limit),
        _suspects(comparison, limit),
        method=f"{measured(comparison)}. At most {limit} texts per {comparison.noun} and "
        "kind of mistake of A, and the texts on which A and B part most. Confidence: p for a false "
        "positive, 1 \u2212 p for a false negative. "
        "Suspected label errors: the runs' mean p is above the mean p of texts that carry the "
        "label although the text does not, or the reverse (the off-diagonal rule of confident "
        "learning, Northcutt et al., JAIR 2021). They are suspects, not corrections.",
    )


def _text_columns(comparison: Comparison) -> tuple[Column, ...]:
    return (Column("text", "text"),) if comparison.options.texts else ()


def _text_cells(comparison: Comparison, predictions: Predictions, row: int) -> tuple[Value, ...]:
    return (predictions.texts[row],) if comparison.options.texts else ()


def _names(predictions: Predictions, labels: BoolArray, row: int) -> str:
    return ", ".join(predictions.labels[j] for j in np.flatnonzero(labels[row])) or "(none)"


# --- One row a text -------------------------------------------------------------------


class Wrong(NamedTuple):
    """The most confident wrong decision on a text; labels alone have no confidence."""

    row: int
    label: int
    kind: str
    confidence: float | None


def wrong_decisions(best: ComparedRun, other: ComparedRun | None, limit: int) -> list[Wrong]:
    """One decision a text: of A's wrong ones the surest, else of B's where it is wrong."""
    predictions = best.predictions
    predicted = predictions.probabilities >= DEFAULT_THRESHOLD
    asked = [(predictions, {row: row for row in mistakes(predictions, predicted, limit)})]
    common = best.aligned(other) if other is not None else None
    if other is not None and common is not None and common.paired:
        both = predictions, other.predictions
        better, worse = disagreements(*both, common, DEFAULT_THRESHOLD, 5 * limit)
        places = dict(zip(common.rows.tolist(), common.other_rows.tolist(), strict=True))
        asked += [
            (predictions, {row: row for row in worse}),
            (other.predictions, {row: places[row] for row in (*better, *worse)}),
        ]
    found: dict[int, Wrong] = {}
    for judged, rows in asked:
        for row, place in rows.items():
            if row not in found:
                found[row] = _surest(judged, place, row, predictions.labels)
    return sorted(found.values(), key=lambda one: (-(one.confidence or 0.0), one.row))


def _surest(judged: Predictions, place: int, row: int, labels: tuple[str, ...]) -> Wrong:
    """The surest of the wrong decisions on a text that has one."""
    p, truth = judged.probabilities[place], judged.truth[place]
    shared = np.isin(judged.labels, labels)
    sure = np.where(truth, 1.0 - p, p) * ((p >= DEFAULT_THRESHOLD) != truth) * shared
    at = int(sure.argmax())
    kind = "false negative" if truth[at] else "false positive"
    confidence = float(sure[at]) if judged.has_probabilities else None
    return Wrong(row, labels.index(judged.labels[at]), kind, confidence)


def shown_runs(comparison: Comparison) -> list[ComparedRun]:
    """A, B and the best run of the other recipes that figures show, on the same texts as A."""
    best, other = comparison.best, comparison.runner_up
    runs = (best, other, *firsts(comparison))
    return _alike(best, dict.fromkeys(run for run in runs if run is not None))


def _alike(best: ComparedRun, runs: Iterable[ComparedRun]) -> list[ComparedRun]:
    """The runs on the same texts and labels as the best one."""
    same = best.predictions.texts, best.labels
    return [run for run in runs if (run.predictions.texts, run.labels) == same]


def _texts(comparison: Comparison, limit: int) -> Table:
    best, other, shown = comparison.best, comparison.runner_up, shown_runs(comparison)
    found = wrong_decisions(best, other, limit)
    predictions = best.predictions
    predicted = predictions.probabilities >= DEFAULT_THRESHOLD

    def row(one: Wrong) -> Row:
        p = [float(run.predictions.probabilities[one.row, one.label]) for run in shown]
        truth = bool(predictions.truth[one.row, one.label])
        wrong = [(value >= DEFAULT_THRESHOLD) != truth for value in p]
        known = [run.predictions.has_probabilities for run in shown]
        strip = (f"{value:.2f}" if own else MISSING for value, own in zip(p, known, strict=True))
        return (
            *_text_cells(comparison, predictions, one.row),
            _names(predictions, predictions.truth, one.row),
            _names(predictions, predicted, one.row),
            predictions.labels[one.label],
            one.kind,
            one.confidence,
            _who(wrong, b=other in shown[1:2]),
            " ".join(strip) if any(known) else "",
            one.row + 1,
        )

    keys = listed(run.key for run in shown)
    return Table(
        id="errors-texts",
        title="Texts that A or B gets wrong" if other else f"Texts that {best.short} gets wrong",
        columns=(
            *_text_columns(comparison),
            Column("true", "true"),
            Column("predicted", "A predicts"),
            Column("emotion", f"wrong {comparison.noun}"),
            Column("kind", "mistake"),
            Column("confidence", "sure", "number", digits=2, help="p of the wrong answer"),
            Column("who", "who is wrong"),
            Column("strip", "p of each run", "strip", help=f"of {keys}, for the {comparison.noun}"),
            _ROW,
        ),
        rows=tuple(map(row, found)),
        browse=True,
        page_size=_PAGE,
        scripted=bool(comparison.with_probabilities),
        row_header=-1,
        caption=f"A is {side(best)}{f', B is {side(other)}' if other else ''}. "
        f"{plural(len(found), 'text')}, the surest mistake of each; by confidence.",
    )


def _who(wrong: list[bool], *, b: bool) -> str:
    """Who is wrong, A being the first run and B, if it is there, the second."""
    if all(wrong):
        return "all wrong" if len(wrong) > 1 else "wrong"
    if not b:
        return "A wrong" if wrong[0] else "others wrong"
    if wrong[0] == wrong[1]:
        return "A and B wrong" if wrong[0] else "others wrong"
    first, second = "AB" if wrong[0] else "BA"
    return f"only {first} wrong" if sum(wrong) == 1 else f"{first} wrong, {second} right"


# --- Suspected label errors -----------------------------------------------------------


def suspected(comparison: Comparison, limit: int) -> list[Suspect]:
    """Labels of texts that all runs together contradict."""
    alike = _alike(comparison.best, comparison.with_probabilities)
    likely = [run.predictions.probabilities for run in alike]
    return suspects(comparison.best.predictions.truth, likely, 3 * limit) if alike else []


def _suspects(comparison: Comparison, limit: int) -> Table | None:
    predictions, found = comparison.best.predictions, suspected(comparison, limit)
    if not found:
        return None
    runs = plural(len(_alike(comparison.best, comparison.with_probabilities)), "run")
    return Table(
        id="suspects",
        title="Suspected label errors",
        columns=(
            label_column(comparison),
            Column("suspicion", "suspicion"),
            Column("mean", "mean p", "number"),
            *_text_columns(comparison),
            Column("true", f"true {comparison.nouns}"),
            _ROW,
        ),
        rows=tuple(
            (
                predictions.labels[item.label],
                "should not carry it" if item.labelled else "should carry it",
                round(item.mean, 4),
                *_text_cells(comparison, predictions, item.row),
                _names(predictions, predictions.truth, item.row),
                item.row + 1,
            )
            for item in found
        ),
        browse=True,
        page_size=_PAGE,
        collapsed=True,
        caption=f"Mean over {runs}; at most {3 * limit} of either kind, most confident first.",
    )

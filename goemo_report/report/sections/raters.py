"""The human ceiling: a held-out rater beside the runs."""

from __future__ import annotations

from goemo_report.analysis.raters import RATERS_METHOD, Agreement, RunBesideRaters
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.formats.wording import plural
from goemo_report.report.document import Callout, Cell, Column, Row, Section, Table
from goemo_report.report.sections._tables import columns, label_table, run_columns
from goemo_report.report.sections._words import HELD_OUT, measured

ORDER = 45
CHAPTER = "Where it differs"


def build(comparison: Comparison) -> Section | None:
    """Macro F1, cross-entropy and F1 of every label; None where no ratings were given."""
    runs = [(run, comparison.raters[run.id]) for run in comparison.ranked if comparison.raters]
    if not runs or comparison.ratings is None:
        return None
    return Section.of(
        "raters",
        "Beside human raters",
        _table(runs),
        _left_out(runs[0][1]),
        _labels(comparison, runs),
        lead=_lead(*runs[0]),
        method=f"{measured(comparison)}; {RATERS_METHOD}. Of {comparison.ratings.source}: "
        f"{plural(len(comparison.ratings), 'rating')}"
        f"{_words(comparison.ratings.unclear, 'left out that call the text too unclear')}"
        f"{_words(comparison.ratings.repeated, 'left out that repeat a rater and text')}. "
        "References rest on one rater fewer than the true labels do, so that the figures here are "
        "lower than those against the true labels.",
    )


def _words(number: int, what: str) -> str:
    return f", {number:,} {what}" if number else ""


def _lead(run: ComparedRun, found: RunBesideRaters) -> str:
    low, high = found.gap_interval
    word = "ahead of" if low > 0.0 else "behind" if high < 0.0 else "not told from"
    return (
        f"Against the labels on which the other raters agree, {run.short} is {word} a rater who "
        f"is held out: macro F1 {found.run.macro_f1:.3f} and {found.rater.macro_f1:.3f}."
    )


def _table(runs: list[tuple[ComparedRun, RunBesideRaters]]) -> Table:
    rows: list[Row] = []
    shown: set[tuple[float, ...]] = set()
    for _, found in runs:
        one, key = found.rater, (found.texts, found.rater.macro_f1, found.floor)
        if key not in shown:  # runs on other texts have another one
            shown.add(key)
            scores = Cell(one.macro_f1, *one.macro), None, Cell(one.micro_f1, *one.micro)
            rows.append((HELD_OUT, found.texts, *scores, None, None))
    for run, found in runs:
        soft, name = found.soft, Cell(run.short, link=run.record.url)
        macro = Cell(found.run.macro_f1, *found.run.macro)
        gap = Cell(found.gap, *found.gap_interval)
        micro = Cell(found.run.micro_f1, *found.run.micro)
        entropy = (soft.cross_entropy, Cell(soft.above, *soft.interval)) if soft else (None, None)
        rows.append((name, found.texts, macro, gap, micro, *entropy))
    return Table(
        id="raters-runs",
        title="A held-out rater and the runs, judged by the other raters",
        columns=(
            *columns("run", texts="integer"),
            Column("macro_f1", "macro F1", "number"),
            Column("difference", "to the rater", "delta"),
            Column("micro_f1", "micro F1", "number"),
            Column("cross_entropy", "cross-entropy", "number", digits=4),
            Column("above_floor", "above the floor", "number", digits=4),
        ),
        rows=tuple(rows),
        caption=f"No cross-entropy is below {runs[0][1].floor:.4f}, the entropy of the shares of "
        "raters."
        if any(found.soft for _, found in runs)
        else "",
    )


def _left_out(found: RunBesideRaters) -> Callout:
    parts = [f"{plural(found.texts, 'text')} compared"]
    if found.unrated:
        parts.append(f"{plural(found.unrated, 'text')} without raters")
    if found.open:
        parts.append(f"{plural(found.open, 'text')} on which no two raters agree beside a third")
    return Callout(
        "note" if found.as_true > 0.5 else "warning",
        f"{'; '.join(parts)}. On {found.as_true:.1%} of the rated texts the true labels are those "
        "that two raters or more chose.",
    )


def _labels(comparison: Comparison, runs: list[tuple[ComparedRun, RunBesideRaters]]) -> Table:
    compared = [run for run, _ in runs]
    held = next((one for one in runs if one[0].labels == comparison.labels), runs[0])
    columns_of = [_f1(held[0], held[1].rater), *(_f1(run, found.run) for run, found in runs)]
    return label_table(
        comparison,
        "raters-emotions",
        f"F1 of each {comparison.noun}, judged by the other raters",
        (Column("rater", HELD_OUT, "number"), *run_columns(compared, shade=True)),
        lambda label: (one.get(label, Cell(None)) for one in columns_of),
        collapsed=True,
    )


def _f1(run: ComparedRun, found: Agreement) -> dict[str, Cell]:
    """F1 by label, with intervals."""
    values = (part.tolist() for part in (found.per_class, found.low, found.high))
    return dict(zip(run.labels, map(Cell, *values), strict=True))

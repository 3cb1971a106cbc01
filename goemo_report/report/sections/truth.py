"""Truth: what the runs logged beside what their predictions say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from goemo_report.analysis.truth import (
    TOLERANCE,
    LoggedCheck,
    check_logged,
    not_checkable,
    sample_problems,
)
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.contract import LEAK_LIMIT, SPLITS, Split
from goemo_report.formats.wording import listed, plural
from goemo_report.metrics.table import class_key
from goemo_report.report.document import (
    PAGE_ROWS,
    Callout,
    Cell,
    Column,
    ColumnKind,
    Row,
    Section,
    Table,
)
from goemo_report.report.sections._tables import Cells, callout, columns, number, run_table
from goemo_report.results.overlap import Leak, leaks, overlap

ORDER = 90
CHAPTER = "Can I trust it?"

_Checks: TypeAlias = Mapping[ComparedRun, tuple[LoggedCheck, ...]]


def build(comparison: Comparison) -> Section:
    """Logged against recomputed for every figure that the predictions can confirm."""
    checks = {run: check_logged(run.result) for run in comparison.runs}
    problems = (
        f"{run.name}: {problem}"
        for run in comparison.runs
        for problem in sample_problems(run.result)
    )
    return Section.of(
        "truth",
        "Logged against recomputed",
        _verdict(checks),
        _counts(checks),
        callout("warning", "What does not fit together:", problems),
        callout("note", "Not checkable from predictions:", _unchecked(comparison)),
        _overlaps(comparison),
        _figures(checks, whole=False),
        _figures(checks, whole=True),
        lead="The numbers of this report come from the predictions. Here they stand beside the "
        "numbers that the runs logged.",
        method=f"A difference above {TOLERANCE:g} is flagged; smaller ones are put down to "
        "rounding. F1, precision and recall follow the file's own pred_labels. A bare auc is the "
        f"micro AUC, over all text x {comparison.noun} pairs. Validation figures are those logged "
        "at the best epoch, from which the predictions come. Per-class figures are listed only "
        "where they differ; the first table counts all.",
    )


def _unchecked(comparison: Comparison) -> tuple[str, ...]:
    """Logged figures that predictions cannot confirm; runs with the same ones share a line."""
    keys: dict[tuple[str, ...], list[str]] = {}
    for run in comparison.runs:
        found = tuple(sorted(not_checkable(run.result)))
        if found:
            keys.setdefault(found, []).append(run.key)
    return tuple(f"{', '.join(runs)}: {listed(found, 12)}" for found, runs in keys.items())


def _overlaps(comparison: Comparison) -> Table:
    """Repeated and leaked texts; runs on the same texts share a row."""
    groups: dict[tuple[object, ...], list[ComparedRun]] = {}
    for run in comparison.runs:
        splits = run.result.splits
        texts = (splits[s].predictions.texts if s in splits else () for s in SPLITS)
        groups.setdefault((*texts, leaks(run.result)), []).append(run)
    data = comparison.label_set.own_data
    known = f"Repeats are part of {data.title} ({data.repeats}); a" if data else ""
    above = known if data and data.repeats else "A"
    seen = any(leak.other == "training" for run in comparison.runs for leak in leaks(run.result))
    rows: list[Row] = []
    for runs in groups.values():
        found, keys = overlap(runs[0].result.splits), ", ".join(run.key for run in runs)
        between = {(leak.split, leak.other): leak for leak in leaks(runs[0].result)}
        repeats = (of.get(s) for s in SPLITS for of in (found.repeated, found.conflicting))
        leaked = _leak_cell(between.get(("test", "validation")))
        trained = [_leak_cell(between.get((s, "training"))) for s in SPLITS if seen]
        rows.append((keys, *repeats, leaked, found.leaked_with_labels, *trained))
    return Table(
        id="truth-overlap",
        title="Repeated and leaked texts",
        columns=(
            *columns("runs"),
            *(
                column
                for s in SPLITS
                for column in (
                    Column(f"{s}_repeated", f"repeated in {s}", "integer"),
                    Column(f"{s}_conflicting", "with other labels", "integer"),
                )
            ),
            Column("leaked", "test texts also in val", "integer"),
            Column("leaked_with_labels", "with the same labels", "integer"),
            *(
                Column(f"leaked_{s}", f"{s} texts also in training, as logged", "integer")
                for s in SPLITS
                if seen
            ),
        ),
        rows=tuple(rows),
        caption=f"By exact text. {above}bove {LEAK_LIMIT:.0%} between splits is marked: it "
        "flatters the scores, or tuning."
        + ("" if seen else " Overlap with training cannot be seen in predictions."),
    )


def _leak_cell(leak: Leak | None) -> Cell:
    return Cell(leak.count, mark="warning" if leak.large else None) if leak else Cell(None)


def _verdict(checks: _Checks) -> Callout:
    wrong = {run: [one for one in found if not one.agrees] for run, found in checks.items()}
    total, bad = (sum(map(len, each.values())) for each in (checks, wrong))
    if not total:
        return Callout("note", "The runs logged nothing that the predictions could confirm.")
    if not bad:
        return Callout("verdict", f"All {total:,} logged figures agree with the predictions.")
    items = []
    for run, found in wrong.items():
        explained = dict.fromkeys(f"{c.key} {c.explanation}" for c in found if c.explanation)
        if found:
            text = f"{run.name}: {plural(len(found), 'figure')} differ"
            items.append(f"{text} ({'; '.join(list(explained)[:3])})" if explained else text)
    return Callout(
        "warning", f"{bad:,} of {total:,} logged figures differ from the predictions.", tuple(items)
    )


def _counts(checks: _Checks) -> Table:
    def cells(run: ComparedRun) -> Cells:
        found = checks[run]
        differ = sum(not check.agrees for check in found)
        gaps = [abs(check.difference) for check in found if check.difference is not None]
        yield from (len(found), len(found) - differ)
        yield Cell(differ, mark="warning" if differ else None)
        yield max(gaps, default=None)
        yield from (_samples(run, split) for split in SPLITS)

    columns = (
        Column("checked", "figures checked", "integer"),
        Column("agree", "agree", "integer"),
        Column("differ", "differ", "integer"),
        Column("largest", "largest difference", "number", digits=4),
        *(Column(f"{s}_texts", f"{s} texts, config / file", "text") for s in SPLITS),
    )
    totals = ("checked", "agree", "differ")
    return run_table("truth-counts", "Figures confirmed", checks, columns, cells, totals=totals)


def _samples(run: ComparedRun, split: Split) -> Cell:
    found = run.result.splits.get(split)
    logged = run.record.config.get(f"{split}_samples")
    if found is None:
        return Cell(None)
    if logged is None:
        return Cell(f"not logged / {found.rows:,}")
    stated = f"{logged:,}" if isinstance(logged, int) else f"{logged}"
    return Cell(f"{stated} / {found.rows:,}", mark=None if logged == found.rows else "warning")


def _is_whole(check: LoggedCheck) -> bool:
    """Whether a figure is an epoch or a count and both values are whole numbers."""
    counted = check.key.endswith(("epoch", "epochs", "samples")) or "support_" in check.key
    values = (check.logged, check.recomputed)
    return counted and all(value is not None and float(value).is_integer() for value in values)


def _figures(checks: _Checks, *, whole: bool) -> Table | None:
    """Figures side by side: all overall ones, and those of classes that differ."""
    shown = [
        (run, check)
        for run, found in checks.items()
        for check in found
        if _is_whole(check) == whole
        and not (check.agrees and class_key(check.key.partition("/")[2])[0])
    ]
    if len(shown) > PAGE_ROWS:
        shown.sort(key=lambda one: one[1].agrees)  # a page has the first ones
    kind: ColumnKind = "integer" if whole else "number"
    digits = 0 if whole else 4
    table = Table(
        id="truth-whole-figures" if whole else "truth-figures",
        title="Epochs and counts, logged beside recomputed"
        if whole
        else "Logged beside recomputed",
        columns=(
            *columns("run", figure="code"),
            Column("place", "logged in"),
            *(Column(key, key, kind, digits=4) for key in ("logged", "recomputed")),
            Column("difference", "difference", "delta", digits, help="logged \u2212 recomputed"),
            Column("verdict", "verdict"),
        ),
        rows=tuple((run.short, *_check_cells(one)) for run, one in shown),
        browse=25 < len(shown) <= PAGE_ROWS,
        collapsed=True,
    )
    return table if shown else None


def _check_cells(check: LoggedCheck) -> Cells:
    yield from (check.key, check.place, number(check.logged), check.recomputed, check.difference)
    words = f"differs: {check.explanation}" if check.explanation else "differs"
    yield "agrees" if check.agrees else Cell(words, mark="warning")

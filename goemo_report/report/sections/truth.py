"""Truth: what the runs logged beside what their predictions say."""

from __future__ import annotations

from goemo_report.analysis.truth import (
    LEAK_LIMIT,
    TOLERANCE,
    Leak,
    LoggedCheck,
    Overlap,
    check_logged,
    leaks,
    not_checkable,
    overlap,
    sample_problems,
)
from goemo_report.comparison import Comparison
from goemo_report.contract import SPLITS, Split
from goemo_report.report.document import (
    Block,
    Callout,
    Cell,
    Column,
    ColumnKind,
    Section,
    Table,
    Value,
)
from goemo_report.report.sections._common import key_column, listed, number, plural, run_cell
from goemo_report.results import RunResult

ORDER = 50


def build(comparison: Comparison) -> Section:
    """Logged against recomputed for every figure that the predictions can confirm."""
    checks = {run.id: check_logged(run) for run in comparison.runs}
    overall = [
        (run, check)
        for run in comparison.runs
        for check in checks[run.id]
        if not _is_per_class(check) or not check.agrees
    ]
    blocks: list[Block] = [_verdict(comparison, checks), _counts(comparison, checks)]
    problems = [
        f"{comparison.name(run)}: {problem}"
        for run in comparison.runs
        for problem in sample_problems(run)
    ]
    if problems:
        blocks.append(Callout("warning", "What does not fit together:", tuple(problems)))
    unchecked = _unchecked(comparison)
    if unchecked:
        blocks.append(Callout("note", "Not checkable from predictions:", unchecked))
    blocks.append(_overlaps(comparison))
    for whole in (False, True):
        figures = [(run, check) for run, check in overall if _is_whole(check) == whole]
        if figures:
            blocks.append(_table(comparison, figures, whole=whole))
    return Section(
        "truth",
        "Logged against recomputed",
        tuple(blocks),
        lead="The numbers of this report come from the predictions. Here they stand beside the "
        "numbers that the runs logged.",
        method=f"A difference above {TOLERANCE:g} is flagged; smaller ones are put down to "
        "rounding. F1, precision and recall follow the file's own pred_labels. A bare auc is the "
        "micro AUC, over all text x emotion pairs. Validation figures are those logged at the "
        "best epoch, from which the predictions come. Per-class figures are listed only where "
        "they differ; the first table counts all.",
    )


def _unchecked(comparison: Comparison) -> tuple[str, ...]:
    """Logged figures that predictions cannot confirm; runs with the same ones share a line."""
    keys: dict[tuple[str, ...], list[str]] = {}
    for run in comparison.runs:
        found = tuple(sorted(not_checkable(run)))
        if found:
            keys.setdefault(found, []).append(comparison.keys[run.id])
    return tuple(f"{', '.join(runs)}: {listed(found, 12)}" for found, runs in keys.items())


def _overlaps(comparison: Comparison) -> Table:
    """Repeated and leaked texts; runs on the same texts share a row."""
    groups: dict[tuple[object, ...], list[RunResult]] = {}
    for run in comparison.runs:
        texts = [run.splits[s].predictions.texts if s in run.splits else () for s in SPLITS]
        groups.setdefault((*texts, leaks(run)), []).append(run)
    seen = any(leak.other == "training" for run in comparison.runs for leak in leaks(run))
    rows: list[tuple[Value | Cell, ...]] = []
    for runs in groups.values():
        found = overlap(runs[0])
        between = {(leak.split, leak.other): leak for leak in leaks(runs[0])}
        trained = (_leak_cell(between.get((s, "training"))) for s in SPLITS)
        rows.append(
            (
                ", ".join(comparison.keys[run.id] for run in runs),
                *(value for s in SPLITS for value in _repeats(found, s)),
                _leak_cell(between.get(("test", "validation"))),
                found.leaked_with_labels,
                *(trained if seen else ()),
            )
        )
    return Table(
        id="truth-overlap",
        title="Repeated and leaked texts",
        columns=(
            Column("runs", "runs"),
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
        caption="By exact text. Repeats are part of GoEmotions (short comments such as thanks); "
        f"above {LEAK_LIMIT:.0%} between splits is marked: it flatters the scores, or tuning."
        + ("" if seen else " Overlap with training cannot be seen in predictions."),
    )


def _leak_cell(leak: Leak | None) -> Cell:
    if leak is None:
        return Cell(None)
    return Cell(leak.count, mark="warning" if leak.large else None)


def _repeats(found: Overlap, split: Split) -> tuple[int | None, int | None]:
    return found.repeated.get(split), found.conflicting.get(split)


def _is_per_class(check: LoggedCheck) -> bool:
    name = check.key.partition("/")[2]
    return name.startswith(("f1_", "precision_", "recall_", "support_"))


def _verdict(comparison: Comparison, checks: dict[str, tuple[LoggedCheck, ...]]) -> Callout:
    wrong = {key: [check for check in found if not check.agrees] for key, found in checks.items()}
    total = sum(map(len, checks.values()))
    bad = sum(map(len, wrong.values()))
    if not total:
        return Callout("note", "The runs logged nothing that the predictions could confirm.")
    if not bad:
        return Callout("verdict", f"All {total:,} logged figures agree with the predictions.")
    items = []
    for run in comparison.runs:
        explained = {
            f"{check.key} {check.explanation}": 0 for check in wrong[run.id] if check.explanation
        }
        if wrong[run.id]:
            text = f"{comparison.name(run)}: {plural(len(wrong[run.id]), 'figure')} differ"
            items.append(f"{text} ({'; '.join(list(explained)[:3])})" if explained else text)
    return Callout(
        "warning", f"{bad:,} of {total:,} logged figures differ from the predictions.", tuple(items)
    )


def _counts(comparison: Comparison, checks: dict[str, tuple[LoggedCheck, ...]]) -> Table:
    return Table(
        id="truth-counts",
        title="Figures confirmed",
        columns=(
            key_column(),
            Column("run", "run"),
            Column("checked", "figures checked", "integer"),
            Column("agree", "agree", "integer"),
            Column("differ", "differ", "integer"),
            Column("largest", "largest difference", "number", digits=4),
            *(Column(f"{s}_texts", f"{s} texts, config / file", "text") for s in SPLITS),
        ),
        rows=tuple(_count_row(comparison, run, checks[run.id]) for run in comparison.runs),
        row_header=1,
    )


def _count_row(
    comparison: Comparison, run: RunResult, checks: tuple[LoggedCheck, ...]
) -> tuple[Value | Cell, ...]:
    agree = sum(check.agrees for check in checks)
    differ = len(checks) - agree
    differences = [abs(check.difference) for check in checks if check.difference is not None]
    return (
        comparison.keys[run.id],
        run_cell(comparison, run),
        len(checks),
        agree,
        Cell(differ, mark="warning" if differ else None),
        max(differences, default=None),
        *(_samples(run, split) for split in SPLITS),
    )


def _samples(run: RunResult, split: str) -> Cell:
    found = next((item for key, item in run.splits.items() if key == split), None)
    logged = run.run.config.get(f"{split}_samples")
    if found is None:
        return Cell(None)
    if logged is None:
        return Cell(f"not logged / {found.rows:,}")
    words = (
        f"{logged:,} / {found.rows:,}" if isinstance(logged, int) else f"{logged} / {found.rows:,}"
    )
    return Cell(words, mark=None if logged == found.rows else "warning")


def _is_whole(check: LoggedCheck) -> bool:
    """Whether a figure is an epoch or a count and both values are whole numbers."""
    counted = check.key.endswith(("epoch", "epochs", "samples")) or "support_" in check.key
    values = (check.logged, check.recomputed)
    return counted and all(value is not None and float(value).is_integer() for value in values)


def _table(
    comparison: Comparison, checks: list[tuple[RunResult, LoggedCheck]], *, whole: bool
) -> Table:
    kind: ColumnKind = "integer" if whole else "number"
    return Table(
        id="truth-whole-figures" if whole else "truth-figures",
        title="Epochs and counts, logged beside recomputed"
        if whole
        else "Logged beside recomputed",
        columns=(
            Column("run", "run"),
            Column("figure", "figure", "code"),
            Column("place", "logged in"),
            Column("logged", "logged", kind, digits=4),
            Column("recomputed", "recomputed", kind, digits=4),
            Column(
                "difference",
                "difference",
                "delta",
                digits=0 if whole else 4,
                help="logged \u2212 recomputed",
            ),
            Column("verdict", "verdict"),
        ),
        rows=tuple(
            (
                comparison.short(run),
                check.key,
                check.place,
                number(check.logged),
                check.recomputed,
                check.difference,
                _check_verdict(check),
            )
            for run, check in checks
        ),
        browse=len(checks) > 25,
    )


def _check_verdict(check: LoggedCheck) -> Cell:
    if check.agrees:
        return Cell("agrees")
    return Cell(f"differs: {check.explanation}" if check.explanation else "differs", mark="warning")

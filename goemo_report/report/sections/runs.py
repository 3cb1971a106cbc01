"""The runs: what they are, where their predictions come from, which were left out."""

from __future__ import annotations

from goemo_report.analysis.configs import seed_of
from goemo_report.comparison import Comparison
from goemo_report.contract import SPLITS
from goemo_report.report.document import Block, Callout, Cell, Column, Section, Table, Value
from goemo_report.report.sections._common import key_column, listed, plain, plural, run_cell
from goemo_report.results import RunResult

ORDER = 30


def build(comparison: Comparison) -> Section:
    """The run table and the runs that were left out."""
    blocks: list[Block] = [_table(comparison), _read(comparison)]
    problems = [
        f"{comparison.name(run)}: {split} predictions: {reason}"
        for run in comparison.runs
        for split, reason in run.problems.items()
    ]
    if problems:
        blocks.append(
            Callout("note", "Some runs have predictions on one split only.", tuple(problems))
        )
    if comparison.skipped:
        blocks.append(
            Table(
                id="skipped-runs",
                title="Runs left out",
                columns=(Column("run", "run"), Column("reason", "reason")),
                rows=tuple((item.name, item.reason) for item in comparison.skipped),
            )
        )
    lead = (
        f"{plural(len(comparison.runs), 'run')}, in the order of creation. Deltas are taken to "
        f"{comparison.name(comparison.baseline)} ({comparison.baseline_rule})."
    )
    if comparison.skipped:
        lead += f" {plural(len(comparison.skipped), 'run')} could not be used."
    return Section("runs", "Runs", tuple(blocks), lead=lead)


def _table(comparison: Comparison) -> Table:
    return Table(
        id="compared-runs",
        title="Compared runs",
        columns=(
            key_column(),
            Column("run", "run"),
            Column("model", "model"),
            Column("seed", "seed"),
            Column("tags", "tags"),
            Column("state", "state"),
            Column("created", "created", "date"),
        ),
        rows=tuple(
            (
                comparison.keys[result.id],
                run_cell(comparison, result),
                result.run.model_name,
                plain(seed_of(result.run)),
                listed(result.run.tags).replace(" and ", ", "),
                Cell(result.run.state, mark=None if result.run.state == "finished" else "warning"),
                result.run.created_at,
            )
            for result in comparison.runs
        ),
        row_header=1,
        caption=f"Source: {comparison.source}." if comparison.source else "",
    )


def _read(comparison: Comparison) -> Table:
    return Table(
        id="runs-read",
        title="What was read of them",
        columns=(
            key_column(),
            Column("run", "run"),
            Column("epochs", "best / last epoch", help="as logged"),
            Column("training_time", "training time", "duration", help="as logged"),
            *(Column(f"{split}_texts", f"{split} texts", "integer") for split in SPLITS),
            Column("labels", "labels", "integer"),
            Column("threshold", "threshold of pred_labels", help="inferred from the predictions"),
            Column("paired", "rows shared with the baseline"),
        ),
        rows=tuple(_row(comparison, run) for run in comparison.runs),
        row_header=1,
    )


def _row(comparison: Comparison, result: RunResult) -> tuple[Value | Cell, ...]:
    found = comparison.on_split(result)
    doubtful = bool(found.threshold.contradictions)
    return (
        comparison.keys[result.id],
        run_cell(comparison, result),
        _epochs(result),
        result.logged.get("total_training_time"),
        *(result.splits[split].rows if split in result.splits else None for split in SPLITS),
        len(found.labels),
        Cell(found.threshold.description, mark="warning" if doubtful else None),
        _pairing(comparison, result),
    )


def _epochs(result: RunResult) -> str | None:
    best, last = result.logged.get("best_epoch"), result.logged.get("final_epoch")
    if best is None and last is None:
        return None
    return " / ".join("\u2013" if value is None else f"{value:g}" for value in (best, last))


def _pairing(comparison: Comparison, result: RunResult) -> Cell:
    if result is comparison.baseline:
        return Cell("baseline")
    alignment = comparison.alignments[result.id]
    return Cell(alignment.note, mark=None if alignment.paired else "warning")

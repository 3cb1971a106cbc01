"""The runs: what they are, where their predictions come from, which were left out."""

from __future__ import annotations

from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.contract import SPLITS
from goemo_report.formats.wording import listed, plural
from goemo_report.report.document import Cell, Column, Section, Table
from goemo_report.report.sections._tables import Cells, callout, columns, plain, run_table

ORDER = 130
CHAPTER = "Appendix"


def build(comparison: Comparison) -> Section:
    """The run table and the runs that were left out."""
    lead = (
        f"{plural(len(comparison.runs), 'run')}, in the order of creation. Deltas are taken to "
        f"{comparison.baseline.name} ({comparison.baseline_rule})."
    )
    skipped = None
    if comparison.skipped:
        lead += f" {plural(len(comparison.skipped), 'run')} could not be used."
        skipped = Table(
            id="skipped-runs",
            title="Runs left out",
            columns=columns("run", "reason"),
            rows=tuple((item.name, item.reason) for item in comparison.skipped),
        )
    problems = (
        f"{run.name}: {split} predictions: {reason}"
        for run in comparison.runs
        for split, reason in run.result.problems.items()
    )
    return Section.of(
        "runs",
        "Runs",
        _table(comparison),
        _read(comparison),
        callout("note", "Some runs have predictions on one split only.", problems),
        skipped,
        lead=lead,
    )


def _table(comparison: Comparison) -> Table:
    def cells(run: ComparedRun) -> Cells:
        record = run.record
        yield from (record.model_name, plain(run.seed))
        yield listed(record.tags).replace(" and ", ", ")
        yield Cell(record.state, mark=None if record.state == "finished" else "warning")
        yield record.created_at

    return run_table(
        "compared-runs",
        "Compared runs",
        comparison.runs,
        columns("model", "seed", "tags", "state", created="date"),
        cells,
        caption=f"Source: {comparison.source}." if comparison.source else "",
    )


def _read(comparison: Comparison) -> Table:
    shown = (
        Column("epochs", "best / last epoch", help="as logged"),
        Column("training_time", "training time", "duration", help="as logged"),
        *(Column(f"{split}_texts", f"{split} texts", "integer") for split in SPLITS),
        Column("labels", "labels", "integer"),
        Column("threshold", "threshold of pred_labels", help="inferred from the predictions"),
        Column("paired", "rows shared with the baseline"),
    )
    return run_table("runs-read", "What was read of them", comparison.runs, shown, _cells)


def _cells(run: ComparedRun) -> Cells:
    splits, threshold = run.result.splits, run.split_result.threshold
    epochs = [run.result.logged.get(key) for key in ("best_epoch", "final_epoch")]
    known = ("\u2013" if value is None else f"{value:g}" for value in epochs)
    yield None if epochs == [None, None] else " / ".join(known)
    yield run.result.logged.get("total_training_time")
    yield from (splits[split].rows if split in splits else None for split in SPLITS)
    yield len(run.labels)
    yield Cell(threshold.description, mark="warning" if threshold.contradictions else None)
    note = run.alignment.note if run.alignment else "baseline"
    yield Cell(note, mark=None if run.is_baseline or run.is_paired else "warning")

"""Calibration: do probabilities mean what they say?"""

from __future__ import annotations

from typing import Final

from goemo_report.analysis.calibration import BINS, Reliability, class_ece, reliability
from goemo_report.comparison import Comparison
from goemo_report.report.document import Axis, Block, Cell, Column, Plot, Section, Series, Table
from goemo_report.report.sections._common import key_column, run_cell, run_columns, sample

ORDER = 90
LIKELY: Final = 0.05
"""Pairs below this probability are nearly all negative; the diagram leaves them out."""


def build(comparison: Comparison) -> Section:
    """Reliability diagram and calibration errors of every run."""
    found: dict[str, Reliability] = {}
    upper: dict[str, Reliability] = {}
    for run in comparison.runs:
        predictions = comparison.on_split(run).predictions
        found[run.id] = reliability(predictions.truth, predictions.probabilities)
        likely = predictions.probabilities >= LIKELY
        if likely.any():
            upper[run.id] = reliability(
                predictions.truth[likely], predictions.probabilities[likely]
            )
    blocks: list[Block] = [
        _plot(comparison, upper),
        _table(comparison, found, upper),
        _per_class(comparison),
    ]
    return Section(
        "calibration",
        "Calibration",
        tuple(blocks),
        lead="Among the pairs to which a run gives probability p, a share p should be true. Above "
        "the diagonal a run is too careful, below it too bold.",
        method=f"{sample(comparison)}, all text x emotion pairs, no threshold. ECE: mean of "
        f"|frequency \u2212 mean probability| over {BINS} bins of equal mass, weighted by size. "
        "Most pairs are negative with a small probability, so a small ECE over all pairs comes "
        f"easily: the diagram and the second column take the pairs with p \u2265 {LIKELY:g} only. "
        "Brier: mean squared error of the probability.",
    )


def _plot(comparison: Comparison, found: dict[str, Reliability]) -> Plot:
    series = tuple(
        Series(
            name=comparison.short(run),
            x=tuple(found[run.id].confidence.round(4).tolist()),
            y=tuple(found[run.id].frequency.round(4).tolist()),
            notes=tuple(f"{size:,} pairs" for size in found[run.id].size.tolist()),
            colour=comparison.colours[run.id],
        )
        for run in comparison.runs
        if run.id in found
    )
    table = Table(
        id="reliability-bins",
        title="Bins of the reliability diagram",
        columns=(
            Column("run", "run"),
            Column("bin", "bin", "integer"),
            Column("pairs", "pairs", "integer"),
            Column("confidence", "mean probability", "number", digits=4),
            Column("frequency", "share true", "number", digits=4),
        ),
        rows=tuple(
            (comparison.short(run), number, size, confidence, frequency)
            for run in comparison.runs
            if run.id in found
            for number, (size, confidence, frequency) in enumerate(
                zip(
                    found[run.id].size.tolist(),
                    found[run.id].confidence.tolist(),
                    found[run.id].frequency.tolist(),
                    strict=True,
                ),
                1,
            )
        ),
        collapsed=True,
    )
    return Plot(
        id="reliability",
        title=f"Reliability diagram of pairs with p \u2265 {LIKELY:g}",
        alt="Share of true pairs against mean probability in bins of equal mass, one line a run; "
        "the diagonal is perfect calibration.",
        x=Axis("mean probability", low=0, high=1),
        y=Axis("share true", low=0, high=1),
        series=series,
        table=table,
        diagonal=True,
    )


def _table(
    comparison: Comparison, found: dict[str, Reliability], upper: dict[str, Reliability]
) -> Table:
    best = min(item.ece for item in found.values())
    several = len(found) > 1
    return Table(
        id="calibration-errors",
        title="Calibration errors",
        columns=(
            key_column(),
            Column("run", "run"),
            Column("ece", "ECE", "number", digits=4),
            Column("ece_likely", f"ECE, p \u2265 {LIKELY:g}", "number", digits=4),
            Column("brier", "Brier", "number", digits=4),
            Column("mean_probability", "mean probability", "number", digits=4),
            Column("base_rate", "share true", "number", digits=4),
        ),
        rows=tuple(
            (
                comparison.keys[run.id],
                run_cell(comparison, run),
                Cell(item.ece, mark="best" if several and item.ece == best else None),
                upper[run.id].ece if run.id in upper else None,
                item.brier,
                item.mean_probability,
                item.base_rate,
            )
            for run in comparison.runs
            for item in (found[run.id],)
        ),
        row_header=1,
    )


def _per_class(comparison: Comparison) -> Table:
    errors: dict[str, dict[str, float]] = {}
    for run in comparison.runs:
        predictions = comparison.on_split(run).predictions
        values = class_ece(predictions.truth, predictions.probabilities).tolist()
        errors[run.id] = dict(zip(predictions.labels, values, strict=True))
    return Table(
        id="calibration-emotions",
        title="ECE of each emotion",
        columns=(
            Column("emotion", "emotion"),
            *run_columns(comparison, comparison.runs, digits=4, shade=True),
        ),
        rows=tuple(
            (label, *(errors[run.id].get(label) for run in comparison.runs))
            for label in comparison.labels
        ),
        collapsed=True,
    )

"""Calibration: do probabilities mean what they say?"""

from __future__ import annotations

from typing import Final

from goemo_report.analysis.calibration import BINS, Reliability, class_ece, reliability
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.report.document import Axis, Cell, Column, Plot, Section, Table
from goemo_report.report.sections._tables import (
    Cells,
    label_table,
    run_columns,
    run_series,
    run_table,
)
from goemo_report.report.sections._words import sample

ORDER = 90
LIKELY: Final = 0.05
"""Pairs below this probability are nearly all negative; the diagram leaves them out."""


def build(comparison: Comparison) -> Section:
    """Reliability diagram and calibration errors of every run."""
    found: dict[str, Reliability] = {}
    upper: dict[str, Reliability] = {}
    for run in comparison.runs:
        truth, probabilities = run.predictions.truth, run.predictions.probabilities
        found[run.id] = reliability(truth, probabilities)
        likely = probabilities >= LIKELY
        if likely.any():
            upper[run.id] = reliability(truth[likely], probabilities[likely])
    return Section(
        "calibration",
        "Calibration",
        (_plot(comparison, upper), _table(comparison, found, upper), _per_class(comparison)),
        lead="Among the pairs to which a run gives probability p, a share p should be true. Above "
        "the diagonal a run is too careful, below it too bold.",
        method=f"{sample(comparison)}, all text x {comparison.noun} pairs, no threshold. ECE: mean "
        f"of |frequency \u2212 mean probability| over {BINS} bins of equal mass, weighted by size. "
        "Most pairs are negative with a small probability, so a small ECE over all pairs comes "
        f"easily: the diagram and the second column take the pairs with p \u2265 {LIKELY:g} only. "
        "Brier: mean squared error of the probability.",
    )


def _plot(comparison: Comparison, found: dict[str, Reliability]) -> Plot:
    runs = [(run, found[run.id]) for run in comparison.runs if run.id in found]
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
            (run.short, number, *values)
            for run, one in runs
            for number, values in enumerate(
                zip(
                    *(part.tolist() for part in (one.size, one.confidence, one.frequency)),
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
        series=tuple(
            run_series(
                run,
                one.confidence.tolist(),
                one.frequency.tolist(),
                notes=tuple(f"{size:,} pairs" for size in one.size.tolist()),
            )
            for run, one in runs
        ),
        table=table,
        diagonal=True,
    )


def _table(
    comparison: Comparison, found: dict[str, Reliability], upper: dict[str, Reliability]
) -> Table:
    best = min(item.ece for item in found.values()) if len(found) > 1 else None

    def cells(run: ComparedRun) -> Cells:
        one = found[run.id]
        yield Cell(one.ece, mark="best" if one.ece == best else None)
        yield upper[run.id].ece if run.id in upper else None
        yield from (one.brier, one.mean_probability, one.base_rate)

    columns = (
        Column("ece", "ECE", "number", digits=4),
        Column("ece_likely", f"ECE, p \u2265 {LIKELY:g}", "number", digits=4),
        Column("brier", "Brier", "number", digits=4),
        Column("mean_probability", "mean probability", "number", digits=4),
        Column("base_rate", "share true", "number", digits=4),
    )
    return run_table("calibration-errors", "Calibration errors", comparison.runs, columns, cells)


def _per_class(comparison: Comparison) -> Table:
    errors: dict[str, dict[str, float]] = {}
    for run in comparison.runs:
        values = class_ece(run.predictions.truth, run.predictions.probabilities).tolist()
        errors[run.id] = dict(zip(run.labels, values, strict=True))
    return label_table(
        comparison,
        "calibration-emotions",
        f"ECE of each {comparison.noun}",
        run_columns(comparison.runs, digits=4, shade=True),
        lambda label: (errors[run.id].get(label) for run in comparison.runs),
        collapsed=True,
    )

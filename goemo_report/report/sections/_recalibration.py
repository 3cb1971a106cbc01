"""What calibration on validation gains, and what is gained by keeping the surest texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.formats.wording import listed
from goemo_report.report.document import Axis, Callout, Cell, Column, Mark, Plot, Row, Table
from goemo_report.report.sections._recipes import lines
from goemo_report.report.sections._tables import run_table
from goemo_report.thresholds.recalibration import Calibration, Gain

_KEPT: Final = (1.0, 0.8, 0.5)
_ROWS: Final = 14


def ranked(comparison: Comparison) -> list[ComparedRun]:
    """Runs with probabilities, best first."""
    return [run for run in comparison.ranked if run in comparison.with_probabilities]


def risk_plot(comparison: Comparison) -> Plot:
    """Errors of the texts that are kept, over their share."""
    found = {run: calibration_of(run).selective for run in ranked(comparison)}
    table = run_table(
        "risk-coverage-values",
        "Micro F1 of the texts kept",
        ranked(comparison),
        (
            Column("aurc", "AURC", "number", digits=4),
            *(Column(f"at_{share:g}", f"{share:.0%} kept", "number") for share in _KEPT),
        ),
        lambda run: (found[run].aurc, *(1.0 - found[run].error_at(share) for share in _KEPT)),
    )
    return Plot(
        id="risk-coverage",
        title="Risk and coverage",
        alt="1 minus micro F1 of the texts kept, over the share that is kept when the least sure "
        "are left out first; one line a recipe.",
        x=Axis("share of texts kept", low=0, high=1, percent=True),
        y=Axis("1 \u2212 micro F1", low=0),
        series=tuple(
            lines(comparison, {run: (one.coverage, one.error) for run, one in found.items()})
        ),
        table=table,
        shape="square",
        legend=False,
    )


def calibration_of(run: ComparedRun) -> Calibration:
    """The calibration of a run with probabilities."""
    found = run.calibration
    assert found is not None  # noqa: S101 # runs without probabilities are left out
    return found


def recalibration_table(comparison: Comparison) -> Table | None:
    """What each run would gain; None where no run has validation predictions."""
    rows = [row for run in ranked(comparison) for row in _method_rows(run, comparison.noun)]
    if not rows:
        return None
    return Table(
        id="recalibration",
        title="Calibrated on validation",
        columns=(
            Column("run", "run"),
            Column("method", "fitted"),
            Column("ece", "ECE", "number", digits=4),
            Column("log_loss_gain", "log loss less by", "number", digits=4),
            Column("brier_gain", "Brier less by", "number", digits=4),
            Column("macro_f1", "macro F1 at 0.5", "number"),
            Column("macro_f1_gain", "gain", "delta"),
            Column("tuned_macro_f1_gain", "gain, tuned", "delta"),
        ),
        rows=tuple(rows),
        browse=len(rows) > _ROWS,
        page_size=_ROWS,
    )


def _method_rows(run: ComparedRun, noun: str) -> Iterator[Row]:
    before, *fitted = calibration_of(run).methods
    for one in fitted:
        title = f"isotonic, per {noun}"
        if one.temperature is not None:
            title = f"temperature {one.temperature:.2f}"
        yield (
            Cell(run.short, link=run.record.url),
            title,
            one.ece,
            _gain_cell(one.log_loss_gain),
            _gain_cell(one.brier_gain),
            one.macro_f1,
            one.macro_f1 - before.macro_f1,
            (one.tuned_macro_f1 or 0.0) - (before.tuned_macro_f1 or 0.0),
        )


def _gain_cell(gain: Gain | None) -> Cell:
    if gain is None:
        return Cell(None)
    mark: Mark | None = "good" if gain.low > 0.0 else "bad" if gain.high < 0.0 else None
    return Cell(gain.value, gain.low, gain.high, mark=mark)


def unfitted(comparison: Comparison) -> Callout | None:
    """Why nothing was fitted for some runs."""
    without = [run.key for run in ranked(comparison) if len(calibration_of(run).methods) == 1]
    if not without:
        return None
    reason = (
        "validation is reported here itself, and what is fitted on it gains nothing that counts"
        if comparison.split == "val"
        else "there are no validation predictions with probabilities of the same labels to fit on"
    )
    which = "" if len(without) == len(comparison.with_probabilities) else f" of {listed(without)}"
    return Callout(
        "note", f"What temperature and isotonic regression gain{which} is not known: {reason}."
    )

"""What calibration on validation gains, and what is gained by keeping the surest texts."""

from __future__ import annotations

from typing import Final

from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.formats.wording import listed
from goemo_report.report.document import Axis, Callout, Cell, Column, Mark, Plot, Table
from goemo_report.report.sections._recipes import lines
from goemo_report.report.sections._tables import Cells, run_table
from goemo_report.statistics.distributions import Estimate
from goemo_report.thresholds.calibration import Calibration

_KEPT: Final = (1.0, 0.8, 0.5)


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
        title="Errors when the least sure are left out",
        alt="1 minus micro F1 of the texts kept, over the share that is kept when the least sure "
        "are left out first; one line a recipe.",
        x=Axis("share of texts kept", low=0, high=1, percent=True),
        y=Axis("1 \u2212 micro F1", low=0),
        series=tuple(
            lines(comparison, {run: (one.coverage, one.error) for run, one in found.items()})
        ),
        table=table,
        shape="small",
        legend=False,
    )


def calibration_of(run: ComparedRun) -> Calibration:
    """The calibration of a run with probabilities."""
    found = run.calibration
    assert found is not None  # noqa: S101 # runs without probabilities are left out
    return found


def recalibration_table(comparison: Comparison) -> Table | None:
    """What each run would gain; None where no run has validation predictions."""
    fitted = [run for run in ranked(comparison) if len(calibration_of(run).methods) > 1]
    if not fitted:
        return None
    return run_table(
        "recalibration",
        "Calibrated on validation",
        fitted,
        (
            Column("temperature", "temperature", "number", digits=2),
            Column("ece", "ECE with it", "number", digits=4),
            Column("log_loss_gain", "log loss less by", "number", digits=4),
            Column("brier_gain", "Brier less by", "number", digits=4),
            Column("isotonic_ece", "isotonic: ECE", "number", digits=4),
            Column("isotonic_log_loss_gain", "isotonic: log loss less by", "number", digits=4),
            Column("isotonic_macro_f1_gain", "isotonic: macro F1 at 0.5", "delta"),
            Column("isotonic_tuned_macro_f1_gain", "isotonic: macro F1, tuned", "delta"),
        ),
        _gains,
        caption="A temperature moves no decision, neither at 0.5 nor tuned; isotonic regression "
        f"per {comparison.noun} does.",
    )


def _gains(run: ComparedRun) -> Cells:
    """Temperature, which moves no decision, then isotonic regression."""
    before, *fitted = calibration_of(run).methods
    for one in fitted:
        if one.temperature is not None:
            yield one.temperature
        yield from (one.ece, _gain_cell(one.log_loss_gain))
        if one.temperature is not None:
            yield _gain_cell(one.brier_gain)
        else:
            yield one.macro_f1 - before.macro_f1
            yield (one.tuned_macro_f1 or 0.0) - (before.tuned_macro_f1 or 0.0)


def _gain_cell(gain: Estimate | None) -> Cell:
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

"""Probabilities: whether p means what it says, what mends it, and curves of the ranking."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.formats.wording import listed
from goemo_report.metrics.rankings import Curve, Groups, precision_recall_curve, roc_curve
from goemo_report.metrics.table import ratio
from goemo_report.report.document import (
    Axis,
    Callout,
    Cell,
    Column,
    Mark,
    Plot,
    Section,
    Series,
    Table,
)
from goemo_report.report.sections._tables import (
    Cells,
    colour,
    columns,
    drawn,
    label_table,
    lines,
    metric_column,
    name,
    run_columns,
    run_table,
)
from goemo_report.report.sections._words import sample
from goemo_report.statistics.calibration import BINS, Reliability, reliability
from goemo_report.statistics.distributions import Estimate, wilson
from goemo_report.thresholds.recalibration import Calibration

ORDER = 70
CHAPTER = "Thresholds and calibration"
NEEDS_PROBABILITIES = True
POINTS: Final = 120
"""Most points of a curve."""
_RECALLS: Final = (0.2, 0.4, 0.6, 0.8)
LIKELY: Final = 0.05
"""Pairs below this probability are nearly all negative; the diagram leaves them out."""


def build(comparison: Comparison) -> Section:
    """Reliability diagram, calibration errors of every run, and what validation mends."""
    upper: dict[str, Reliability] = {}
    for run in comparison.with_probabilities:
        truth, probabilities = run.predictions.truth, run.predictions.probabilities
        likely = probabilities >= LIKELY
        if likely.any():
            upper[run.id] = reliability(truth[likely], probabilities[likely])
    rankings = {run: _ranking(run) for run in comparison.with_probabilities}
    return Section.of(
        "calibration",
        "Calibration and ranking",
        _plot(comparison, upper),
        _curve_plot(comparison, rankings, "precision-recall"),
        _curve_plot(comparison, rankings, "roc"),
        _table(comparison, upper),
        recalibration_table(comparison),
        unfitted(comparison),
        _per_class(comparison),
        method=f"{sample(comparison)}, all text x {comparison.noun} pairs, no threshold. ECE: mean "
        f"of |frequency \u2212 mean probability| over {BINS} bins of equal mass, weighted by size. "
        "Most pairs are negative with a small probability, so a small ECE over all pairs comes "
        f"easily: the diagram and one column take the pairs with p \u2265 {LIKELY:g} only. A "
        "calibrated copy has labels drawn from the run\u2019s own probabilities: its ECE is "
        "what noise alone gives (mean and 95% range; Br\u00f6cker and Smith 2007); debiased is the "
        "ECE less its noise (Kumar, Liang and Ma 2019), but keeps 59% of what noise alone gives, "
        "as absolute errors near 0 have no unbiased estimate: an ECE within the range of the "
        "copy is no sign of an error. "
        "Brier: mean squared error of the probability. Temperature divides all logits by one "
        "number (Guo et al. 2017), isotonic regression maps the probabilities of each "
        f"{comparison.noun} (pool adjacent violators); both are fitted on validation alone, and "
        "gains are paired over texts. Curves: every distinct probability is a "
        f"threshold; at most {POINTS} points are drawn, equally spaced along the curve; AP and AUC "
        "come from all points. With rare labels the ROC curve flatters: read the precision-recall "
        "curve.",
    )


class _Drawn(NamedTuple):
    """Summary of the groups of a run, which themselves would take megabytes for each."""

    curves: dict[str, Curve | None]
    precisions: list[float | None]
    operating: dict[str, tuple[float, float]]


def _ranking(run: ComparedRun) -> _Drawn:
    found = Groups.counted(run.predictions.truth.ravel(), run.predictions.probabilities.ravel())
    at_half = run.scores.counts.pooled
    recall, precision = (float(part[0]) for part in map(at_half.metric, ("recall", "precision")))
    false = float(ratio(at_half.fp, at_half.fp + at_half.tn)[0])
    return _Drawn(
        {
            "precision-recall": precision_recall_curve(found, POINTS),
            "roc": roc_curve(found, POINTS),
        },
        _precisions(found),
        {"precision-recall": (recall, precision), "roc": (false, recall)},
    )


def _precisions(found: Groups) -> list[float | None]:
    """The best precision among thresholds that reach each recall of _RECALLS."""
    if not found.positives:
        return [None] * len(_RECALLS)
    best = np.maximum.accumulate(found.precision[::-1])[::-1]  # from each threshold downwards
    first = np.searchsorted(found.recall, np.array(_RECALLS) - 1e-12)
    return list(map(float, best[first]))


_AXES: Final = {
    "precision-recall": ("Precision and recall, micro", "recall", "precision"),
    "roc": ("ROC, micro", "false positive rate", "true positive rate"),
}


def _curve_plot(comparison: Comparison, found: dict[ComparedRun, _Drawn], kind: str) -> Plot:
    title, x, y = _AXES[kind]
    curves = {run: curve for run, one in found.items() if (curve := one.curves[kind]) is not None}
    points = (
        Series(
            f"{name(recipe)} at 0.5",
            tuple(found[run].operating[kind][0] for run in recipe.counted),
            tuple(found[run].operating[kind][1] for run in recipe.counted),
            "points",
            colour=colour(comparison, recipe),
            group="0.5",
        )
        for recipe in drawn(comparison)
        if all(run in found for run in recipe.counted)
    )
    return Plot(
        id=f"curves-{kind}",
        title=title,
        alt=f"{title}: {y} over {x}, one line a recipe, its point at the threshold 0.5 marked.",
        x=Axis(x, low=0, high=1),
        y=Axis(y, low=0, high=1),
        series=(*lines(comparison, {run: (one.x, one.y) for run, one in curves.items()}), *points),
        table=_curve_table(comparison, found) if kind == "precision-recall" else _auc(comparison),
        diagonal=kind == "roc",
        shape="square",
        legend=False,
    )


def _curve_table(comparison: Comparison, found: dict[ComparedRun, _Drawn]) -> Table:
    return run_table(
        "curves-precision-recall-values",
        "Precision at recall, micro",
        ranked(comparison),
        (
            Column("ap", "micro AP", "number"),
            *(
                Column(f"at_{recall:g}", f"precision at recall {recall:g}", "number")
                for recall in _RECALLS
            ),
        ),
        lambda run: (run.value("micro_average_precision"), *found[run].precisions),
    )


def _auc(comparison: Comparison) -> Table:
    keys = ("micro_auc", "macro_auc")
    return run_table(
        "curves-roc-values",
        "AUC",
        ranked(comparison),
        map(metric_column, keys),
        lambda run: map(run.value, keys),
    )


def _plot(comparison: Comparison, found: dict[str, Reliability]) -> Plot:
    runs = [(run, found[run.id]) for run in comparison.with_probabilities if run.id in found]
    table = Table(
        id="reliability-bins",
        title="Bins of the reliability diagram",
        columns=(
            *columns("run", bin="integer", pairs="integer"),
            Column("confidence", "mean probability", "number", digits=4),
            Column("frequency", "share true", "number", digits=4),
        ),
        rows=tuple(
            (run.short, number, *values)
            for run, one in runs
            for number, values in enumerate(zip(*_bins(one), strict=True), 1)
        ),
        collapsed=True,
    )
    return Plot(
        id="reliability",
        title=f"Reliability, p \u2265 {LIKELY:g}",
        alt="Share of true pairs against mean probability in bins of equal mass, one line a "
        "recipe; the diagonal is perfect calibration.",
        x=Axis("mean probability", low=0, high=1),
        y=Axis("share true", low=0, high=1),
        series=(
            *_best_band(comparison, found),
            *lines(comparison, {run: (one.confidence, one.frequency) for run, one in runs}),
        ),
        table=table,
        diagonal=True,
        shape="square",
        caption="Above the diagonal a run is too careful; band: 95%, best run.",
    )


def _bins(found: Reliability) -> Iterator[list[float]]:
    return (part.tolist() for part in (found.size, found.confidence, found.frequency))


def _best_band(comparison: Comparison, found: dict[str, Reliability]) -> Iterator[Series]:
    """95% intervals of the best run's bins (Wilson), as a band."""
    one, best = found.get(comparison.best.id), comparison.best
    if one is None or len(one.size) < 2:
        return
    low, high = wilson(one.frequency, one.size.astype(np.float64))
    yield Series(
        f"{best.short}, 95%",
        tuple(one.confidence.tolist()),
        tuple([None] * len(one.size)),
        "band",
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        colour=colour(comparison, best.recipe),
    )


def _table(comparison: Comparison, upper: dict[str, Reliability]) -> Table:
    first = {run: calibration_of(run).methods[0] for run in ranked(comparison)}
    best = min(item.ece for item in first.values()) if len(first) > 1 else None

    def cells(run: ComparedRun) -> Cells:
        one = first[run]
        yield Cell(one.ece, mark="best" if one.ece == best else None)
        yield Cell(*one.floor)
        yield one.debiased
        yield upper[run.id].ece if run.id in upper else None
        yield from (one.log_loss, one.brier)
        yield float(run.predictions.probabilities.mean())
        yield float(run.predictions.truth.mean())

    titles = {
        "ece": "ECE",
        "ece_floor": "calibrated copy",
        "ece_debiased": "debiased",
        "ece_likely": f"ECE, p \u2265 {LIKELY:g}",
        "log_loss": "log loss",
        "brier": "Brier",
        "mean_probability": "mean p",
        "base_rate": "share true",
    }
    shown = (Column(key, title, "number", digits=4) for key, title in titles.items())
    return run_table("calibration-errors", "Calibration errors", ranked(comparison), shown, cells)


def _per_class(comparison: Comparison) -> Table:
    best = next(run for run in comparison.chosen if run in comparison.with_probabilities)
    found: dict[ComparedRun, dict[str, Reliability]] = {}
    for run in comparison.with_probabilities:
        pairs = zip(run.predictions.truth.T, run.predictions.probabilities.T, strict=True)
        found[run] = dict(zip(run.labels, (reliability(*pair) for pair in pairs), strict=True))

    def cells(label: str) -> Cells:
        yield from (of[label].ece if label in of else None for of in found.values())
        yield Cell(*found[best][label].floor) if label in found[best] else None

    return label_table(
        comparison,
        "calibration-emotions",
        f"ECE of each {comparison.noun}",
        [
            *run_columns(comparison.with_probabilities, digits=4, shade=True),
            Column("floor", f"calibrated copy of {best.key}", "number", digits=4),
        ],
        cells,
        collapsed=True,
    )


# --- What calibration on validation gains ----------------------------------------------


def ranked(comparison: Comparison) -> list[ComparedRun]:
    """Runs with probabilities, best first."""
    return [run for run in comparison.ranked if run in comparison.with_probabilities]


def calibration_of(run: ComparedRun) -> Calibration:
    """The calibration of a run with probabilities."""
    found = run.calibration
    assert found is not None  # noqa: S101 # runs without probabilities are left out
    return found


_GAIN: Final = "before minus after: positive is better"


def recalibration_table(comparison: Comparison) -> Table | None:
    """Tabulate the gain of each run; None where no run has validation predictions."""
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
            Column("log_loss_gain", "gain in log loss", "delta", 4, _GAIN),
            Column("brier_gain", "gain in Brier", "delta", 4, _GAIN),
            Column("isotonic_ece", "isotonic: ECE", "number", digits=4),
            Column("isotonic_log_loss_gain", "isotonic: gain in log loss", "delta", 4, _GAIN),
            Column("isotonic_macro_f1_gain", "isotonic: gain in macro F1 at 0.5", "delta"),
            Column("isotonic_tuned_macro_f1_gain", "isotonic: gain in macro F1, tuned", "delta"),
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

"""The summary: what a reader must know in ten seconds."""

from __future__ import annotations

from goemo_report.analysis.truth import check_logged
from goemo_report.compare import Comparison
from goemo_report.document import Block, Callout, Cell, Facts, Section
from goemo_report.sections._common import (
    AT_HALF,
    interval_text,
    listed,
    of_class,
    p_text,
    plural,
    signed,
    with_interval,
)
from goemo_report.statistics.differences import Difference

ORDER = 10
_PAIRED = "paired on the same texts: percentile bootstrap interval, randomisation test"


def build(comparison: Comparison) -> Section:
    """The best run, by how much, whether that is noise, gains and losses, warnings."""
    blocks: list[Block] = [_verdict(comparison), _facts(comparison)]
    warnings = _warnings(comparison)
    if warnings:
        blocks.append(Callout("warning", "Before you trust these numbers:", tuple(warnings)))
    options = comparison.options
    return Section(
        "summary",
        "Summary",
        tuple(blocks),
        method=f"Ranked by macro F1 on the {comparison.split} split, {AT_HALF}; {_PAIRED} "
        f"({options.resamples:,} resamples, seed {options.seed}). More than noise: the 95% "
        "interval excludes zero and p < 0.05. That is about the texts; for training seeds see "
        "Seeds.",
    )


def _verdict(comparison: Comparison) -> Callout:
    best, base = comparison.best, comparison.baseline
    value = f"macro F1 {comparison.macro_f1(best):.3f}"
    if not comparison.others:
        return Callout("verdict", f"{comparison.name(best)} reaches {value}.")
    second = comparison.ranked[1]
    lines: list[str] = []
    if best is base:
        text = f"No run beats the baseline {comparison.name(base)} ({value})."
        lines.append(f"Next is {comparison.name(second)}: {_lead(comparison)}")
    else:
        found = comparison.differences.get(best.id)
        macro = found["macro_f1"] if found else None
        gain = comparison.macro_f1(best) - comparison.macro_f1(base)
        text = (
            f"{comparison.name(best)} is best with {value}: {signed(gain)} against the baseline "
            f"{comparison.name(base)}, {_noise(macro)}."
        )
        if second is not base:
            lines.append(f"Next is {comparison.name(second)}: {_lead(comparison)}")
        lines += _gains(comparison)
    return Callout("verdict", text, tuple(lines))


def _noise(found: Difference | None) -> str:
    """Whether a difference is more than noise, in words."""
    if found is None:
        return "not paired, so nothing is said about noise"
    bounds = f"{interval_text(found.low, found.high, signed=True)}, {p_text(found.p)}"
    if found.verdict == "tie":
        return f"which may be noise (95% interval {bounds})"
    return f"more than noise (95% interval {bounds})"


def _lead(comparison: Comparison) -> str:
    """How far the best run leads the next one."""
    second = comparison.ranked[1]
    gap = comparison.macro_f1(comparison.best) - comparison.macro_f1(second)
    found = comparison.lead
    macro = found["macro_f1"] if found else None
    return f"{gap:.3f} behind, {_noise(macro)}."


def _gains(comparison: Comparison) -> list[str]:
    """The three emotions that gained and lost most, best run against the baseline."""
    best, base = comparison.best, comparison.baseline
    found = comparison.differences.get(best.id)
    deltas = []
    for label in comparison.labels:
        value, other = (
            of_class(comparison, best, "f1", label),
            of_class(comparison, base, "f1", label),
        )
        if value is not None and other is not None:
            paired = found.get(f"f1_{label}") if found else None
            clear = paired is not None and paired.verdict != "tie"
            deltas.append((value - other, label, clear))
    deltas.sort(key=lambda item: -item[0])
    gained = [_gain(*item) for item in deltas[:3] if item[0] > 0]
    lost = [_gain(*item) for item in deltas[::-1][:3] if item[0] < 0]
    lines = []
    if gained:
        lines.append(f"Gained most F1: {listed(gained)}.")
    lines.append(f"Lost most F1: {listed(lost)}." if lost else "No emotion lost F1.")
    if any("*" in line for line in lines):
        lines.append("* more than noise (Holm-adjusted over the emotions).")
    return lines


def _gain(delta: float, label: str, clear: bool) -> str:
    return f"{label} {signed(delta)}{'*' if clear else ''}"


def _facts(comparison: Comparison) -> Facts:
    run = comparison.best
    found = comparison.on_split(run)
    intervals = comparison.intervals[run.id]
    where = f"{comparison.split} split, n = {found.rows:,}"
    half, ranking = f"{where}, threshold 0.5, 95% interval", f"{where}, no threshold, 95% interval"
    items: list[tuple[str, Cell, str]] = [
        ("best run", Cell(comparison.name(run), link=run.run.url), "by macro F1 at 0.5")
    ]
    for key, title, how in (
        ("macro_f1", "macro F1", half),
        ("micro_f1", "micro F1", half),
        ("micro_auc", "micro AUC", ranking),
        ("macro_auc", "macro AUC", ranking),
    ):
        items.append((title, with_interval(found.scores.overall[key], intervals[key]), how))
    tuned = comparison.protocol(run, "per-class")
    if tuned is not None:
        items.append(
            (
                "macro F1, tuned",
                with_interval(tuned.overall["macro_f1"], comparison.tuned_intervals[run.id]),
                f"{where}, one threshold per emotion, tuned on validation",
            )
        )
    left = plural(len(comparison.skipped), "run") + " left out"
    items.append(("runs compared", Cell(len(comparison.runs)), left))
    return Facts("summary-facts", tuple(items))


def _warnings(comparison: Comparison) -> list[str]:
    warnings = []
    for run in comparison.runs:
        found = comparison.on_split(run)
        name = comparison.name(run)
        never = found.scores.never_predicted
        if never:
            warnings.append(
                f"{name} never predicts {len(never)} of {len(found.labels)} emotions at 0.5: "
                f"{listed(never, 6)}."
            )
        wrong = sum(not check.agrees for check in check_logged(run))
        if wrong:
            verb = "differs" if wrong == 1 else "differ"
            warnings.append(
                f"{name}: {plural(wrong, 'logged figure')} {verb} from the predictions."
            )
        if run.run.state != "finished":
            warnings.append(f"{name} is {run.run.state}, not finished.")
        if run is not comparison.baseline and not comparison.alignments[run.id].paired:
            warnings.append(f"{name}: {comparison.alignments[run.id].note}.")
    warnings += [f"{item.name} was left out: {item.reason}." for item in comparison.skipped]
    return warnings

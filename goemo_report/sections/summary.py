"""The summary: what a reader must know in ten seconds."""

from __future__ import annotations

from goemo_report.compare import Comparison
from goemo_report.document import Block, Callout, Cell, Facts, Section
from goemo_report.sections._common import AT_HALF, listed, plural
from goemo_report.sections.emotions import f1_by_run
from goemo_report.truth import check_logged

ORDER = 10


def build(comparison: Comparison) -> Section:
    """The best run, by how much, gains and losses, warnings."""
    blocks: list[Block] = [_verdict(comparison), _facts(comparison)]
    warnings = _warnings(comparison)
    if warnings:
        blocks.append(Callout("warning", "Before you trust these numbers:", tuple(warnings)))
    return Section(
        "summary",
        "Summary",
        tuple(blocks),
        method=f"Ranked by macro F1 on the {comparison.split} split, {AT_HALF}.",
    )


def _verdict(comparison: Comparison) -> Callout:
    best = comparison.best
    value = comparison.macro_f1(best)
    name = comparison.name(best)
    if not comparison.others:
        return Callout("verdict", f"{name} reaches macro F1 {value:.3f}.")
    if best is comparison.baseline:
        runner_up = comparison.ranked[1]
        return Callout(
            "verdict",
            f"No run beats the baseline {name}: macro F1 {value:.3f}; next is "
            f"{comparison.name(runner_up)} with {comparison.macro_f1(runner_up):.3f}.",
        )
    gain = value - comparison.macro_f1(comparison.baseline)
    return Callout(
        "verdict",
        f"{name} is best: macro F1 {value:.3f}, {gain:+.3f} against the baseline "
        f"{comparison.name(comparison.baseline)}.",
        tuple(_gains(comparison)),
    )


def _gains(comparison: Comparison) -> list[str]:
    f1 = f1_by_run(comparison)
    best, base = f1[comparison.best.id], f1[comparison.baseline.id]
    deltas = sorted(((best[k] - base[k], k) for k in best if k in base), key=lambda d: -d[0])
    gained = [f"{label} {delta:+.3f}" for delta, label in deltas[:3] if delta > 0]
    lost = [f"{label} {delta:+.3f}" for delta, label in deltas[::-1][:3] if delta < 0]
    lines = []
    if gained:
        lines.append(f"Gained most F1: {listed(gained)}.")
    lines.append(f"Lost most F1: {listed(lost)}." if lost else "No emotion lost F1.")
    return lines


def _facts(comparison: Comparison) -> Facts:
    best = comparison.on_split(comparison.best)
    overall = best.scores.overall
    where = f"{comparison.split} split, n = {best.rows:,}"
    return Facts(
        "summary-facts",
        (
            (
                "best run",
                Cell(comparison.name(comparison.best), link=comparison.best.run.url),
                "by macro F1",
            ),
            ("macro F1", overall["macro_f1"], f"{where}, threshold 0.5"),
            ("micro F1", overall["micro_f1"], f"{where}, threshold 0.5"),
            ("micro AUC", overall["micro_auc"], f"{where}, all text x emotion pairs"),
            ("macro AUC", overall["macro_auc"], f"{where}, mean over emotions"),
            (
                "runs compared",
                len(comparison.runs),
                plural(len(comparison.skipped), "run") + " left out",
            ),
        ),
    )


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

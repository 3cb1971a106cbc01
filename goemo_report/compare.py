"""Several runs' results -> one Comparison: which are usable, in which order, and the baseline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from goemo_report.analysis.alignment import align
from goemo_report.analysis.configs import seed_groups
from goemo_report.comparison import FIRST_RUN, Comparison, Options
from goemo_report.contract import Split
from goemo_report.errors import NotFoundError, SettingsError
from goemo_report.results import LoadedRuns, RunResult, left_out
from goemo_report.sources.base import Progress, silent
from goemo_report.sources.model import SkippedRun

__all__ = ["Comparison", "Options", "compare"]

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def compare(
    results: Iterable[RunResult],
    *,
    baseline: str | None = None,
    split: Split = "test",
    skipped: Sequence[SkippedRun] = (),
    source: str = "",
    options: Options | None = None,
    progress: Progress = silent,
    cache: Path | None = None,
) -> Comparison:
    """Compare runs on one split.

    `baseline` is the id, name or path of one of the runs; without it the first run tagged
    `baseline` is taken, else the first created. Runs without predictions on the split are
    left out with their reason; NotFoundError when that is every run, SettingsError when it
    is the baseline that was asked for. With a directory `cache`, statistics that were computed
    before are taken from there.
    """
    absent = list(skipped)
    if isinstance(results, LoadedRuns):
        absent[:0] = [item for item in results.skipped if item not in absent]
    usable: list[RunResult] = []
    for result in results:
        if split in result.splits:
            usable.append(result)
        else:
            reason = result.problems.get(split, f"logged no {split} predictions")
            absent.append(left_out(result.run, reason))
    if not usable:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in absent) or "no runs"
        raise NotFoundError(
            f"no run has usable {split} predictions ({reasons})",
            next(
                (item.remedy for item in absent if item.remedy),
                "Try the other split with --split, or log the predictions",
            ),
        )
    usable.sort(key=_creation)
    chosen, rule = _choose_baseline(usable, baseline, absent)
    reference = chosen.splits[split].predictions
    return Comparison(
        runs=tuple(usable),
        split=split,
        baseline=chosen,
        baseline_rule=rule,
        alignments={
            run.id: align(run.splits[split].predictions, reference)
            for run in usable
            if run is not chosen
        },
        groups=seed_groups([result.run for result in usable]),
        skipped=tuple(absent),
        source=source,
        options=options or Options(),
        progress=progress,
        cache=cache,
    )


def _creation(result: RunResult) -> tuple[datetime, str]:
    created = result.run.created_at or _LONG_AGO
    return (created if created.tzinfo else created.replace(tzinfo=UTC), result.id)


def _choose_baseline(
    results: Sequence[RunResult], wanted: str | None, skipped: Sequence[SkippedRun]
) -> tuple[RunResult, str]:
    if wanted is None:
        for result in results:
            if "baseline" in result.run.tags:
                return result, "the first run tagged baseline"
        return results[0], FIRST_RUN
    fitting = [r for r in results if wanted in {r.id, r.run.name, r.run.path}]
    if len(fitting) == 1:
        return fitting[0], "chosen with --baseline"
    if fitting:
        raise SettingsError(
            f"--baseline {wanted} names {len(fitting)} runs",
            f"Give its id: {', '.join(result.id for result in fitting)}",
        )
    for item in skipped:
        if item.name == wanted:
            raise SettingsError(f"the baseline {wanted} cannot be used: {item.reason}")
    raise SettingsError(
        f"the baseline {wanted} is not among the compared runs",
        f"Choose one of: {', '.join(result.run.name for result in results)}",
    )

"""The structured part of a report: every run with all its numbers, and the signature."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from goemo_report import __version__
from goemo_report.analysis.configs import config_differences
from goemo_report.analysis.truth import check_logged
from goemo_report.comparison import Comparison
from goemo_report.formats.json_text import timestamp
from goemo_report.metrics.scores import per_class_rows
from goemo_report.metrics.table import METRICS_VERSION
from goemo_report.report.tables import artifact_document, run_document
from goemo_report.results import RunResult, SplitResult
from goemo_report.statistics.differences import RANDOMISATIONS


def signature(comparison: Comparison) -> str:
    """How the numbers were made, in one line of `key:value` pairs."""
    sizes = sorted({comparison.on_split(run).rows for run in comparison.runs})
    parts = {
        "goemo": __version__,
        "metrics": METRICS_VERSION,
        "split": comparison.split,
        "n": "-".join(str(size) for size in dict.fromkeys((sizes[0], sizes[-1]))),
        "labels": len(comparison.labels),
        "threshold": "0.5,p>=t",
        "zero_division": 0,
        "ci": f"95%,bootstrap:{comparison.options.resamples}",
        "test": f"randomisation:{RANDOMISATIONS}",
        "seed": comparison.options.seed,
    }
    return "|".join(f"{key}:{value}" for key, value in parts.items())


def report_data(
    comparison: Comparison, *, created_at: datetime, command: str, statistics: bool = True
) -> dict[str, Any]:
    """Everything structured that JSON holds, as values for `to_json`.

    `statistics=False` leaves out what is costly: intervals, differences, protocols.
    """
    return {
        "created_at": timestamp(created_at),
        "command": command,
        "signature": signature(comparison),
        "source": comparison.source,
        "split": comparison.split,
        "labels": list(comparison.labels),
        "baseline": {"id": comparison.baseline.id, "chosen": comparison.baseline_rule},
        "best": comparison.best.id,
        "runs": [
            _run(comparison, run) | (_statistics(comparison, run) if statistics else {})
            for run in comparison.runs
        ],
        "skipped": [{"name": item.name, "reason": item.reason} for item in comparison.skipped],
        "seed_groups": [
            {"name": group.name, "runs": list(group.run_ids), "seeds": list(group.seeds)}
            for group in comparison.groups
        ],
        "config_differences": {
            key: dict(zip((run.id for run in comparison.runs), values, strict=True))
            for key, values in config_differences([run.run for run in comparison.runs]).items()
        },
    }


def _run(comparison: Comparison, result: RunResult) -> dict[str, Any]:
    run = result.run
    alignment = comparison.alignments.get(run.id)
    return {
        **run_document(run),
        "key": comparison.keys[run.id],
        "logged": result.logged,
        "splits": {split: _split(found) for split, found in result.splits.items()},
        "problems": dict(result.problems),
        "checks": [
            {
                "key": check.key,
                "place": check.place,
                "logged": check.logged,
                "recomputed": check.recomputed,
                "difference": check.difference,
                "agrees": check.agrees,
                "explanation": check.explanation,
            }
            for check in check_logged(result)
        ],
        "pairing": None
        if alignment is None
        else {"paired": alignment.paired, "rows": alignment.matched, "note": alignment.note},
        "artifacts": [artifact_document(item) | {"role": item.role} for item in result.artifacts],
        "history": result.history,
    }


def _statistics(comparison: Comparison, result: RunResult) -> dict[str, Any]:
    return {
        "intervals": _intervals(comparison, result),
        "protocols": [
            {
                "protocol": item.choice.protocol,
                "description": item.choice.description,
                "thresholds": None
                if item.choice.thresholds is None
                else dict(zip(item.choice.labels, item.choice.thresholds.tolist(), strict=True)),
                "overall": dict(item.overall),
            }
            for item in comparison.protocols[result.id]
        ],
        "differences": _differences(comparison, result),
    }


def _intervals(comparison: Comparison, result: RunResult) -> dict[str, Any]:
    """95% intervals of every metric at 0.5 on the split of the report, `[low, high]`."""
    found = comparison.intervals[result.id]
    return {key: None if value is None else [value.low, value.high] for key, value in found.items()}


def _differences(comparison: Comparison, result: RunResult) -> dict[str, Any] | None:
    """Run minus baseline for every metric; None where the two are not paired."""
    found = comparison.differences.get(result.id)
    if found is None:
        return None
    return {
        key: None
        if item is None
        else {
            "value": item.value,
            "low": item.low,
            "high": item.high,
            "p": item.p,
            "p_adjusted": item.p_adjusted,
            "verdict": item.verdict,
        }
        for key, item in found.items()
    }


def _split(found: SplitResult) -> dict[str, Any]:
    return {
        "file": f"{found.artifact.qualified_name}/{found.file.path}",
        "digest": found.file.digest,
        "rows": found.rows,
        "labels": list(found.labels),
        "logged_threshold": {
            "rule": found.threshold.rule,
            "value": found.threshold.value,
            "description": found.threshold.description,
            "contradictions": found.threshold.contradictions,
        },
        "threshold": 0.5,
        "overall": dict(found.scores.overall),
        "as_logged": dict(found.as_logged.overall),
        "per_class": per_class_rows(found.scores),
    }

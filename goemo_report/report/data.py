"""The structured part of a report: every run with all its numbers, and the signature."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, Final

from goemo_report import __version__
from goemo_report.analysis.configs import config_differences, model_title
from goemo_report.analysis.epochs import MOST_POINTS, spread
from goemo_report.analysis.raters import Agreement
from goemo_report.analysis.truth import check_logged
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.formats.json_text import timestamp
from goemo_report.metrics.scores import per_class_rows
from goemo_report.metrics.table import METRICS_VERSION
from goemo_report.report.tables import artifact_document, run_document
from goemo_report.results import RunResult, SplitResult
from goemo_report.statistics.differences import RANDOMISATIONS
from goemo_report.thresholds.protocols import ProtocolResult


def signature(comparison: Comparison) -> str:
    """How the numbers were made, in one line of `key:value` pairs."""
    sizes = sorted({run.split_result.rows for run in comparison.runs})
    rules = ["0.5", "p>=t"] if comparison.with_probabilities else []
    if len(comparison.with_probabilities) < len(comparison.runs):
        rules.append("as_predicted")
    parts = {
        "goemo": __version__,
        "metrics": METRICS_VERSION,
        "split": comparison.split,
        "n": "-".join(str(size) for size in dict.fromkeys((sizes[0], sizes[-1]))),
        "labels": len(comparison.labels),
        "threshold": ",".join(rules),
        "zero_division": 0,
        "ci": f"95%,bootstrap:{comparison.options.resamples}",
        "test": f"randomisation:{RANDOMISATIONS}",
        "seed": comparison.options.seed,
    }
    if comparison.options.cluster:
        parts["clusters"] = f"{comparison.options.cluster}:{comparison.clusters.number}"
    return "|".join(f"{key}:{value}" for key, value in parts.items())


def report_data(
    comparison: Comparison, *, created_at: datetime, command: str, statistics: bool = True
) -> dict[str, Any]:
    """Everything structured that JSON holds, as values for `to_json`.

    `statistics=False` leaves out what is costly: intervals, differences, protocols.
    """
    records = [run.record for run in comparison.runs]
    shared = logged_data(comparison, created_at=created_at, command=command)
    return {
        "created_at": shared["created_at"],
        "command": command,
        "signature": signature(comparison),
        "source": comparison.source,
        "split": comparison.split,
        "labels": list(comparison.labels),
        "baseline": {"id": comparison.baseline.id, "chosen": comparison.baseline_rule},
        "best": comparison.best.id,
        "standing": asdict(comparison.standing) if statistics else {},
        "runs": [_run(run) | (_statistics(run) if statistics else {}) for run in comparison.runs],
        "raters": _raters(comparison) if statistics else {},
        "skipped": shared["skipped"],
        "logged": shared["logged"],
        "seed_groups": [
            {
                "name": model_title(one.runs[0].record),
                "runs": [run.id for run in one.runs],
                "seeds": [run.seed for run in one.runs],
            }
            for one in comparison.recipes
        ],
        "config_differences": {
            key: dict(zip((run.id for run in records), values, strict=True))
            for key, values in config_differences(records).items()
        },
    }


def logged_data(comparison: Comparison, *, created_at: datetime, command: str) -> dict[str, Any]:
    """Collect the data of JSON where no run has predictions."""
    return {
        "created_at": timestamp(created_at),
        "command": command,
        "source": comparison.source,
        "split": comparison.split,
        "runs": [],
        "logged": list(map(_logged, comparison.logged)),
        "skipped": [{"name": item.name, "reason": item.reason} for item in comparison.skipped],
    }


def _fields(value: Any, names: Iterable[str] = ()) -> dict[str, Any]:
    """Attributes of a value by name, arrays as lists; without names, all fields of a dataclass."""
    held = {name: getattr(value, name) for name in names or (one.name for one in fields(value))}
    return {name: one.tolist() if hasattr(one, "tolist") else one for name, one in held.items()}


def _logged(result: RunResult) -> dict[str, Any]:
    """A run, and what it logged."""
    return {
        **run_document(result.run),
        "logged": result.logged,
        "problems": dict(result.problems),
        "artifacts": [artifact_document(item) | {"role": item.role} for item in result.artifacts],
        "history": spread(result.history, MOST_POINTS),
        "history_rows": len(result.history),
    }


def _run(run: ComparedRun) -> dict[str, Any]:
    result, alignment = run.result, run.alignment
    return {
        **_logged(result),
        "key": run.key,
        "splits": {split: _split(found) for split, found in result.splits.items()},
        "checks": [_fields(check, _CHECK) for check in check_logged(result)],
        "pairing": None
        if alignment is None
        else {"paired": alignment.paired, "rows": alignment.matched, "note": alignment.note},
    }


_CHECK: Final = ("key", "place", "logged", "recomputed", "difference", "agrees", "explanation")


def _statistics(run: ComparedRun) -> dict[str, Any]:
    """Intervals `[low, high]` of every metric at 0.5, differences to the baseline, protocols."""
    differences, calibration = run.differences, run.calibration
    return {
        "intervals": run.intervals,
        "protocols": [_protocol(one) for one in run.protocols],
        "differences": differences
        and {key: one and _fields(one) for key, one in differences.items()},
        "calibration": calibration
        and {
            "methods": [
                {key: _gain(value) for key, value in _fields(one).items()}
                for one in calibration.methods
            ],
            "selective": _fields(calibration.selective),
        },
    }


def _protocol(found: ProtocolResult) -> dict[str, Any]:
    choice, cuts = found.choice, found.choice.thresholds
    return {
        "protocol": choice.protocol,
        "description": choice.description,
        "thresholds": None
        if cuts is None
        else dict(zip(choice.labels, cuts.tolist(), strict=True)),
        "overall": dict(found.overall),
    }


def _raters(comparison: Comparison) -> dict[str, Any]:
    """By run id, the run and the held-out rater; empty without ratings."""
    found: dict[str, Any] = {}
    for run in comparison.runs:
        one = comparison.raters.get(run.id)
        if one is not None:
            plain = _fields(one, _BESIDE)
            both = {"rater": _agreement(run, one.rater), "run": _agreement(run, one.run)}
            gap = _bounded(one.gap, one.gap_interval)
            found[run.id] = plain | both | {"gap": gap, "soft": one.soft and _fields(one.soft)}
    return found


_BESIDE: Final = ("texts", "unrated", "open", "rated", "floor", "as_true")


def _agreement(run: ComparedRun, found: Agreement) -> dict[str, Any]:
    columns = (part.tolist() for part in (found.per_class, found.low, found.high))
    return {
        "macro_f1": _bounded(found.macro_f1, found.macro),
        "micro_f1": _bounded(found.micro_f1, found.micro),
        "f1": {
            label: _bounded(value, bounds)
            for label, value, *bounds in zip(run.labels, *columns, strict=True)
        },
    }


def _bounded(value: float, bounds: Iterable[float]) -> dict[str, float]:
    return dict(zip(("value", "low", "high"), (value, *bounds), strict=True))


def _gain(value: Any) -> Any:
    """A gain or a floor as `{"value", "low", "high"}`; another value as it is."""
    return value._asdict() if hasattr(value, "_asdict") else value


_THRESHOLD: Final = ("rule", "value", "description", "contradictions")


def _split(found: SplitResult) -> dict[str, Any]:
    return {
        "file": f"{found.artifact.qualified_name}/{found.file.path}",
        "digest": found.file.digest,
        "rows": found.rows,
        "labels": list(found.labels),
        "logged_threshold": _fields(found.threshold, _THRESHOLD),
        "threshold": 0.5,
        "overall": dict(found.scores.overall),
        "as_logged": dict(found.as_logged.overall),
        "per_class": per_class_rows(found.scores),
    }

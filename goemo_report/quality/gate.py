"""The quality gate: conditions on runs, each with its outcome. Pure but for the evidence given.

Numbers are recomputed from the predictions at threshold 0.5. A condition on the point value
asks for `value >= limit`; on the interval bound, for the worse end of the 95% interval.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from goemo_report.analysis.alignment import align
from goemo_report.audit import Evidence, artifact_rules, audit
from goemo_report.contract import (
    DEFAULT_THRESHOLD,
    EMOTIONS,
    SPLITS,
    Split,
    canonical_metric,
)
from goemo_report.errors import NotFoundError, SettingsError
from goemo_report.metrics import OVERALL_KEYS, Scores, score
from goemo_report.model import RunRecord
from goemo_report.results import RunResult
from goemo_report.statistics.differences import LOWER_IS_BETTER, paired
from goemo_report.statistics.intervals import CLASS_STATISTICS, Analysis, analyse

SCHEMA_VERSION: Final = 1
CONFIDENCE: Final = 0.95
"""Of every interval that goemo-report makes."""
DEFAULT_METRIC: Final = "macro_f1"

Kind = Literal["fail-under", "fail-over", "max-drop"]
RULES: Final[dict[bool, str]] = {
    False: "point values are judged",
    True: (
        "bounds of the 95% interval are judged: the lower one against --fail-under, the upper one "
        "against --fail-over, the worse end of the paired difference against --max-drop"
    ),
}

_SLACK: Final = 1e-9  # 0.46 - 0.45 is a little more than 0.01
_CLASS_KEYS: Final = tuple(
    f"{statistic}_{emotion}" for statistic in (*CLASS_STATISTICS, "support") for emotion in EMOTIONS
)
_AVERAGE_LAST: Final = re.compile(
    r"(?P<statistic>f1|precision|recall|auc|average_precision)_(?P<average>micro|macro|weighted|samples)"
)


class UnknownMetricError(SettingsError):
    """A condition names a metric that no run has."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One condition as it was typed: `metric` in any spelling."""

    kind: Kind
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that a condition means: recomputed on a split, or as the run logged it."""

    key: str
    split: Split | None

    @property
    def name(self) -> str:
        """What to call it: with its split, or the logged key."""
        return f"{self.split}/{self.key}" if self.split else self.key

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller value is the better one."""
        return self.key in LOWER_IS_BETTER or self.key.endswith("loss")


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on one run: what was asked, what was found, whether that will do."""

    run: RunRecord
    kind: str
    text: str
    passed: bool
    detail: str
    metric: str | None = None
    limit: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None


# --- What is meant --------------------------------------------------------------------


def parse_limit(kind: Kind, text: str) -> Limit:
    """A condition as typed, METRIC=VALUE; of --max-drop VALUE alone is that of the macro F1.

    Raises SettingsError for anything else.
    """
    name, equals, number = text.rpartition("=")
    name = name.strip()
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not equals and kind == "max-drop":
        name = DEFAULT_METRIC
    if not name or not math.isfinite(value):
        raise SettingsError(f"--{kind} {text} is not METRIC=VALUE", "Write it as macro_f1=0.45")
    if kind == "max-drop" and value < 0:
        raise SettingsError(f"--{kind} {text}: a drop is not negative", "Give 0 or more")
    return Limit(kind, name, value)


def recomputed_key(name: str) -> str | None:
    """Key of a metric that predictions define, from the guide's or another spelling."""
    key = canonical_metric(f"test/{name}").removeprefix("test/")
    flipped = _AVERAGE_LAST.fullmatch(key)
    if flipped:
        key = f"{flipped['average']}_{flipped['statistic']}"
    key = "micro_auc" if key == "auc" else key
    return key if key in OVERALL_KEYS or key in _CLASS_KEYS else None


def resolve(limit: Limit, split: Split, results: Sequence[RunResult]) -> Metric:
    """The metric that a condition means. Raises UnknownMetricError naming similar ones.

    A prefix `test/` or `val/` decides the split. What predictions do not define is looked up
    among the logged figures of all runs.
    """
    prefix, slash, rest = limit.metric.partition("/")
    on = next((one for one in SPLITS if slash and prefix == one), None)
    key = recomputed_key(rest if on else limit.metric)
    if key is not None:
        metric = Metric(key, on or split)
    else:
        metric = Metric(_logged_key(limit, split, results), None)
    if limit.kind == "fail-under" and metric.lower_is_better:
        raise SettingsError(
            f"--fail-under {limit.metric}: the lower {metric.name}, the better",
            f"Write --fail-over {limit.metric}={limit.value:g}",
        )
    return metric


def _logged_key(limit: Limit, split: Split, results: Sequence[RunResult]) -> str:
    logged = {key for result in results for key in result.logged}
    for name in (limit.metric, f"{split}/{limit.metric}"):
        if canonical_metric(name) in logged:
            return canonical_metric(name)
    spellings = {key: key for key in (*OVERALL_KEYS, *_CLASS_KEYS, "auc", *sorted(logged))}
    close = difflib.get_close_matches(limit.metric, spellings, 4)
    close += difflib.get_close_matches(limit.metric.rpartition("/")[2], spellings, 4)
    names = list(dict.fromkeys(close))[:4] or [*OVERALL_KEYS[:4], "f1_joy"]
    raise UnknownMetricError(
        f"--{limit.kind}: there is no metric {limit.metric!r}", f"Similar: {', '.join(names)}"
    )


# --- Metrics --------------------------------------------------------------------------


class _Found(NamedTuple):
    """A figure with its interval, or the reason why there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


class Judge:
    """Judges conditions; what several conditions need is computed once.

    `interval` judges by interval bounds instead of point values.
    """

    def __init__(self, split: Split, *, interval: bool, baseline: RunResult | None = None) -> None:
        self.split = split
        self.interval = interval
        self.baseline = baseline
        self._analysis = cache(self._analyse)
        self._difference = cache(self._differences)

    def judge(self, result: RunResult, limit: Limit, metric: Metric) -> Condition:
        """The outcome of one condition on one run."""
        if limit.kind == "max-drop":
            return self._drop(result, limit, metric)
        under = limit.kind == "fail-under"
        found = self._figure(result, metric)
        judged = (found.low if under else found.high) if self.interval else found.value
        judged = found.value if judged is None else judged
        passed = judged is not None and (
            judged >= limit.value - _SLACK if under else judged <= limit.value + _SLACK
        )
        text = f"{metric.name} at {'least' if under else 'most'} {limit.value:g}"
        return _condition(result, limit, metric, text, passed, found)

    def _figure(self, result: RunResult, metric: Metric) -> _Found:
        if metric.split is None:
            logged = result.logged.get(metric.key)
            if logged is None or math.isnan(logged):
                return _Found(reason=f"the run did not log {metric.key}")
            return _Found(logged, reason="as logged")
        split = result.splits.get(metric.split)
        if split is None:
            return _Found(reason=_lacks(result, metric.split))
        value, reason = _value(split.scores, metric.key)
        if value is None or not self.interval or metric.key.startswith("support_"):
            return _Found(value, reason=reason)
        bounds = self._analysis(result, metric.split).intervals[metric.key]
        return _Found(value) if bounds is None else _Found(value, bounds.low, bounds.high)

    def _analyse(self, result: RunResult, split: Split) -> Analysis:
        predictions = result.splits[split].predictions
        return analyse(predictions, predictions.probabilities >= DEFAULT_THRESHOLD)

    def _drop(self, result: RunResult, limit: Limit, metric: Metric) -> Condition:
        baseline = self.baseline
        if baseline is None:
            raise SettingsError("--max-drop needs --baseline", "Name the run to compare with")
        better = metric.lower_is_better
        word = "above" if better else "below"
        text = f"{metric.name} at most {limit.value:g} {word} {baseline.run.name}"
        if result.id == baseline.id:
            found = _Found(0.0, reason="it is the baseline")
        elif metric.split is None:
            found = _logged_change(result, baseline, metric)
        else:
            found = self._difference(result, metric.split).get(metric.key) or _Found(
                reason=f"{metric.name} is not defined for both runs"
            )
        worst = found.value
        if self.interval and found.low is not None and found.high is not None:
            worst = found.high if better else found.low
        passed = worst is not None and (-worst if better else worst) >= -limit.value - _SLACK
        return _condition(result, limit, metric, text, passed, found, signed=True)

    def _differences(self, result: RunResult, split: Split) -> Mapping[str, _Found]:
        """Run minus baseline of every metric, on the texts and labels that both have."""
        baseline = self.baseline
        if baseline is None or split not in baseline.splits:
            problem = _lacks(baseline, split) if baseline else "none was given"
            raise NotFoundError(f"the baseline cannot be used: {problem}", "Choose another run")
        if split not in result.splits:
            return _Everywhere(_Found(reason=_lacks(result, split)))
        ours, theirs = result.splits[split].predictions, baseline.splits[split].predictions
        common = align(ours, theirs)
        if not common.paired:
            return _Everywhere(_Found(reason=common.note))
        ours = ours.take(common.rows, common.columns)
        theirs = theirs.take(common.other_rows, common.other_columns)
        if self.interval:
            differences = paired(
                *(analyse(one, one.probabilities >= DEFAULT_THRESHOLD) for one in (ours, theirs))
            )
            return {
                key: _Found(found.value, found.low, found.high)
                for key, found in differences.items()
                if found is not None
            }
        first, second = (score(one.truth, one.probabilities, one.labels) for one in (ours, theirs))
        keys = (*OVERALL_KEYS, *_CLASS_KEYS)
        values = {key: (_value(first, key)[0], _value(second, key)[0]) for key in keys}
        return {
            key: _Found(one - other)
            for key, (one, other) in values.items()
            if one is not None and other is not None
        }


class _Everywhere(dict[str, _Found]):
    """The same answer for every metric."""

    def __init__(self, answer: _Found) -> None:
        super().__init__()
        self._answer = answer

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ARG002 # dict's signature
        """The one answer there is."""
        return self._answer


def _lacks(result: RunResult, split: Split) -> str:
    """Why a run has no predictions on a split."""
    return result.problems.get(split, f"logged no {split} predictions")


def _logged_change(result: RunResult, baseline: RunResult, metric: Metric) -> _Found:
    ours, theirs = result.logged.get(metric.key), baseline.logged.get(metric.key)
    if ours is None or theirs is None:
        return _Found(reason=f"not both runs logged {metric.key}")
    if not math.isfinite(ours - theirs):
        return _Found(reason=f"{metric.key} is not a number in both runs")
    return _Found(ours - theirs, reason="as logged")


def _value(scores: Scores, key: str) -> tuple[float | None, str]:
    """A metric of scores, and why it has no value."""
    if key in OVERALL_KEYS:
        value = scores.overall[key]
        return value, "" if value is not None else f"{key} is not defined on these texts"
    statistic, _, emotion = key.rpartition("_")
    if emotion not in scores.labels:
        return None, f"the run has no label {emotion}"
    source = scores if statistic in {"auc", "average_precision"} else scores.counts
    found = float(np.asarray(getattr(source, statistic))[scores.labels.index(emotion)])
    return (None, f"{emotion} has no positive text") if math.isnan(found) else (found, "")


def _condition(
    result: RunResult,
    limit: Limit,
    metric: Metric,
    text: str,
    passed: bool,
    found: _Found,
    *,
    signed: bool = False,
) -> Condition:
    if found.value is None:
        detail = found.reason
    else:
        whole = metric.key.startswith("support_") or metric.key.endswith("_epoch")
        shown = f"{found.value:{'+' if signed else ''}g}" if whole else ""
        detail = shown or _number(found.value, limit.value, signed=signed)
        if found.low is not None and found.high is not None:
            low, high = (_number(b, limit.value, signed=signed) for b in (found.low, found.high))
            detail += f", 95% interval {low} to {high}"
        detail += f" ({found.reason})" if found.reason else ""
    return Condition(
        result.run,
        limit.kind,
        text,
        passed,
        detail,
        metric.name,
        limit.value,
        found.value,
        found.low,
        found.high,
    )


def _number(value: float, limit: float, *, signed: bool) -> str:
    """Four decimals, and more where these would hide on which side of the limit it is."""
    sign = "+" if signed else ""
    text = f"{value:{sign}.4f}"
    hides = math.isclose(abs(float(text)), limit) and not math.isclose(abs(value), limit)
    return f"{value:{sign}.8f}" if hides else text


# --- Artifacts and audit --------------------------------------------------------------


def require_artifacts(evidence: Evidence, waivers: Mapping[str, str]) -> Condition:
    """All four artifacts are there, named, typed, whole and readable."""
    found = audit(evidence, waivers, artifact_rules())
    return _audited(evidence, "artifacts", "the four artifacts are complete", found.of("error"))


def require_audit(evidence: Evidence, waivers: Mapping[str, str]) -> Condition:
    """The audit finds no error."""
    found = audit(evidence, waivers)
    return _audited(evidence, "audit", "the audit finds no error", found.of("error"))


def _audited(evidence: Evidence, kind: str, text: str, errors: Sequence[Any]) -> Condition:
    rules = list(dict.fromkeys(finding.rule.id for finding in errors))
    detail = f"errors: {', '.join(rules)}" if rules else "no error"
    return Condition(evidence.run, kind, text, not rules, detail)


def document(
    conditions: Sequence[Condition], *, split: Split, interval: bool, baseline: RunRecord | None
) -> dict[str, Any]:
    """What `check --format json` prints."""
    return {
        "schema_version": SCHEMA_VERSION,
        "passed": all(one.passed for one in conditions),
        "split": split,
        "threshold": DEFAULT_THRESHOLD,
        "rule": RULES[interval],
        "confidence": CONFIDENCE if interval else None,
        "baseline": None if baseline is None else {"id": baseline.id, "name": baseline.name},
        "conditions": [
            {
                "run": {"id": one.run.id, "name": one.run.name},
                "kind": one.kind,
                "condition": one.text,
                "metric": one.metric,
                "limit": one.limit,
                "value": one.value,
                "low": one.low,
                "high": one.high,
                "passed": one.passed,
                "detail": one.detail,
            }
            for one in conditions
        ],
    }

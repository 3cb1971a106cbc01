"""The quality gate: conditions on runs, each with its outcome. Pure but for the evidence given.

Numbers are recomputed from the predictions at threshold 0.5. A condition on the point value
asks for `value >= limit`; on the interval bound, the worse end of the interval is asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

from goemo_report.analysis.common import align, on_common_labels, with_common_text_keys
from goemo_report.audit import RULES, Audit, audit, unread
from goemo_report.audit.evidence import Evidence
from goemo_report.audit.limits import Limit, class_keys, keys_of
from goemo_report.contract import DEFAULT_THRESHOLD, Split
from goemo_report.errors import ArgumentError, DataError, NotFoundError, argument
from goemo_report.formats.wording import plural
from goemo_report.metrics.scores import Scores
from goemo_report.metrics.table import OVERALL, OVERALL_KEYS, class_key
from goemo_report.predictions import Predictions
from goemo_report.results import RunResult
from goemo_report.sources.model import RunRecord, SkippedRun
from goemo_report.statistics.differences import paired
from goemo_report.statistics.distributions import CONFIDENCE
from goemo_report.statistics.intervals import Analysis, analyse, percent

_SLACK: Final = 1e-9  # 0.46 - 0.45 is a little more than 0.01
_NO_INTERVAL: Final = "no interval, as a class is never predicted"


@dataclass(frozen=True)
class Condition:
    """One condition on one run: what was asked, what was found, whether that will do."""

    run: RunRecord
    kind: str
    condition: str
    passed: bool
    detail: str
    metric: str | None = None
    limit: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None


# --- Metrics --------------------------------------------------------------------------


class _Found(NamedTuple):
    """A figure with its interval, or the reason why there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


_ITSELF: Final = _Found(0.0, reason="it is the baseline")


class Judge:
    """Judges conditions; what several conditions need is computed once.

    With a confidence it judges by the bounds of that interval instead of point values.
    """

    def __init__(
        self, *, confidence: float | None = None, baseline: RunResult | None = None
    ) -> None:
        self.confidence = confidence
        self.baseline = baseline
        self._analysis = cache(self._analyse)
        self._difference = cache(self._differences)

    def judge(self, result: RunResult, limit: Limit) -> Condition:
        """The outcome of one condition on one run."""
        is_drop = limit.kind == "max-drop"
        is_least = limit.kind == "fail-under" or (is_drop and not limit.lower_is_better)
        edge = -limit.value if is_drop and is_least else limit.value
        found, text = self._drop(result, limit) if is_drop else (self._figure(result, limit), "")
        judged = found.value
        if self._by_bounds(limit) and found is not _ITSELF:
            judged = found.low if is_least else found.high
        passed = judged is not None and (
            judged >= edge - _SLACK if is_least else judged <= edge + _SLACK
        )
        detail = found.reason
        if found.value is not None:
            shown = _shown(found.value, limit)
            if self.confidence and found.low is not None and found.high is not None:
                low, high = (_shown(bound, limit) for bound in (found.low, found.high))
                alike = found.low == found.high
                shown += (
                    ", as in every resample: the predictions hardly differ"
                    if alike
                    else f", {percent(self.confidence)} interval from {low} to {high}"
                )
            detail = f"{shown} ({found.reason})" if found.reason else shown
        word = "least" if limit.kind == "fail-under" else "most"
        text = f"{limit.name} at {word} {limit.value:g}{text}"
        about = (limit.name, limit.value, found.value, found.low, found.high)
        return Condition(result.run, limit.kind, text, passed, detail, *about)

    def _by_bounds(self, limit: Limit) -> bool:
        """Whether an interval is judged: logged figures and counts have none."""
        counted = limit.split is None or limit.key.startswith("support_")
        return bool(self.confidence) and not counted

    def _figure(self, result: RunResult, limit: Limit) -> _Found:
        if limit.split is None:
            logged = result.logged.get(limit.key)
            if logged is None or math.isnan(logged):
                what = "a number as " if limit.key in keys_of(result) else ""
                return _Found(reason=f"the run did not log {what}{limit.key}")
            return _Found(logged, reason="as logged")
        split = result.splits.get(limit.split)
        if split is None:
            return _Found(reason=_missing_predictions_reason(result, limit.split))
        value, reason = _value(split.scores, limit.key)
        if value is None or not self._by_bounds(limit):
            return _Found(value, reason=reason)
        bounds = self._analysis(split.predictions).intervals[limit.key]
        if bounds is None:
            return _Found(value, reason=_NO_INTERVAL)
        return _Found(value, bounds.low, bounds.high)

    def _analyse(self, predictions: Predictions) -> Analysis:
        predicted = predictions.probabilities >= DEFAULT_THRESHOLD
        return analyse(predictions, predicted, confidence=self.confidence or CONFIDENCE)

    def _drop(self, result: RunResult, limit: Limit) -> tuple[_Found, str]:
        """Run minus baseline, and what is asked of it in words."""
        baseline = self.baseline
        if baseline is None:
            raise ArgumentError(
                f"{argument('max_drop')} needs {argument('baseline')}",
                "Name the run to compare with",
            )
        word = "above" if limit.lower_is_better else "below"
        text = f" {word} {baseline.run.name} ({baseline.id})"
        if result.id == baseline.id:
            return _ITSELF, text
        if limit.split is None:
            return _logged_change(result, baseline, limit.key), text
        known = self._difference(result, limit.split)
        undefined = _Found(reason=f"{limit.name} is not defined for both runs")
        return known if isinstance(known, _Found) else known.get(limit.key, undefined), text

    def _differences(self, result: RunResult, split: Split) -> Mapping[str, _Found] | _Found:
        """Run minus baseline of every metric, on the texts and labels that both have.

        One answer to all where the two cannot be compared.
        """
        baseline = self.baseline
        if baseline is None or split not in baseline.splits:
            problem = _missing_predictions_reason(baseline, split) if baseline else "none was given"
            raise NotFoundError(f"the baseline cannot be used: {problem}", "Choose another run")
        if split not in result.splits:
            return _Found(reason=_missing_predictions_reason(result, split))
        try:
            pair = with_common_text_keys(on_common_labels([result, baseline], split), split)
        except DataError as error:
            return _Found(reason=error.what)
        ours, theirs = (one.splits[split].predictions for one in pair)
        common = align(ours, theirs)
        if not common.paired:
            return _Found(reason=common.note)
        ours, theirs = common.take(ours, theirs)
        scores = [one.score_at() for one in (ours, theirs)]
        found = {}
        for key in (*OVERALL_KEYS, *class_keys(ours.labels)):
            first, second = (_value(one, key)[0] for one in scores)
            if first is not None and second is not None:
                lacks = self.confidence and not key.startswith("support_")
                found[key] = _Found(first - second, reason=_NO_INTERVAL if lacks else "")
        if self.confidence:
            differences = paired(self._analyse(ours), self._analyse(theirs)).differences
            found |= {
                key: _Found(one.value, one.low, one.high)
                for key, one in differences.items()
                if one is not None
            }
        return found


def _missing_predictions_reason(result: RunResult, split: Split) -> str:
    """Why a run has no predictions on a split."""
    return result.problems.get(split, f"logged no {split} predictions")


def _logged_change(result: RunResult, baseline: RunResult, key: str) -> _Found:
    ours, theirs = result.logged.get(key), baseline.logged.get(key)
    if ours is None or theirs is None:
        return _Found(reason=f"not both runs logged {key}")
    if not math.isfinite(ours - theirs):
        return _Found(reason=f"{key} is not a number in both runs")
    return _Found(ours - theirs, reason="as logged")


def _value(scores: Scores, key: str) -> tuple[float | None, str]:
    """A metric of scores, and why it has no value."""
    if key in OVERALL_KEYS:
        value = scores.overall[key]
        why = f"{key} is not defined on these texts"
        if OVERALL[key].metric.needs_probabilities and not scores.has_probabilities:
            why = f"{key} needs probabilities, and the file has none"
        return value, "" if value is not None else why
    _, label = class_key(key)
    if label not in scores.labels:
        return None, f"the run has no label {label}"
    found = scores.values[key]
    why = "has no positive text" if scores.has_probabilities else "has no probabilities in the file"
    return (None, f"{label} {why}") if found is None else (float(found), "")


def _shown(value: float, limit: Limit) -> str:
    """A figure, or how far a run is from the baseline, in words."""
    whole = limit.key.startswith("support_") or limit.key.endswith("_epoch")
    size = f"{abs(value):g}" if whole else _number(abs(value), limit.value)
    if limit.kind != "max-drop":
        return f"-{size}" if value < 0 else size
    return f"{size} {'below' if value < 0 else 'above'} it" if value else "the same"


def _number(value: float, limit: float) -> str:
    """Four decimals, and more where these would hide on which side of the limit it is."""
    text = f"{value:.4f}"
    hides = math.isclose(float(text), limit) and not math.isclose(value, limit)
    return f"{value:.8f}" if hides else text


# --- Artifacts and audit --------------------------------------------------------------


def require_artifacts(evidence: Evidence, waivers: Mapping[str, str]) -> Condition:
    """All four artifacts are there, named, typed, whole and readable."""
    rules = [rule for rule in RULES if rule.subject == "artifacts"]
    found = audit(evidence, waivers, rules)
    return _audited(found, "artifacts", "the four artifacts are complete")


def require_audit(evidence: Evidence, waivers: Mapping[str, str]) -> Condition:
    """The audit finds no error."""
    return _audited(audit(evidence, waivers), "audit", "the audit finds no error")


def _audited(found: Audit, kind: str, text: str) -> Condition:
    broken = list(dict.fromkeys(finding.rule.id for finding in found.of("error")))
    detail = f"errors: {', '.join(broken)}" if broken else "no error"
    if found.left_out:
        detail += f" ({plural(found.left_out, 'rule')} left out that only a logged run can keep)"
    return Condition(found.run, kind, text, not broken, detail)


def unreadable(skipped: SkippedRun) -> Condition:
    """The condition that a run breaks that may be meant and cannot be read."""
    found = unread(skipped)
    return Condition(found.run, "readable", "the run can be read", False, skipped.reason)

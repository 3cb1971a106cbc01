"""Is what a run logged what its predictions say? Logged figures beside recomputed ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np

from goemo_report.analysis.epochs import training_of
from goemo_report.contract import PER_CLASS_STATISTICS, Split
from goemo_report.formats.wording import plural
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.counts import averages
from goemo_report.metrics.rankings import Ranking
from goemo_report.metrics.table import (
    HEADLINE,
    OVERALL,
    OverallMetric,
    class_key,
    guides_name,
    key_of,
)
from goemo_report.predictions import Predictions
from goemo_report.results import RunResult, SplitResult
from goemo_report.sources.model import as_number
from goemo_report.thresholds.tune import Tuned

TOLERANCE: Final = 5e-4
"""Largest difference that is put down to rounding: half a unit of the third decimal."""

TUNED: Final = "macro_f1_tuned"
"""What `goemo-train` logs for each split beside the guide's metrics."""

_CHECKED: Final[WeakKeyDictionary[RunResult, tuple[LoggedCheck, ...]]] = WeakKeyDictionary()
"""What several sections ask for."""

_METADATA: Final = {
    "final_test_auc": "test/auc",
    "final_test_f1": "test/macro_f1",
    "best_epoch": "best_epoch",
}


@dataclass(frozen=True, slots=True)
class LoggedCheck:
    """One logged figure beside what the predictions say.

    `place` is `log` or the artifact whose metadata holds it. `recomputed` is None where
    nothing defines the figure (an AUC without positives). `explanation` names what the
    logged figure equals instead, where that is found. `allowed` is the difference that the
    predictions cannot tell from none: TOLERANCE, or what rounded probabilities do to an AUC.
    """

    key: str
    place: str
    logged: float
    recomputed: float | None
    explanation: str = ""
    allowed: float = TOLERANCE

    @property
    def difference(self) -> float | None:
        """Logged minus recomputed; None where one of them is undefined."""
        if self.recomputed is None or math.isnan(self.logged):
            return None
        return self.logged - self.recomputed

    @property
    def agrees(self) -> bool:
        """Whether both say the same within what is allowed."""
        difference = self.difference
        if difference is None:
            return same(self.logged, self.recomputed)
        return abs(difference) <= self.allowed


def same(logged: float, recomputed: float | None) -> bool:
    """Whether two figures differ by no more than TOLERANCE, or are both undefined."""
    if recomputed is None or math.isnan(recomputed):
        return math.isnan(logged)
    return abs(logged - recomputed) <= TOLERANCE


def check_logged(result: RunResult) -> tuple[LoggedCheck, ...]:
    """Every logged figure of a run that its predictions can confirm, in key order.

    F1, precision and recall are compared as the file's own `pred_labels` have them. Figures
    of the validation split are those of the best epoch, from which the predictions come.
    """
    if (found := _CHECKED.get(result)) is None:
        read = result.as_read
        found = _CHECKED[result] = (*_check_log(read), *_check_metadata(read))
    return found


def _check_log(result: RunResult) -> Iterator[LoggedCheck]:
    for split, found in result.splits.items():
        expected = {**recomputed_metrics(found), **_tuned(result, split)}
        logged = _logged_at_best_epoch(result) if split == "val" else result.logged
        for name, value in expected.items():
            key = f"{split}/{name}"
            if key not in logged:
                continue
            check = _with_slack(LoggedCheck(key, "log", logged[key], value), name, found)
            if not check.agrees:
                check = replace(check, explanation=_explain(name, logged[key], result, split))
            yield check


def _with_slack(check: LoggedCheck, name: str, found: SplitResult | None) -> LoggedCheck:
    """A check that allows for what rounded probabilities do to an AUC."""
    if check.agrees or found is None:
        return check
    return replace(check, allowed=max(TOLERANCE, auc_slack(name, found.predictions)))


def _tuned(result: RunResult, split: Split) -> dict[str, float | None]:
    """Macro F1 at the thresholds per class that validation gives, if the run logged it."""
    judged, validation = result.splits[split], result.splits.get("val")
    if f"{split}/{TUNED}" not in result.logged or validation is None:
        return {}
    both = judged.predictions, validation.predictions
    if validation.labels != judged.labels or not all(one.has_probabilities for one in both):
        return {}
    tuned = Tuned(validation.predictions.truth, validation.predictions.probabilities)
    predicted = judged.predictions.probabilities >= tuned.thresholds
    return {TUNED: averages(judged.predictions.truth, predicted)[HEADLINE]}


def not_checkable(result: RunResult) -> tuple[str, ...]:
    """Keys of logged validation and test figures that predictions cannot confirm: losses, say."""
    checked = {check.key for check in check_logged(result)}
    return tuple(
        key for key in result.logged if key.startswith(("val/", "test/")) and key not in checked
    )


def _logged_at_best_epoch(result: RunResult) -> Mapping[str, float]:
    """The logged metrics, with those of the best epoch in place of the last one's."""
    best = best_epoch(result)
    row = {} if best is None else training_of(result).rows.get(best, {})
    found = ((key, as_number(value)) for key, value in row.items())
    return {**result.logged, **{key: number for key, number in found if number is not None}}


def best_epoch(result: RunResult) -> float | None:
    """The best epoch that the run logged; else that of the best logged validation AUC."""
    if "best_epoch" in result.logged:
        return result.logged["best_epoch"]
    epochs = [
        (auc, -epoch)
        for epoch, row in training_of(result).rows.items()
        if (auc := as_number(row.get("val/auc"))) is not None and not math.isnan(auc)
    ]
    return -max(epochs)[1] if epochs else None


def recomputed_metrics(found: SplitResult) -> dict[str, float | None]:
    """Recompute metrics under the guide's names, without the split.

    Overall metrics first, then `f1_joy` and its like; counts follow `pred_labels`.
    """
    scores = found.as_logged
    return {
        guides_name(key): None if value is None else float(value)
        for key, value in scores.values.items()
        if class_key(key)[0] in PER_CLASS_STATISTICS
        or (
            (one := OVERALL.get(key))
            and (scores.has_probabilities or not one.metric.needs_probabilities)
        )
    }


def _check_metadata(result: RunResult) -> Iterator[LoggedCheck]:
    """The checkpoint's metadata against the predictions, or the log where they are silent."""
    expected: dict[str, float | None] = dict(result.logged)
    test = result.splits.get("test")
    if test is not None:
        metrics = recomputed_metrics(test)
        expected |= {f"test/{name}": value for name, value in metrics.items()}
    checkpoints = [item for item in result.artifacts if item.role == "checkpoint"]
    for artifact in checkpoints[-1:]:
        for name, key in _METADATA.items():
            number = as_number(artifact.metadata.get(name))
            if number is None or key not in expected:
                continue
            check = LoggedCheck(name, artifact.qualified_name, number, expected[key])
            check = _with_slack(check, key.removeprefix("test/"), test)
            if not check.agrees:
                check = replace(check, explanation=_explain_metadata(key, number, result))
            yield check


def _explain_metadata(key: str, value: float, result: RunResult) -> str:
    """Find what a figure of the metadata equals instead; the summary's own comes first."""
    if key in result.logged and same(value, result.logged[key]):
        return f"equals the logged {key}"
    split, _, name = key.partition("/")
    if split != "test" or "test" not in result.splits:
        return ""
    return _explain(name, value, result, "test")


def _explain(name: str, logged: float, result: RunResult, split: Split) -> str:
    """Find what a logged figure equals instead of what its name says; empty if nothing."""
    own = _equal(name, logged, result.splits[split])
    if own:
        return own
    whole = float(logged).is_integer()  # a 0, a 1 or a count is too often the same by chance
    for other, found in result.splits.items():
        if other != split and not whole:
            where = "on validation" if other == "val" else "on test"
            value = found.as_logged.values.get(key_of(name))
            if value is not None and same(logged, value):
                return f"equals the figure {where}"
            equal = _equal(name, logged, found)
            if equal:
                return f"{equal} {where}"
    return ""


def _equal(name: str, logged: float, found: SplitResult) -> str:
    """Find what else of one split a logged figure equals; empty if nothing."""
    for words, scores in (("", found.as_logged), (" at threshold 0.5", found.scores)):
        for other in _siblings(name):
            value = scores.overall[other.key]
            if value is not None and same(logged, value):
                return f"equals the {other.title}{words}"
        value = scores.values.get(name)
        if class_key(name)[0] and value is not None and same(logged, value):
            return f"equals the figure{words}"
    return ""


def _siblings(name: str) -> Iterator[OverallMetric]:
    """Averages of the metric that a name holds: `auc` is micro AUC."""
    if name == TUNED:
        yield OVERALL[HEADLINE]
    one = OVERALL.get(key_of(name))
    if one is not None and one.metric.of_classes:
        yield from (OverallMetric(one.metric, average) for average in one.metric.averages)


def sample_problems(result: RunResult) -> list[str]:
    """Yield what does not fit between config, files and data set, one line each."""
    problems = []
    config = result.run.config
    for split, found in result.as_read.splits.items():
        logged = config.get(f"{split}_samples")
        if isinstance(logged, int) and logged != found.rows:
            stated = plural(logged, f"{split} text")
            problems.append(f"config says {stated}, the predictions hold {found.rows:,}")
        count = config.get("num_labels")
        if isinstance(count, int) and count != len(found.labels):
            stated, held = plural(count, "label"), len(found.labels)
            problems.append(f"config says {stated}, the {split} predictions hold {held}")
        of_labels = zip(found.labels, found.scores.counts.support, strict=True)
        if without := [label for label, support in of_labels if not support]:
            problems.append(f"no {split} text carries {', '.join(without)}")
    return list(dict.fromkeys(problems))


# --- Ties -----------------------------------------------------------------------------


def tied_share(truth: BoolArray, scores: FloatArray) -> float:
    """Share of the pairs of a positive and a negative, both (n,), whose scores tie."""
    found = Ranking.of(truth, scores)
    pairs, gained = found.positives * found.negatives, found.gained
    return float(gained @ (found.sizes - gained)) / pairs if pairs else 0.0


def auc_slack(metric: str, predictions: Predictions) -> float:
    """The most that a ROC AUC can differ from that of the probabilities before rounding.

    A tie counts a half in an AUC; whichever way it falls when digits come back, the AUC moves
    by at most half the share of tied pairs. 0 for other metrics.
    """
    truth, scores = predictions.truth, predictions.probabilities
    if key_of(metric) == "micro_auc":
        return tied_share(truth.ravel(), scores.ravel()) / 2
    if metric == "macro_auc":
        shares = [tied_share(truth[:, k], scores[:, k]) for k in range(truth.shape[1])]
        defined = truth.any(0) & ~truth.all(0)
        return float(np.mean(np.array(shares)[defined])) / 2 if defined.any() else 0.0
    return 0.0

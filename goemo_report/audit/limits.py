"""Conditions on metrics as they are typed, and the metrics that they mean."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from goemo_report.audit.evidence import labels_of
from goemo_report.contract import (
    EPOCH_METRICS,
    MACRO_AUC_METRICS,
    SPLITS,
    Split,
    evaluation_metrics,
)
from goemo_report.errors import ArgumentError, argument
from goemo_report.labels import LabelSet, set_of
from goemo_report.metrics.table import (
    CLASS_METRICS,
    HEADLINE,
    OVERALL,
    OVERALL_KEYS,
    Metric,
    canonical_metric,
    class_key,
    guides_name,
    key_of,
)
from goemo_report.results import RunResult

Kind = Literal["fail-under", "fail-over", "max-drop"]

_GUIDE_KEYS: Final = frozenset(
    key.name for key in (*EPOCH_METRICS, *MACRO_AUC_METRICS, *evaluation_metrics(()))
)


class UnknownMetricError(ArgumentError):
    """A condition names a metric that no run has."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One condition: `metric` as it was typed, in any spelling.

    Once resolved it is about the figure `key`, recomputed on a split or, without one, as logged.
    """

    kind: Kind
    metric: str
    value: float
    key: str = ""
    split: Split | None = None

    @property
    def name(self) -> str:
        """What to call the figure: with its split, or the logged key."""
        return f"{self.split}/{self.key}" if self.split else self.key

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller value is the better one."""
        metric = metric_of(self.key)
        return metric.lower_is_better if metric else self.key.endswith("loss")


def parse_limit(kind: Kind, text: str) -> Limit:
    """A condition as typed, METRIC=VALUE; of --max-drop VALUE alone is that of the macro F1.

    Raises ArgumentError for anything else.
    """
    name, equals, number = text.rpartition("=")
    name = name.strip()
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not equals and kind == "max-drop":
        name = HEADLINE
    given = argument(kind.replace("-", "_"), text)
    if not name or not math.isfinite(value):
        raise ArgumentError(f"{given} is not METRIC=VALUE", "Write it as macro_f1=0.45")
    if kind == "max-drop" and value < 0:
        raise ArgumentError(f"{given}: a drop is not negative", "Give 0 or more")
    metric = metric_of(_guides_key(name.removeprefix("test/").removeprefix("val/")))
    if metric and metric.clip(value) != value:
        meant = f"Did you mean {name}={value / 100:g}?" if 1 < value <= 100 else "Correct VALUE"
        between = f"between {metric.low:g} and {metric.high:g}"
        raise ArgumentError(f"{given}: {name} lies {between}", meant)
    return Limit(kind, name, value)


def metric_of(key: str) -> Metric | None:
    """The metric of an overall or per-class key; None of a count or a key that is none."""
    return OVERALL[key].metric if key in OVERALL else CLASS_METRICS.get(class_key(key)[0])


def class_keys(labels: Sequence[str]) -> tuple[str, ...]:
    """Keys of every metric of each label, and of its support."""
    return tuple(f"{name}_{label}" for name in (*CLASS_METRICS, "support") for label in labels)


def recomputed_key(name: str, labels: Sequence[str]) -> str | None:
    """Key of a metric that predictions define, from the guide's or another spelling."""
    key = _guides_key(name)
    return key if key in OVERALL_KEYS or class_key(key)[1] in labels else None


def _guides_key(name: str) -> str:
    return key_of(canonical_metric(f"test/{name}").removeprefix("test/"))


def _labels(results: Sequence[RunResult]) -> LabelSet:
    """The labels that the runs can be asked about, with that which some were trained without."""
    found = dict.fromkeys(split.label_set for run in results for split in run.splits.values())
    sets = found or dict.fromkeys(map(labels_of, results))
    labels = (label for one in sets for label in (*one.labels, one.left_out) if label)
    return set_of(dict.fromkeys(labels))


def resolve(limit: Limit, split: Split, results: Sequence[RunResult]) -> Limit:
    """The condition with the figure that it means. Raises UnknownMetricError naming similar ones.

    A prefix `test/` or `val/` decides the split. What predictions do not define is looked up
    among what any of the runs logged, be it null, and the guide's keys.
    """
    prefix, slash, rest = limit.metric.partition("/")
    on = next((one for one in SPLITS if slash and prefix == one), None)
    key = recomputed_key(rest if on else limit.metric, _labels(results).labels)
    if key is not None:
        found = replace(limit, key=key, split=on or split)
    else:
        found = replace(limit, key=_logged_key(limit, split, results))
    if limit.kind == "fail-under" and found.lower_is_better:
        raise ArgumentError(
            f"{argument('fail_under', limit.metric)}: the lower {found.name}, the better",
            f"Write {argument('fail_over', f'{limit.metric}={limit.value:g}')}",
        )
    return found


def keys_of(result: RunResult) -> set[str]:
    """Every key that a run logged, whatever its value."""
    keys = set(result.logged).union(result.run.summary, *result.history)
    return {canonical_metric(key) for key in keys if not key.startswith("_")}


def _logged_key(limit: Limit, split: Split, results: Sequence[RunResult]) -> str:
    logged = set[str]().union(*(keys_of(result) for result in results))
    for name in map(canonical_metric, (limit.metric, f"{split}/{limit.metric}")):
        if name in logged or name in _GUIDE_KEYS:
            return name
    labels = _labels(results)
    known = class_keys(labels.labels)
    spellings = {
        key: key for key in (*OVERALL_KEYS, *known, guides_name("micro_auc"), *sorted(logged))
    }
    asked = limit.metric.rpartition("/")[2]
    close = [key for key in OVERALL_KEYS if key.endswith(f"_{asked}")]  # an average left out
    close += difflib.get_close_matches(limit.metric, spellings, 4)
    close += difflib.get_close_matches(asked, spellings, 4)
    usual = (*OVERALL_KEYS[:4], *(f"f1_{one}" for one in labels.labels[:1]))
    names = list(dict.fromkeys(close))[:4] or usual
    statistic, label = class_key(asked)
    hint = f"Similar: {', '.join(names)}"
    if statistic and not difflib.get_close_matches(label, labels.labels, 1):
        hint = f"The {labels.nouns} are {', '.join(labels.labels)}"
    raise UnknownMetricError(
        f"{argument(limit.kind.replace('-', '_'))}: there is no metric {limit.metric!r}", hint
    )

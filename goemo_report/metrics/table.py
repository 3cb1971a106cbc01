"""The table of metrics: what each is called, what it follows from and how it is averaged.

A new metric is one entry of METRICS: scores, intervals, paired differences, conditions, tables
and caches take what they need to know of it from here. Nothing here needs numpy, so that names
can be read without it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from operator import methodcaller
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final, Literal

from goemo_report import metrics as package
from goemo_report.formats.wording import listed

if TYPE_CHECKING:
    from goemo_report.metrics.arrays import BoolArray, FloatArray
    from goemo_report.metrics.counts import ClassCounts
    from goemo_report.metrics.rankings import Groups

METRICS_VERSION: Final = 1
"""Raised for readers whenever a number of a metric below may come out differently."""

Average = Literal["macro", "micro", "weighted", "samples"]
AVERAGES: Final[tuple[Average, ...]] = ("macro", "micro", "weighted", "samples")

ZERO_DIVISION_RULE: Final = (
    "A ratio with an empty denominator counts as 0; a class without positives has no AUC and no "
    "average precision and is left out of their macro means."
)


def ratio(numerator: Any, denominator: Any) -> FloatArray:
    """Element-wise quotient of arrays or numbers; 0.0 where the denominator is 0."""
    empty = denominator == 0
    quotient: FloatArray = numerator / (denominator + empty) * (1.0 - empty)
    return quotient


def f1_of(tp: Any, marked: Any) -> FloatArray:
    """F1 from the true positives and the number of predicted and of true labels together."""
    return ratio(2.0 * tp, marked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How a metric follows from the share of true positives among some decisions.

    `trials` counts the decisions; `value` gives the metric of a share and `inverse` the share of
    a metric. Such a metric has the intervals of a proportion.
    """

    trials: Callable[[ClassCounts], Any]
    value: Callable[[Any], Any] = lambda share: share
    inverse: Callable[[Any], Any] = lambda value: value


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric; it follows from exactly one of `counts`, `ranking` and `pairs`.

    `counts` gives its values from confusion counts of classes, of all pairs as one class
    (micro), or of the labels of each text (samples); `ranking` from the ranking of the texts
    of a class, or of all pairs, nan where it is undefined; `pairs` is a value of each text x
    label pair, from arrays of truth and probabilities, whose mean is the metric.

    A metric of whole texts has no value per class, and its only average, over texts, is not
    named. `narrow` are the averages that tables with little room show: without it, the first.
    Values lie between `low` and `high`, which may be infinite. With `needs_predictions` it says
    nothing of a class that is never predicted and is 0 by convention, so that averages over such
    classes have no interval. Raises ValueError for an entry that contradicts itself.
    """

    key: str
    title: str
    averages: tuple[Average, ...] = ("macro", "micro")
    group: Literal["scores", "precision-recall", "texts"] = "scores"
    narrow: tuple[Average, ...] | None = None
    counts: Callable[[ClassCounts], Any] | None = None
    ranking: Callable[[Groups], float] | None = None
    pairs: Callable[[BoolArray, FloatArray], FloatArray] | None = None
    share: Share | None = None
    low: float = 0.0
    high: float = 1.0
    lower_is_better: bool = False
    needs_predictions: bool = False
    digits: int = 3

    def __post_init__(self) -> None:
        if [self.counts, self.ranking, self.pairs].count(None) != 2:
            raise ValueError(f"metric {self.key}: give one of counts, ranking and pairs")
        possible: tuple[Average, ...] = ("macro", "micro")
        if self.counts is not None:
            possible = AVERAGES if self.of_classes else ("samples",)
        elif not self.of_classes:
            raise ValueError(f"metric {self.key}: one of whole texts follows from counts")
        others = [one for one in self.averages if one not in possible]
        if others or not self.averages:
            raise ValueError(f"metric {self.key}: its averages are some of {', '.join(possible)}")
        if self.narrow is None:
            object.__setattr__(self, "narrow", self.averages[:1])
        elif not set(self.narrow) <= set(self.averages):
            raise ValueError(f"metric {self.key}: narrow has an average that averages has not")

    def is_narrow(self, average: Average) -> bool:
        """Whether tables with little room show this average."""
        return average in (self.narrow or ())

    @property
    def of_classes(self) -> bool:
        """Whether it has a value of each class."""
        return self.group != "texts"

    @property
    def needs_probabilities(self) -> bool:
        """Whether it follows from probabilities, and so needs no threshold."""
        return self.counts is None

    def clip(self, value: float) -> float:
        """The nearest value that it can have: rounding and corrections may miss by a hair."""
        return min(max(value, self.low), self.high)

    @property
    def span(self) -> float:
        """The width of its range, which may be infinite."""
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class OverallMetric:
    """A metric with its average: one number for a whole split."""

    metric: Metric
    average: Average

    @property
    def over_classes(self) -> bool:
        """Whether it is a mean of the values of classes."""
        return self.average in ("macro", "weighted")

    @property
    def key(self) -> str:
        """`macro_f1`; metrics of whole texts have no average in front."""
        return f"{self.average}_{self.metric.key}" if self.metric.of_classes else self.metric.key

    @property
    def title(self) -> str:
        """`macro F1`, for column heads."""
        name = self.metric.title
        return f"{self.average} {name}" if self.metric.of_classes else name


def _mcc(counts: ClassCounts) -> FloatArray:
    """Matthews (1975); 0 where truth or prediction is the same for all texts."""
    tp, fp, fn, tn = (1.0 * part for part in (counts.tp, counts.fp, counts.fn, counts.tn))
    squares = (tp + fp) * (fn + tn) * ((tp + fn) * (fp + tn))
    return ratio(tp * tn - fp * fn, squares**0.5)


F1_SHARE: Final = Share(
    trials=lambda c: c.tp + c.fp + c.fn,
    value=lambda share: 2 * share / (1 + share),
    inverse=lambda value: value / (2 - value),
)
METRICS: Final[tuple[Metric, ...]] = (
    Metric(
        key="auc",
        title="AUC",
        averages=("micro", "macro"),
        narrow=("micro", "macro"),
        ranking=methodcaller("auc"),
        digits=4,
    ),
    Metric(
        key="f1",
        title="F1",
        averages=AVERAGES,
        narrow=("macro", "micro", "weighted"),
        counts=lambda c: f1_of(c.tp, c.support + c.predicted),
        share=F1_SHARE,
    ),
    Metric(
        key="precision",
        title="precision",
        averages=AVERAGES,
        group="precision-recall",
        counts=lambda c: ratio(c.tp, c.predicted),
        share=Share(trials=lambda c: c.predicted),
        needs_predictions=True,
    ),
    Metric(
        key="recall",
        title="recall",
        averages=AVERAGES,
        group="precision-recall",
        counts=lambda c: ratio(c.tp, c.support),
        share=Share(trials=lambda c: c.support),
    ),
    Metric(key="average_precision", title="AP", ranking=methodcaller("average_precision")),
    Metric(
        key="exact_match",
        title="exact match",
        averages=("samples",),
        group="texts",
        counts=lambda c: c.fp + c.fn == 0,
    ),
    Metric(
        key="hamming_loss",
        title="Hamming loss",
        averages=("samples",),
        group="texts",
        counts=lambda c: (c.fp + c.fn) / c.total,
        lower_is_better=True,
        digits=4,
    ),
    Metric(
        key="jaccard",
        title="Jaccard (samples)",
        averages=("samples",),
        group="texts",
        counts=lambda c: ratio(c.tp, c.tp + c.fp + c.fn),
    ),
    Metric(key="mcc", title="MCC", counts=_mcc, low=-1.0),
    Metric(
        key="brier",
        title="Brier score",
        averages=("macro",),
        pairs=lambda truth, probabilities: (probabilities - truth) ** 2,
        lower_is_better=True,
        digits=4,
    ),
)
"""Every metric, in the order of JSON."""

OVERALL: Final[Mapping[str, OverallMetric]] = {
    one.key: one
    for one in (OverallMetric(metric, average) for metric in METRICS for average in metric.averages)
}
OVERALL_KEYS: Final = tuple(OVERALL)
"""Keys of `Scores.overall`, in the order of JSON."""
HEADLINE: Final = "macro_f1"
"""Runs are ranked by it, at the fixed threshold 0.5, and tested together where several are compared
with one baseline."""

READING_ORDER: Final = tuple(
    sorted(
        OVERALL.values(),
        key=lambda one: (
            not one.metric.of_classes,
            one.metric.needs_probabilities,
            one.metric.lower_is_better,
        ),
    )
)
"""Overall metrics as tables show them: at a threshold, of probabilities, of whole texts."""

CLASS_METRICS: Final[Mapping[str, Metric]] = {
    one.metric.key: one.metric for one in READING_ORDER if one.metric.of_classes
}
"""Metrics that classes have: `f1_joy`, `precision_joy`, `auc_joy`, ..."""


def titles(chosen: Callable[[Metric], object]) -> str:
    """Titles of the metrics of classes that are chosen: `F1, precision and recall`."""
    return listed(one.title for one in CLASS_METRICS.values() if chosen(one))


OF_TEXTS: Final = listed(one.title.partition(" (")[0] for one in METRICS if not one.of_classes)
"""Titles of the metrics of whole texts: `exact match, Hamming loss and Jaccard`."""


def fingerprint(metrics: Iterable[Metric]) -> str:
    """Changes with each entry, its formulas included, and with the code of this package.

    For the keys of caches, so that no number of another formula is read from them.
    """
    files = sorted(Path(package.__path__[0]).glob("*.py"))
    digest = hashlib.sha256(repr([METRICS_VERSION, *map(_content, metrics)]).encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _content(value: object) -> object:
    """What an entry computes, as values whose repr is the same in every process."""
    if isinstance(value, FunctionType):
        held = [cell.cell_contents for cell in value.__closure__ or ()]
        return [_content(one) for one in (value.__code__, value.__defaults__, held)]
    if isinstance(value, CodeType):
        return [value.co_code, value.co_names, [_content(one) for one in value.co_consts]]
    if is_dataclass(value):
        return [_content(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, list | tuple):
        return [_content(one) for one in value]
    if isinstance(value, frozenset):
        return sorted(map(repr, value))
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


FINGERPRINT: Final = fingerprint(METRICS)


def class_key(key: str) -> tuple[str, str]:
    """The metric (or `support`) and the label of a per-class key: `f1` and `joy` of `f1_joy`.

    Two empty texts for a key of another kind. Of metrics whose keys begin alike it is the longest.
    """
    found = [name for name in (*CLASS_METRICS, "support") if key.startswith(f"{name}_")]
    name = max(found, key=len, default="")
    return name, key.removeprefix(f"{name}_") if name else ""


def guides_name(key: str) -> str:
    """What the guide calls a metric, without the split: a micro AUC is the bare `auc`."""
    return "auc" if key == "micro_auc" else key


def key_of(name: str) -> str:
    """The key of a metric that the guide names so, the other way round."""
    return "micro_auc" if name == "auc" else name


_SPLITS: Final = {"train": "train", "val": "val", "eval": "val", "test": "test"}


@lru_cache(maxsize=4096)  # runs of a project log the same keys
def canonical_metric(key: str) -> str:
    """The guide's spelling of a logged metric key: `test/f1_macro` is `test/macro_f1`.

    A micro AUC is the bare `auc`, as the guide writes it; `eval/`, as transformers' Trainer logs
    it, is `val/`. `eval_macro_f1`, as Trainer logs it to MLflow, is understood for overall metrics
    and the loss. Other keys come back unchanged.
    """
    split, mark, name = key.partition("/")
    if not mark:
        split, _, name = key.partition("_")
    if split not in _SPLITS:
        return key
    statistic, _, average = name.rpartition("_")
    flipped = f"{average}_{statistic}"
    name = flipped if flipped in OVERALL else name
    if not mark and name not in OVERALL and name not in ("auc", "loss"):
        return key
    return f"{_SPLITS[split]}/{guides_name(name)}"

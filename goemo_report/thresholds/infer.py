"""The threshold that made a file's predicted labels, inferred from the labels themselves.

Each text allows the thresholds above its largest probability that is not predicted, up to
its smallest that is; a rule fits when some threshold is allowed by every text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.predictions import Predictions

_WIDE = 0.01  # a file of many texts pins its threshold closer than this

ThresholdRule = Literal["global", "top-1-fallback", "top-1", "per-class", "inconsistent", "given"]


@dataclass(frozen=True, slots=True)
class InferredThreshold:
    """The rule that made the predicted labels of `rows` texts.

    `global`: every threshold t with low < t <= high makes exactly these labels at p >= t, and
    `value` is 0.5 if it is one of them, else the roundest number there (None when nothing is
    predicted at all and some probability reaches 0.5). `top-1-fallback`: the
    same, where a text that reaches it nowhere (`fallback_rows` of them) gets its most probable
    label. `top-1`: always the most probable label. `per-class`: `per_class` has one threshold
    a label (None where the data do not say), `value` is None. `inconsistent`: no rule fits;
    `value` is the threshold that the fewest texts contradict, `contradictions` of them. `given`:
    there are no probabilities, and no threshold.
    """

    rule: ThresholdRule
    rows: int
    low: float
    high: float
    value: float | None
    contradictions: int = 0
    fallback_rows: int = 0
    per_class: tuple[float | None, ...] | None = None
    noun: str = "label"
    nouns: str = "labels"

    @property
    def description(self) -> str:
        """The finding in one line."""
        if self.rule == "given":
            return f"predicted {self.nouns} without probabilities, no threshold"
        if self.rule == "top-1":
            return f"the most probable {self.noun} of each text, no threshold"
        if self.rule == "per-class" and self.per_class is not None:
            known = [value for value in self.per_class if value is not None]
            if not known:  # a class that is always or never predicted has no threshold
                return "the same labels for every text, whatever its probabilities"
            return f"one threshold per class, from {min(known):g} to {max(known):g}"
        if self.value is None:
            return f"no {self.noun} is predicted, with probabilities up to {self.low:.3g}"
        text = f"{self.value:g}"
        if self.contradictions == self.rows:
            return "no threshold fits the probabilities of any row"
        if self.rule == "inconsistent":
            return f"{text} fits best, but {self.contradictions} of {self.rows} rows contradict it"
        low, high = max(self.low, 0.0), min(self.high, 1.0)
        if high - low > _WIDE:
            text += f" (any from {low:.3f} to {high:.3f} fits)"
        if self.rule == "top-1-fallback":
            text += f", else the most probable {self.noun} "
            text += f"({self.fallback_rows} of {self.rows} rows)"
        return text


def infer_threshold(predictions: Predictions) -> InferredThreshold:
    """Infer the rule that made the predicted labels, of one text or more.

    A simpler rule wins. One threshold per class is believed only when fewer classes leave the
    best global threshold than texts contradict it: each odd class must explain more
    than one text.
    """
    if predictions.has_probabilities:
        found = _infer(predictions.probabilities, predictions.predicted)
    else:
        found = InferredThreshold("given", len(predictions), math.nan, math.nan, None)
    called = predictions.label_set
    return replace(found, noun=called.noun, nouns=called.nouns)


def _infer(probabilities: FloatArray, predicted: BoolArray) -> InferredThreshold:
    rows = len(probabilities)
    lows, highs = _allowed(probabilities, predicted, axis=1)
    low, high = float(lows.max()), float(highs.min())
    if low < high:
        value = _roundest(low, high) if low < DEFAULT_THRESHOLD or np.isfinite(high) else None
        return InferredThreshold("global", rows, low, high, value)
    fallback = _infer_fallback(probabilities, predicted, lows, highs)
    if fallback is not None:
        return fallback
    best, low, high, contradictions = _best_fit(lows, highs)
    class_lows, class_highs = _allowed(probabilities, predicted, axis=0)
    odd = int(np.count_nonzero((best <= class_lows) | (best > class_highs)))
    if (class_lows < class_highs).all() and odd < contradictions:
        return InferredThreshold(
            "per-class",
            rows,
            low,
            high,
            None,
            per_class=tuple(
                _roundest(*bounds) if np.isfinite(bounds).all() else None
                for bounds in zip(class_lows.tolist(), class_highs.tolist(), strict=True)
            ),
        )
    return InferredThreshold("inconsistent", rows, low, high, best, contradictions)


def _allowed(
    probabilities: FloatArray, predicted: BoolArray, axis: int
) -> tuple[FloatArray, FloatArray]:
    """Above and up to which probability the threshold of each text lies; of classes with axis 0."""
    low: FloatArray = probabilities.max(axis=axis, initial=-np.inf, where=~predicted)
    high: FloatArray = probabilities.min(axis=axis, initial=np.inf, where=predicted)
    return low, high


def _infer_fallback(
    probabilities: FloatArray, predicted: BoolArray, lows: FloatArray, highs: FloatArray
) -> InferredThreshold | None:
    """The rule with the most probable label as fallback, if every text fits it."""
    rows = len(probabilities)
    number = np.count_nonzero(predicted, axis=1)
    if not number.all():
        return None
    single = (number == 1) & (highs >= lows)
    if single.all():
        return InferredThreshold("top-1", rows, float("nan"), float("nan"), None)
    low, high = float(lows.max()), float(highs[~single].min())
    if low >= high:
        return None
    value = _roundest(low, high)
    below = int(np.count_nonzero(highs < value)) if value is not None else 0
    return InferredThreshold("top-1-fallback", rows, low, high, value, fallback_rows=below)


def _best_fit(lows: FloatArray, highs: FloatArray) -> tuple[float, float, float, int]:
    """The threshold that most texts allow, the interval around it and the texts against it."""
    possible = lows < highs
    starts, ends = np.sort(lows[possible]), np.sort(highs[possible])
    candidates = np.append(ends[np.isfinite(ends)], DEFAULT_THRESHOLD)
    allowed = np.searchsorted(starts, candidates, "left") - np.searchsorted(
        ends, candidates, "left"
    )
    best = int(allowed.max())
    at = DEFAULT_THRESHOLD if allowed[-1] == best else float(candidates[np.argmax(allowed)])
    bounds = np.concatenate([starts, ends])
    low = float(bounds[bounds < at].max(initial=-np.inf))
    high = float(bounds[bounds >= at].min(initial=np.inf))
    value = _roundest(low, high)
    return at if value is None else value, low, high, len(lows) - best


def _roundest(low: float, high: float) -> float | None:
    """0.5 if low < 0.5 <= high, else the number there with the fewest decimals.

    None when the interval holds no number from 0 to 1.
    """
    if low < DEFAULT_THRESHOLD <= high:
        return DEFAULT_THRESHOLD
    top = min(high, 1.0)
    if top <= low:
        return None
    for decimals in range(17):
        value = math.floor(top * 10.0**decimals) / 10.0**decimals
        if low < value <= top:
            return value
    return top

"""Statistics that were computed before, by the digests of the files that they follow from.

An entry counts only for the same digests, options and versions, and only while its own
checksum holds; anything else is computed again. Deleting the folder is safe. JSON keeps every
digit of a float, so that a report from kept statistics has the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import numpy as np

from goemo_report.formats.files import write_whole
from goemo_report.metrics.scores import METRICS_VERSION, ClassCounts
from goemo_report.sources.store import is_digest
from goemo_report.statistics import STATISTICS_VERSION
from goemo_report.statistics.differences import RANDOMISATIONS, Difference, PairedDifferences
from goemo_report.statistics.intervals import Interval, MetricIntervals
from goemo_report.thresholds.protocols import ProtocolResult, ThresholdChoice

FORMAT: Final = 1
"""Of the entries."""

T = TypeVar("T")


class Codec(NamedTuple, Generic[T]):
    """How values of one kind become JSON and come back."""

    kind: str
    pack: Callable[[T], Any]
    unpack: Callable[[Any], T]


def kept(
    codec: Codec[T],
    digests: Sequence[str],
    options: Sequence[object],
    compute: Callable[[], T],
    root: Path | None,
) -> T:
    """What `compute` gives, from the cache directory `root` where it was computed before.

    `digests` name the prediction files in question and `options` whatever else the value
    depends on. Without a root, or with a digest that is none, nothing is kept.
    """
    if root is None or not all(map(is_digest, digests)):
        return compute()
    versions = [METRICS_VERSION, STATISTICS_VERSION, RANDOMISATIONS, FORMAT]
    identity = json.dumps([codec.kind, list(digests), list(options), versions])
    name = hashlib.sha256(identity.encode()).hexdigest()[:40]
    path = root / "scores" / name[:2] / f"{name}.json"
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        return codec.unpack(_checked(path.read_bytes(), identity))
    value = compute()
    body = json.dumps([identity, codec.pack(value)]).encode()
    with contextlib.suppress(OSError):  # a cache that cannot be written to is no error
        write_whole(path, _checksum(body) + body)
    return value


def _checked(data: bytes, identity: str) -> Any:
    body = data[_LENGTH:]
    if data[:_LENGTH] != _checksum(body):
        raise ValueError("a damaged entry")
    found, value = json.loads(body)
    if found != identity:
        raise ValueError("an entry of something else")
    return value


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode() + b"\n"


_LENGTH: Final = len(_checksum(b""))


# --- Kinds ----------------------------------------------------------------------------


def _pack_intervals(value: MetricIntervals) -> Any:
    return [dict(value), value.rows, value.resamples, value.seed]


def _unpack_intervals(stored: Any) -> MetricIntervals:
    found, rows, resamples, seed = stored
    bounds = {key: pair and Interval(*pair) for key, pair in found.items()}
    return MetricIntervals(bounds, rows=rows, resamples=resamples, seed=seed)


def _pack_differences(value: PairedDifferences) -> Any:
    found = {
        key: one and [one.value, one.low, one.high, one.p, one.p_adjusted, one.verdict]
        for key, one in value.items()
    }
    return [found, value.rows, value.labels, value.resamples, value.randomisations, value.seed]


def _unpack_differences(stored: Any) -> PairedDifferences:
    found, rows, labels, resamples, randomisations, seed = stored
    return PairedDifferences(
        {key: one and Difference(*one) for key, one in found.items()},
        rows=rows,
        labels=tuple(labels),
        resamples=resamples,
        randomisations=randomisations,
        seed=seed,
    )


def _pack_protocols(value: tuple[ProtocolResult, ...]) -> Any:
    return [
        [
            item.choice.protocol,
            item.choice.labels,
            None if item.choice.thresholds is None else item.choice.thresholds.tolist(),
            item.choice.tuned_on,
            item.choice.rows,
            item.choice.fallback,
            [getattr(item.counts, name).tolist() for name in ("tp", "fp", "fn", "tn")],
            {key: float(number) for key, number in item.overall.items()},
        ]
        for item in value
    ]


def _unpack_protocols(stored: Any) -> tuple[ProtocolResult, ...]:
    found = []
    for protocol, labels, thresholds, tuned_on, rows, fallback, counts, overall in stored:
        choice = ThresholdChoice(
            protocol,
            tuple(labels),
            None if thresholds is None else np.array(thresholds, dtype=np.float64),
            tuned_on,
            rows,
            tuple(fallback),
        )
        tp, fp, fn, tn = (np.array(column, dtype=np.int64) for column in counts)
        found.append(ProtocolResult(choice, ClassCounts(tp, fp, fn, tn), overall))
    return tuple(found)


INTERVALS: Final = Codec("intervals", _pack_intervals, _unpack_intervals)
DIFFERENCES: Final = Codec("differences", _pack_differences, _unpack_differences)
PROTOCOLS: Final = Codec("protocols", _pack_protocols, _unpack_protocols)
TUNED_INTERVAL: Final = Codec[Interval]("tuned interval", list, lambda pair: Interval(*pair))

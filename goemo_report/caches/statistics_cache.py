"""Statistics that were computed before, by the digests of the files that they follow from.

Floats keep every digit, so that a report from kept statistics has the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from goemo_report.caches.values import values
from goemo_report.metrics.counts import ClassCounts
from goemo_report.metrics.table import FINGERPRINT
from goemo_report.sources.store import Cache, is_digest
from goemo_report.statistics import STATISTICS_VERSION
from goemo_report.statistics.differences import RANDOMISATIONS, Difference, Paired
from goemo_report.statistics.distributions import Estimate
from goemo_report.statistics.intervals import Interval
from goemo_report.thresholds.calibration import Calibrated, Calibration, RiskCoverage
from goemo_report.thresholds.protocols import ProtocolResult, ThresholdChoice

FORMAT: Final = 4
"""Of the entries."""
_CALIBRATION: Final = Calibration, Calibrated, Estimate, RiskCoverage
_VALUES: Final = values(
    Interval, Difference, Paired, ProtocolResult, ThresholdChoice, ClassCounts, *_CALIBRATION
)

T = TypeVar("T")


def cached(
    kind: str,
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
    versions = [FINGERPRINT, STATISTICS_VERSION, RANDOMISATIONS, FORMAT]
    identity = [kind, digests, options, versions]
    found: T = Cache(root).cached("statistics", identity, compute, _VALUES)
    return found

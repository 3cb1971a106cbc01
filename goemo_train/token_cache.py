"""Token ids that are kept between runs, in the store that the reporter keeps things in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from goemo_report.sources.store import Cache, Codec

Numbers = npt.NDArray[np.int32]

FORMAT = 1  # of what the numbers mean
MOST_BYTES = 256 << 20  # of all entries; the one unused for the longest time goes first
_NUMBERS: Final = Codec[Numbers](
    lambda numbers: [numbers.astype("<i4").tobytes()],
    lambda data: np.frombuffer(data, "<i4").astype(np.int32),
)


def kept(compute: Callable[[], Numbers], *identity: object) -> Numbers:
    """What `compute` gives, from the store where it was computed before.

    `identity` holds all that it depends on, as values that JSON can write.
    """
    return Cache().cached("tokens", [FORMAT, *identity], compute, _NUMBERS, most=MOST_BYTES)

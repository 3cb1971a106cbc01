"""Mistakes that are noise: known by the size of the differences, not by repeating them.

Both move nearly every text, which tells them from mistakes that move some texts much.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from goemo_report.checkpoints.trial import Again, Judge, Trial, correlation
from goemo_report.metrics.arrays import FloatArray

_PASSES: Final = 4
_DROPOUT_RATIO: Final = (0.7, 1.4)
_HALF_RATIO: Final = (0.5, 2.0)  # bf16 weights differ 1.1 times as much as bf16 sums alone
_MOVED: Final = 0.8
_SMALL: Final = 0.25


def dropout(judge: Judge, again: Again) -> Trial:
    """Dropout is not to be repeated, but known by its size, by what is left of it on average
    over the texts, which is little, and by how far it leaves the order of the texts alone."""
    even = judge.even
    noise = [(again(dropout=True) - judge.now)[even] for _ in range(_PASSES)]
    now, seen = judge.now[even], (judge.stated - judge.now)[even]
    size = max(float(np.mean([np.abs(one).mean() for one in noise])), 1e-12)
    steady = float(np.mean([np.abs(one.mean(axis=0)).mean() for one in noise]))
    disorder = max(1.0 - correlation(now + one, now) for one in noise)
    ratio = float(np.abs(seen).mean()) / size
    finding = f"differences are {ratio:.2g} times as large as dropout left on would make them"
    fits = (
        _DROPOUT_RATIO[0] < ratio < _DROPOUT_RATIO[1]
        and float(np.abs(seen.mean(axis=0)).mean()) < 2 * steady
        and 1.0 - correlation(now + seen, now) < 4 * disorder
        and _moves_as_many(seen, noise[0])
        and float(judge.before.max()) > judge.tolerance
    )
    return judge.by_size("dropout", finding, fits)


def half(judge: Judge, precision: str, tolerance: float, again: Again) -> Trial:
    """Half precision rounds differently on each device: known by its size, or repeated.

    `tolerance` is the most that the precision makes of a difference.
    """
    found = again(precision=precision)
    if float(np.abs(found - judge.stated).max()) <= judge.tolerance:
        return judge.trial("half precision", f"the file was predicted in {precision}", found)
    made, seen = (found - judge.now)[judge.even], (judge.stated - judge.now)[judge.even]
    ratio = float(np.median(_by_text(seen)) / max(float(np.median(_by_text(made))), 1e-12))
    finding = f"differences are {ratio:.2g} times as large as {precision} makes them here"
    fits = (
        _HALF_RATIO[0] < ratio < _HALF_RATIO[1]
        and float(judge.before.max()) <= tolerance
        and _moves_as_many(seen, made)
    )
    return judge.trial("half precision", finding, found, explains=fits)


def _by_text(differences: FloatArray) -> FloatArray:
    """The largest difference of each text, (n,)."""
    largest: FloatArray = np.abs(differences).max(axis=1)
    return largest


def _moves_as_many(seen: FloatArray, made: FloatArray) -> bool:
    """Whether about as many texts moved as the mistake moves, that is nearly all."""
    floor = _SMALL * float(np.median(_by_text(made)))
    moved, expected = (float((_by_text(one) > floor).mean()) for one in (seen, made))
    return moved >= _MOVED * expected

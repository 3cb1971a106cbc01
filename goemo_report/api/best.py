"""Which of very many runs are compared."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Final

from goemo_report.errors import ArgumentError, argument
from goemo_report.sources.logged import as_number
from goemo_report.sources.model import RunRecord

TOP: Final = 100
"""Runs compared at most, unless more are asked for: the predictions of each are in memory."""
_CHOSEN_BY: Final = (
    "val/macro_f1", "val/f1_macro", "val/auc", "test/macro_f1", "test/f1_macro", "test/auc",
)  # fmt: skip
"""Logged figures by which runs are chosen where there are too many, those of validation first."""


def best_logged(records: Sequence[RunRecord], top: int) -> tuple[tuple[RunRecord, ...], str]:
    """The `top` runs with the best logged figure and the first tagged baseline, in their order, and
    what is to be said of it; all of them, and nothing, where there are no more."""
    if not isinstance(top, Integral) or top < 1:
        raise ArgumentError(f"top is {top!r}", "Give a number from 1 up")
    if len(records) <= top:
        return tuple(records), ""

    def figures(key: str) -> list[float | None]:
        found = (as_number(run.summary.get(key)) for run in records)
        return [None if value is None or value != value else value for value in found]

    by_key = {key: figures(key) for key in _CHOSEN_BY}
    told = {key: sum(value is not None for value in values) for key, values in by_key.items()}
    most = max(told.values())
    key = next((key for key in _CHOSEN_BY if told[key] and 2 * told[key] >= most), None)
    if key is None:
        kept = set(range(len(records) - top, len(records)))
        chosen = "the newest, as none logged figures"
    else:
        values = by_key[key]
        ranked = sorted(
            range(len(records)), key=lambda at: (values[at] is None, -(values[at] or 0))
        )
        kept, chosen = set(ranked[:top]), f"those with the best logged {key}"
    kept |= set([at for at, run in enumerate(records) if "baseline" in run.tags][:1])
    note = f"statistics are of {len(kept):,} of {len(records):,} runs, {chosen}"
    own = tuple(run for at, run in enumerate(records) if at in kept)
    return own, f"{note} ({argument('top')} takes more)"

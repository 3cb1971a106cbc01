"""Which of many runs are compared, and which of them is the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from goemo_report.errors import argument
from goemo_report.metrics.table import canonical_metric
from goemo_report.sources.model import RunRecord, as_number

TOP: Final = 100
"""Runs compared at most, unless more are asked for: the predictions of each are in memory."""
_CHOSEN_BY: Final = ("val/macro_f1", "val/auc", "test/macro_f1", "test/auc")
"""Logged figures by which runs are chosen where there are too many, those of validation first."""


def best_logged(records: Sequence[RunRecord], top: int) -> tuple[tuple[RunRecord, ...], str]:
    """The `top` runs with the best logged figure and the first tagged baseline, in their order, and
    what is to be said of it; all of them, and nothing, where there are no more."""
    ranked, chosen = ranking(records)
    if len(records) <= top:
        return tuple(records), ""
    kept = {id(run) for run in (*ranked[:top], *tagged_baseline(records))}
    note = f"statistics are of {len(kept):,} of {len(records):,} runs, {chosen}"
    own = tuple(run for run in records if id(run) in kept)
    return own, f"{note} ({argument('top')} takes more)"


def tagged_baseline(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The first run that is tagged baseline, none where none is."""
    return [run for run in records if "baseline" in run.tags][:1]


def ranking(records: Sequence[RunRecord]) -> tuple[list[RunRecord], str]:
    """All runs, that with the best logged figure first, and what the first of them are."""
    logged = [{canonical_metric(key): run.summary[key] for key in run.summary} for run in records]

    def figures(key: str) -> list[float | None]:
        found = (as_number(one.get(key)) for one in logged)
        return [None if value is None or value != value else value for value in found]

    by_key = {key: figures(key) for key in _CHOSEN_BY}
    told = {key: sum(value is not None for value in values) for key, values in by_key.items()}
    most = max(told.values())
    key = next((key for key in _CHOSEN_BY if told[key] and 2 * told[key] >= most), None)
    if key is None:
        if all(run.created_at is None for run in records):  # files, in the order they are named
            return list(records), "the first, as none logged figures"
        return list(reversed(records)), "the newest, as none logged figures"
    values = by_key[key]
    order = sorted(range(len(records)), key=lambda at: (values[at] is None, -(values[at] or 0)))
    return [records[at] for at in order], f"those with the best logged {key}"

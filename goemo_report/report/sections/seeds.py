"""Seeds: how much the result depends on chance in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from goemo_report.analysis.alignment import align
from goemo_report.analysis.configs import SeedGroup
from goemo_report.comparison import Comparison
from goemo_report.report.document import Block, Callout, Cell, Column, Section, Table, Value
from goemo_report.report.sections._common import (
    METRIC_TITLES,
    TUNED_F1,
    group_title,
    group_values,
    p_text,
    plural,
    sample,
)
from goemo_report.statistics.seeds import (
    SEED_METHOD,
    SeedDifference,
    seed_difference,
    summarise_seeds,
)

ORDER = 48
_KEYS: Final = ("macro_f1", TUNED_F1, "micro_f1", "micro_auc", "macro_auc")


def build(comparison: Comparison) -> Section | None:
    """Groups of runs that differ only in the seed; None where no group has two runs."""
    if all(len(group.run_ids) < 2 for group in comparison.groups):
        return None
    blocks: list[Block] = [_groups(comparison)]
    differences = _differences(comparison)
    if differences is not None:
        blocks.append(differences)
    repeats = tuple(text for group in comparison.groups if (text := _repeats(comparison, group)))
    if repeats:
        blocks.append(Callout("warning", "Runs that are no further seeds:", repeats))
    single = sum(len(group.run_ids) == 1 for group in comparison.groups)
    if single:
        whose = "group has one seed only: nothing can be said of its spread."
        if single > 1:
            whose = "groups have one seed only: nothing can be said of their spread."
        blocks.append(Callout("note", f"{single} {whose}"))
    return Section(
        "seeds",
        "Seeds",
        tuple(blocks),
        lead="Runs whose config differs only in the random seed. The spread over seeds is kept "
        "apart from the intervals elsewhere, which are about the texts.",
        method=f"{sample(comparison)}, threshold 0.5; tuned: each run's own thresholds per "
        f"emotion, from its validation split. {SEED_METHOD}. p-values are not adjusted for the "
        "number of metrics. The range is the smallest and the largest value, not an interval.",
    )


def _repeats(comparison: Comparison, group: SeedGroup) -> str:
    """What was left out of a group because it is no further seed; empty if nothing was."""
    left_out = len(group.run_ids) - len(group.counted)
    if not left_out:
        return ""
    title, number = group_title(comparison, group), len(group.run_ids)
    if not group.by_seed:
        what = f"{number} runs of one seed, as far as is known: none was logged"
    elif len(group.by_seed) == 1 and None not in group.seeds:
        what = f"{number} runs of one seed"
    else:
        what = f"{number} runs of {plural(len(group.by_seed), 'logged seed')}"
    first = ", ".join(comparison.keys[run_id] for run_id in group.counted)
    return f"{title}: {what}; {first} counted, {left_out} left out."


def _apart(comparison: Comparison, groups: Sequence[SeedGroup]) -> str:
    """Why figures of the groups' runs may not be put together; empty if they may."""
    runs = {run.id: run for run in comparison.runs}
    first, *others = (runs[run_id] for group in groups for run_id in group.counted)
    reference = comparison.on_split(first).predictions
    for run in others:
        found = align(comparison.on_split(run).predictions, reference)
        keys = f"{comparison.keys[first.id]} and {comparison.keys[run.id]}"
        if not found.same_labels:
            return f"{keys} do not have the same labels"
        if found.disagreeing:
            return f"{keys} do not have the same true labels"
        if not found.complete:
            return f"{keys} were not judged on the same texts"
    return ""


def _groups(comparison: Comparison) -> Table:
    rows: list[tuple[Value | Cell, ...]] = []
    spans: list[tuple[str, int]] = []
    for group in comparison.groups:
        before, apart = len(rows), _apart(comparison, [group])
        for key in _KEYS:
            values = group_values(comparison, group, key)
            if not values:
                continue
            start = (group_title(comparison, group), METRIC_TITLES[key], len(group.by_seed))
            found = summarise_seeds(values)
            spread = f"{found.minimum:.4f} to {found.maximum:.4f}" if found.n > 1 else None
            if apart:
                rows.append((*start, None, None, f"none: {apart}"))
            else:
                rows.append((*start, found.mean, found.sd, spread))
        spans.append(
            (f"{group_title(comparison, group)}, seeds {_seeds(group)}", len(rows) - before)
        )
    return Table(
        id="seeds-groups",
        title="Over seeds",
        columns=(
            Column("group", "group"),
            Column("metric", "metric"),
            Column("n", "seeds", "integer"),
            Column("mean", "mean", "number", digits=4),
            Column("sd", "standard deviation", "number", digits=4),
            Column("range", "range"),
        ),
        rows=tuple(rows),
        row_groups=tuple(spans),
        row_header=1,
    )


def _seeds(group: SeedGroup) -> str:
    return ", ".join("not logged" if seed is None else str(seed) for seed in group.seeds)


def _differences(comparison: Comparison) -> Table | None:
    """Each group against the group of the baseline."""
    base = next(group for group in comparison.groups if comparison.baseline.id in group.run_ids)
    rows: list[tuple[Value | Cell, ...]] = []
    for group in comparison.groups:
        if group is base:
            continue
        apart = _apart(comparison, [base, group])
        for key in _KEYS:
            ours, theirs = group_values(comparison, group, key), group_values(comparison, base, key)
            if ours and theirs:
                start = (group_title(comparison, group), METRIC_TITLES[key])
                if apart:
                    rows.append((*start, Cell(None), None, f"not compared: {apart}"))
                    continue
                found = seed_difference(ours, theirs)
                cell = Cell(found.value, low=found.low, high=found.high)
                rows.append((*start, cell, found.p, _words(found)))
    if not rows:
        return None
    return Table(
        id="seeds-differences",
        title=f"Mean over seeds, minus {group_title(comparison, base)}",
        columns=(
            Column("group", "group"),
            Column("metric", "metric"),
            Column("difference", "difference", "delta", digits=4),
            Column("p", "p over seeds", "pvalue"),
            Column("note", "note"),
        ),
        rows=tuple(rows),
    )


def _words(found: SeedDifference) -> str:
    if found.p is None or found.df is None:
        return f"no p-value: {found.reason}"
    return f"Welch's t test, {found.df:.1f} degrees of freedom, {p_text(found.p)}"

"""Runs without predictions: what they logged themselves, which nobody recomputed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from goemo_report.analysis.configs import config_columns, config_differences, seed_of
from goemo_report.analysis.epochs import MOST_POINTS, training_of
from goemo_report.comparison import Comparison
from goemo_report.contract import SPLITS, Split
from goemo_report.formats.text import shortened
from goemo_report.formats.wording import listed, plural
from goemo_report.metrics.rankings import drawn
from goemo_report.metrics.table import OVERALL, key_of
from goemo_report.report.document import (
    Axis,
    Callout,
    Cell,
    Column,
    Plot,
    Section,
    Series,
    Table,
    Value,
)
from goemo_report.report.sections._tables import columns, number, plain
from goemo_report.results import RunResult, complete

ORDER = 25
CHAPTER = "Answer"
_MOST_RUNS: Final = 12
"""Runs with a column of the config table."""
_FIGURES: Final = (
    ("loss", "Loss", ("train/loss", "val/loss")),
    ("auc", "Micro AUC", ("val/auc",)),
    ("macro-f1", "Macro F1", ("val/macro_f1",)),
    ("accuracy", "Accuracy", ("val/accuracy",)),
)
_FIRST: Final = ("macro_f1", "micro_f1", "auc", "macro_auc", "loss", "accuracy")


def build(comparison: Comparison) -> Section | None:
    """Logged metrics, curves and config of the runs that have no predictions on the split."""
    runs = comparison.logged
    if not runs:
        return None
    split = comparison.split
    what = f"{plural(len(runs), 'run')} without {split} predictions"
    return Section.of(
        "logged",
        "Logged, not recomputed",
        Callout(
            "warning",
            f"{what}: these figures are what the runs logged themselves. Nobody checked them, and "
            "they stand in no ranking.",
            (*_reasons(runs, split), complete()),
        ),
        _metrics(runs, (split, *(one for one in SPLITS if one != split))),
        *(plot for figure in _FIGURES if (plot := _plot(runs, *figure)) is not None),
        _config(runs),
        method="The last value of each metric that the run logged, under the guide's key: "
        "transformers' eval/ is val/. Averages and thresholds are those of the run's own script. "
        "Curves by epoch where the run logged one, else by step.",
    )


def _reasons(runs: Sequence[RunResult], split: Split) -> Iterator[str]:
    """Why there are no predictions, with the runs of which that is so."""
    found: dict[str, list[str]] = {}
    for run in runs:
        why = run.problems.get(split, "none are usable")
        found.setdefault(why, []).append(f"{run.run.name} ({run.id})")
    yield from (f"{listed(names, 8)}: {why}" for why, names in found.items())


def _metrics(runs: Sequence[RunResult], splits: Sequence[str]) -> Table:
    logged = {key for run in runs for key in run.logged}
    keys = [key for split in splits for key in _keys(split, logged)]
    rows = [
        (
            Cell(run.run.name, link=run.run.url),
            run.id,
            run.run.model_name,
            plain(seed_of(run.run)),
            Cell(run.run.state, mark=None if run.run.state == "finished" else "warning"),
            *(number(run.logged.get(key)) for key in keys),
        )
        for run in runs
    ]
    shown = (
        *columns("run", id="code", model="text", seed="text", state="text"),
        *(Column(key, _title(key), "number", digits=4) for key in keys),
    )
    return Table("logged-metrics", "As the runs logged it", shown, tuple(rows))


def _keys(split: str, logged: set[str]) -> Iterator[str]:
    """The overall metrics of a split that some run logged, and its loss."""
    names = dict.fromkeys((*_FIRST, *OVERALL))
    yield from (key for name in names if (key := f"{split}/{name}") in logged)


def _title(key: str) -> str:
    split, name = key.split("/")
    known = OVERALL.get(key_of(name))
    return f"{split} {known.title if known else name}"


def _plot(runs: Sequence[RunResult], name: str, title: str, keys: Sequence[str]) -> Plot | None:
    series: list[Series] = []
    units: dict[str, None] = {}
    for colour, run in enumerate(runs):
        found = training_of(run)
        for key in keys:
            x, y = map(np.array, found.curve(key))
            if len(x) < 2:
                continue
            kept = drawn(x, y, MOST_POINTS)
            split = key.partition("/")[0]
            units[found.unit] = None
            series.append(
                Series(
                    f"{run.run.name} ({run.id}), {split}",
                    tuple(x[kept].tolist()),
                    tuple(y[kept].tolist()),
                    "dashed" if split == "train" else "line",
                    colour=colour,
                )
            )
    if not series:
        return None
    ends = [(one.name, len(one.x), one.y[-1]) for one in series]
    last = Column("last", "last value", "number", digits=4)
    return Plot(
        id=f"logged-{name}",
        title=f"{title}, as logged",
        alt=f"Lines of {title} that the runs logged.",
        x=Axis(" or ".join(units)),
        y=Axis(title),
        series=tuple(series),
        table=Table(
            f"logged-{name}-values",
            f"Last {title} of each line",
            (*columns("line", points="integer"), last),
            tuple(ends),
        ),
        caption="Dashed: training; solid: validation." if len(keys) > 1 else "",
    )


def _config(runs: Sequence[RunResult]) -> Table:
    """Every config key, those that differ first."""
    records = [run.run for run in runs[:_MOST_RUNS]]
    logged = config_columns(records)
    different = config_differences(records) if len(records) > 1 else {}
    keys = [*different, *(key for key in logged if key not in different)]
    some = f"{len(different)} of {len(logged)} keys differ; they come first." if different else ""
    heads = (Column(run.id, f"{run.name} ({run.id})") for run in records)
    return Table(
        "logged-config",
        "Config",
        (*columns(key="code"), *heads),
        tuple((key, *(_short(plain(value)) for value in logged[key])) for key in keys),
        caption=f"The first {_MOST_RUNS} runs. {some}" if len(runs) > _MOST_RUNS else some,
        collapsed=True,
    )


def _short(value: Value) -> Value:
    return shortened(value, 80) if isinstance(value, str) else value

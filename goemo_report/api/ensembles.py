"""The mean of several runs' predictions, which is compared like any other run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from goemo_report.analysis.ensemble import Ensemble
from goemo_report.analysis.ensemble import ensemble as average_runs
from goemo_report.api.arguments import Place, Shown, check_split, chosen_labels, place, settled
from goemo_report.api.mixture import Comparable, grouped, items, load
from goemo_report.api.progress import Bar
from goemo_report.api.runs import Runs
from goemo_report.contract import Split
from goemo_report.errors import DataError
from goemo_report.predictions import Predictions
from goemo_report.settings import SourceChoice


def ensemble(
    runs: Runs | Comparable | Sequence[Comparable],
    *others: Comparable,
    split: Split = "test",
    output: Place | None = None,
    source: str | None = None,
    wandb_dir: Place | None = None,
    entity: str | None = None,
    project: str | None = None,
    progress: Shown = False,
) -> Predictions:
    """The mean of several runs' probabilities on a split, which all predict the same texts.

    Labels are predicted at thresholds tuned on the averaged validation predictions where all runs
    have some, else at 0.5.

    Args:
        runs: as in `compare`, two or more.
        others: more of them.
        split: `test` or `val`; predictions in memory count as this split.
        output: also write both splits, config and thresholds to this directory, as a run.
        source: as in `runs`, for RUN names.
        wandb_dir: likewise.
        entity: as in `runs`.
        project: as in `runs`.
        progress: show a bar.

    Raises:
        DataError: other texts, labels or true labels, with the counts; fewer than two runs.

    """
    check_split(split)
    where = settled(wandb_dir, entity, project, source=source)
    found = averaged(runs, *others, split=split, where=where, progress=progress)
    if output is not None:
        found.write(Path(place(output, "output")))
    if split not in found.splits:
        raise DataError("; ".join(found.notes), "Average the other split, or other runs")
    return found.splits[split]


def averaged(
    runs: Runs | Comparable | Sequence[Comparable],
    *others: Comparable,
    split: Split = "test",
    where: SourceChoice | None = None,
    progress: Shown = False,
) -> Ensemble:
    """The averaged predictions of both splits, and what goes with them."""
    choice = chosen_labels()
    wanted = list(items(runs, others, choice.reading))
    groups = list(grouped(wanted, where or SourceChoice()))
    with Bar(progress) as bar:
        return average_runs(load(groups, split, choice, bar))

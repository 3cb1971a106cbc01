"""A comparison as a native W&B Report: it points at the run and the artifact that hold it whole.

Needs the extra `goemo[reports]`, W&B's own library wandb-workspaces.
"""

from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from goemo_report.errors import SourceError, first_line, require_extra

_BARS: Final = ("test/macro_f1", "test/micro_f1", "test/auc")
_LINES: Final = ("val/loss", "val/auc", "val/macro_f1", "train/loss")
"""The guide's keys, of which panels show those that the runs logged."""
_LONGEST: Final = 120  # characters of a title; W&B takes 128


@dataclass(frozen=True, slots=True)
class NativeReport:
    """What a native report says: headings with Markdown that is escaped already, and the runs
    compared as (entity, project, id), with the keys that they logged."""

    title: str
    parts: Sequence[tuple[str, str]]
    runs: Sequence[tuple[str, str, str]]
    keys: frozenset[str]


def require_library() -> None:
    """Raise GoemoError where wandb-workspaces is not installed."""
    require_extra("publishing a W&B report", "wandb_workspaces", extra="reports")


def save(content: NativeReport, run: Any, artifact: str) -> str:
    """Make the report in the project of `run`, the W&B run that holds the comparison; gives its
    address. Raises SourceError, saying that the run and the `artifact` are there.
    """
    import wandb_workspaces.reports.v2

    wr: Any = wandb_workspaces.reports.v2

    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the library says where it is saved
            report = wr.Report(
                entity=run.entity,
                project=run.project,
                title=content.title[:_LONGEST],
                blocks=list(_blocks(wr, content, run, artifact)),
                width="fluid",
            )
            report.save()
            return str(report.url)
    except Exception as error:
        raise SourceError(
            f"published as {artifact}, but not as a W&B report: {first_line(error)}",
            "`goemo-report doctor` looks for the cause",
        ) from error


def _blocks(wr: Any, content: NativeReport, run: Any, artifact: str) -> list[Any]:
    """Verdict, run set with panels, leaderboard, the page with every figure, the artifact."""
    (_, verdict), *others = content.parts
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entity, project, run_id in content.runs:
        grouped[entity, project].append(run_id)
    compared = [
        _run_set(wr, entity, project, "Compared runs", ids)
        for (entity, project), ids in grouped.items()
    ]
    bars = [key for key in _BARS if key in content.keys]
    lines = [key for key in _LINES if key in content.keys]
    panels = [wr.BarPlot(title=f"{key}, as logged", metrics=[key]) for key in bars]
    panels += [wr.LinePlot(title=key, x="Step", y=[key]) for key in lines]
    own = _run_set(wr, run.entity, run.project, "The report's own run", [run.id])
    page = [wr.MediaBrowser(title="The report", media_keys=["report"], num_columns=1,
                            layout=wr.Layout(w=24, h=24))]  # fmt: skip
    blocks = [wr.MarkdownBlock(text=verdict), wr.H2(text="Runs as they logged")]
    blocks += [wr.PanelGrid(runsets=compared, panels=panels)]
    for heading, markdown in others:
        blocks += [wr.H2(text=heading), wr.MarkdownBlock(text=markdown)]
    blocks += [wr.H2(text="The whole report"), wr.PanelGrid(runsets=[own], panels=page)]
    blocks += [
        wr.WeaveBlockArtifact(
            entity=run.entity, project=run.project, artifact=artifact.partition(":")[0],
            tab="files",
        ),
        wr.P(text=["The run that holds it: ", wr.Link(text=artifact, url=str(run.url))]),
    ]  # fmt: skip
    return blocks


def _run_set(wr: Any, entity: str, project: str, name: str, ids: Sequence[str]) -> Any:
    from wandb_workspaces import expr

    chosen = [expr.Metric("ID").isin(list(ids))]
    return wr.Runset(entity=entity, project=project, name=name, filters=chosen)

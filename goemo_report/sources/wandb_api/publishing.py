"""Sends a report to W&B: a run of job type `report` with everything that belongs to it."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from goemo_report.errors import SettingsError, SourceError, first_line, require_extra
from goemo_report.formats.files import write_whole
from goemo_report.sources.wandb_api.credentials import find_credentials, require_client
from goemo_report.sources.wandb_api.network import find_network

JOB_TYPE: Final = "report"
ARTIFACT_TYPE: Final = "report"
_START: Final = 60.0  # seconds until a run must have begun
_ARRIVE: Final = 300  # seconds until everything must have arrived


@dataclass(frozen=True, slots=True)
class Publication:
    """What is sent. `files` are the artifact's, by name; the same bytes are the same version.

    `inputs` are the artifacts that the report was made from, `entity/project/name:version`.
    `columns` and `rows` are the leaderboard.
    """

    name: str
    run_name: str
    config: Mapping[str, Any]
    files: Mapping[str, bytes]
    html: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    inputs: Sequence[str] = ()
    native: NativeReport | None = None
    """A W&B Report to make beside it."""


@dataclass(frozen=True, slots=True)
class Published:
    """Where it went: the run's page or its log directory, the artifact, inputs declared."""

    where: str
    artifact: str
    inputs: int
    is_offline: bool
    problems: tuple[str, ...] = ()
    report: str = ""
    """The address of the W&B Report, where one was made."""


def require_publishable(offline: Path | None, *, native: bool) -> None:
    """Raise GoemoError for what keeps a report from being published and is known beforehand."""
    require_client("publish")
    if native:
        require_library()
        if offline is not None:
            raise SourceError(
                "a W&B report is made on the server, and these runs are read offline",
                "Publish without it, sync the runs, and compare them there",
            )
    if offline is None and not (found := find_credentials()).are_set:
        raise SettingsError(
            f"the report cannot be published: no W&B API key is set for {found.host}",
            "Run `wandb login`, or set WANDB_API_KEY",
        )


def publish(
    publication: Publication, *, entity: str | None, project: str, offline: Path | None = None
) -> Published:
    """Log a report as a run of its own, to W&B or, with `offline`, to a log below it.

    Inputs are declared online only: W&B resolves them. Raises SourceError where it cannot be
    sent; nothing of the comparison is lost then.
    """
    require_publishable(offline, native=publication.native is not None)
    import wandb

    try:
        with (
            _place(offline) as directory,
            tempfile.TemporaryDirectory() as folder,
            _variables({} if offline else find_network().environment()),
        ):
            run = wandb.init(
                entity=entity,
                project=project,
                name=publication.run_name,
                job_type=JOB_TYPE,
                config=dict(publication.config),
                dir=directory,
                mode="online" if offline is None else "offline",
                settings=wandb.Settings(
                    silent=True,
                    console="off",
                    disable_git=True,
                    disable_code=True,
                    x_disable_stats=True,
                    x_disable_machine_info=True,
                    init_timeout=_START,
                    finish_timeout=float(_ARRIVE),
                    finish_timeout_raises=True,
                ),
            )
            try:
                published = _log(wandb, run, publication, Path(folder))
            except BaseException:
                run.finish(exit_code=1)
                raise
            run.finish()
            if publication.native is not None:
                made = save_native(publication.native, run, published.artifact)
                published = replace(published, report=made)
    except (wandb.Error, TimeoutError, ValueError) as error:
        raise SourceError(
            f"the report cannot be published: {first_line(error)}",
            "`goemo-report doctor` looks for the cause",
        ) from error
    return published


def _log(wandb: Any, run: Any, publication: Publication, folder: Path) -> Published:
    problems, declared = [], 0
    for name in publication.inputs if not run.offline else ():
        try:
            run.use_artifact(name)
            declared += 1
        except (wandb.Error, ValueError) as error:
            problems.append(f"{name} is not declared as an input: {first_line(error)}")
    table = wandb.Table(
        columns=list(publication.columns),
        data=[list(row) for row in publication.rows],
        allow_mixed_types=True,
    )
    page = wandb.Html(publication.html, inject=False, data_is_not_path=True)
    run.log({"report": page, "leaderboard": table})
    artifact = wandb.Artifact(publication.name, type=ARTIFACT_TYPE)
    for name, data in publication.files.items():
        write_whole(folder / name, data)
        artifact.add_file(str(folder / name), name=name)
    logged = run.log_artifact(artifact)
    if run.offline:
        return Published(str(Path(run.dir).parent), publication.name, 0, True)
    logged.wait(timeout=_ARRIVE)
    return Published(str(run.url), str(logged.name), declared, False, tuple(problems))


@contextmanager
def _place(offline: Path | None) -> Iterator[str]:
    """The directory of the run: kept where it is offline, with its staged files beside it."""
    if offline is None:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            yield folder
        return
    with _variables({"WANDB_DATA_DIR": str(offline.resolve())}):
        yield str(offline.resolve())


@contextmanager
def _variables(wanted: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a while, where they are not set."""
    added = {name: value for name, value in wanted.items() if not os.environ.get(name)}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


# --- W&B Reports ----------------------------------------------------------------------

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


def save_native(content: NativeReport, run: Any, artifact: str) -> str:
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

"""Sends a report to W&B: a run of job type `report` with everything that belongs to it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from goemo_report.errors import SourceError, first_line
from goemo_report.formats.files import write_whole
from goemo_report.sources.wandb_api.credentials import require_client
from goemo_report.sources.wandb_api.native_reports import NativeReport
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


def publish(
    publication: Publication, *, entity: str | None, project: str, offline: Path | None = None
) -> Published:
    """Log a report as a run of its own, to W&B or, with `offline`, to a log below it.

    Inputs are declared online only: W&B resolves them. Raises SourceError where it cannot be
    sent; nothing of the comparison is lost then.
    """
    require_client("publish")
    if publication.native is not None:
        require_library()
        if offline is not None:
            raise SourceError(
                "a W&B report is made on the server, and these runs are read offline",
                "Publish without it, sync the runs, and compare them there",
            )
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
                settings=_settings(wandb),
            )
            try:
                published = _log(wandb, run, publication, Path(folder))
            except BaseException:
                run.finish(exit_code=1)
                raise
            run.finish()
            if publication.native is not None:
                made = save(publication.native, run, published.artifact)
                published = replace(published, report=made)
    except (wandb.Error, TimeoutError, ValueError) as error:
        raise SourceError(
            f"the report cannot be published: {first_line(error)}",
            "`goemo-report doctor` looks for the cause",
        ) from error
    return published


def _settings(wandb: Any) -> Any:
    return wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        disable_code=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        init_timeout=_START,
        finish_timeout=float(_ARRIVE),
        finish_timeout_raises=True,
    )


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

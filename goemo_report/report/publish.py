"""A comparison's report sent to W&B: a run of job type `report` with everything that belongs to it.

W&B makes a new version of an artifact when its bytes are new. So the published files carry
neither the time of writing nor the command typed (the run's config holds both): their date is
that of the newest run compared, and the same comparison gives the same bytes.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from goemo_report.comparison import Comparison
from goemo_report.errors import SettingsError, SourceError, first_line, require_extra
from goemo_report.formats.files import user_path, write_whole
from goemo_report.formats.json_text import jsonable, timestamp
from goemo_report.report.document import Report, Table
from goemo_report.report.render import render, render_block
from goemo_report.report.render.data_files import wide_rows
from goemo_report.report.render.text import markdown_text
from goemo_report.report.sections import build_report
from goemo_report.sources.wandb_api.credentials import find_credentials, require_client
from goemo_report.sources.wandb_api.network import find_network

_UNDATED: Final = datetime(2000, 1, 1, tzinfo=UTC)
_NOT_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST: Final = 100  # characters of a name; W&B takes 128
_TYPE: Final = "report"  # of the run's job and of the artifact
_START: Final = 60.0  # seconds until a run must have begun
_ARRIVE: Final = 300  # seconds until everything must have arrived


@dataclass(frozen=True, slots=True)
class Published:
    """Where it went: the run's page or its log directory, the artifact, inputs declared.

    `report` is the address of the W&B Report, where one was made.
    """

    where: str
    artifact: str
    inputs: int
    is_offline: bool
    problems: tuple[str, ...] = ()
    report: str = ""


def date_of(comparison: Comparison) -> datetime:
    """When the newest run compared was created."""
    known = [run.record.created_at for run in comparison.runs if run.record.created_at is not None]
    dates = [at if at.tzinfo else at.replace(tzinfo=UTC) for at in known]
    return max(dates, default=_UNDATED)


def require_publishable(offline: Path | None, *, native: bool) -> None:
    """Raise GoemoError for what keeps a report from being published and is known beforehand."""
    require_client("publish")
    if native:
        require_extra("publishing a W&B report", "wandb_workspaces", extra="reports")
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


def publish_comparison(
    comparison: Comparison,
    *,
    entity: str | None,
    project: str | None,
    directory: Path | None,
    sections: Sequence[str],
    stem: str,
    created_at: datetime,
    command: str,
    native: bool = False,
) -> Published:
    """Log the report of a comparison to W&B; with the `directory` that its runs were read below,
    to an offline run beside them.

    Inputs are declared online only: W&B resolves them. Raises SourceError where it cannot be
    sent; nothing of the comparison is lost then.
    """
    require_publishable(directory, native=native)
    report = build_report(
        comparison, created_at=date_of(comparison), command="", only=sections or None
    )
    name = _NOT_NAME.sub("-", stem).strip("-.")[:_LONGEST] or "comparison"
    pages = {form: render(report, form) for form in ("html", "json")}
    offline = _log_place(directory) if directory else None
    first = comparison.baseline.record
    import wandb

    try:
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
            _variables({"WANDB_DATA_DIR": offline} if offline else find_network().environment()),
        ):
            run = wandb.init(
                entity=entity or first.entity,
                project=project or first.project,
                name=f"report-{name}-{created_at:%Y%m%d-%H%M%S}",
                job_type=_TYPE,
                config={
                    "command": command,
                    "written_at": timestamp(created_at),
                    "split": comparison.split,
                    "baseline": comparison.baseline.id,
                    "runs": [run.record.path for run in comparison.runs],
                    "signature": report.signature,
                },
                dir=offline or folder,
                mode="offline" if offline else "online",
                settings=_quiet_settings(),
            )
            try:
                published = _log(run, name, comparison, report, pages, Path(folder))
            except BaseException:
                run.finish(exit_code=1)
                raise
            run.finish()
            if native:
                made = _save_native(comparison, report, name, run, published.artifact)
                published = replace(published, report=made)
    except (wandb.Error, TimeoutError, ValueError) as error:
        raise SourceError(
            f"the report cannot be published: {first_line(error)}",
            "`goemo-report doctor` looks for the cause",
        ) from error
    return published


def _quiet_settings() -> Any:
    """The client logs the report alone: nothing of the machine, no code, nothing printed."""
    import wandb

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


def _log_place(directory: Path) -> str:
    """The directory whose `wandb` folder holds the given one or one of its runs."""
    place = user_path(directory, real=True)
    place = place.parent if place.name.startswith(("offline-run-", "run-")) else place
    return str(place.parent if place.name == "wandb" else place)


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


def _log(
    run: Any,
    name: str,
    comparison: Comparison,
    report: Report,
    pages: Mapping[str, str],
    folder: Path,
) -> Published:
    """Inputs, page, leaderboard and files, to a run of the client's."""
    import wandb

    problems, declared = [], 0
    for source in _inputs(comparison) if not run.offline else ():
        try:
            run.use_artifact(source)
            declared += 1
        except (wandb.Error, ValueError) as error:
            problems.append(f"{source} is not declared as an input: {first_line(error)}")
    columns, rows = _leaderboard(report)
    table = wandb.Table(columns=columns, data=rows, allow_mixed_types=True)
    page = wandb.Html(pages["html"], inject=False, data_is_not_path=True)
    run.log({"report": page, "leaderboard": table})
    artifact = wandb.Artifact(f"report-{name}", type=_TYPE)
    for form, text in pages.items():
        path = folder / f"{name}.{form}"
        write_whole(path, text.encode())
        artifact.add_file(str(path), name=path.name)
    logged = run.log_artifact(artifact)
    if run.offline:
        return Published(str(Path(run.dir).parent), artifact.name, 0, True)
    logged.wait(timeout=_ARRIVE)
    return Published(str(run.url), str(logged.name), declared, False, tuple(problems))


def _inputs(comparison: Comparison) -> Iterator[str]:
    """The artifacts that it was made from, `entity/project/name:version`."""
    for run in comparison.runs:
        for split in run.result.splits.values():
            artifact, record = split.artifact, run.record
            if artifact.kind == "artifact" and artifact.version and record.entity:
                yield f"{record.entity}/{record.project}/{artifact.qualified_name}"


def _leaderboard(report: Report) -> tuple[list[str | int], list[list[Any]]]:
    """The first table of the leaderboard; an interval takes two columns of its own."""
    table = report.tables().get("leaderboard-runs")
    if table is None:
        return ["run"], []
    if table.nested:  # rows that stand for the seeds of a recipe are no runs
        follows = (*table.nested[1:], False)
        own = [n or not after for n, after in zip(table.nested, follows, strict=True)]
        table = replace(table, rows=tuple(itertools.compress(table.rows, own)))
    columns, *rows = wide_rows(table, titled=True)
    return list(map(str, columns)), [jsonable(row) for row in rows]


# --- W&B Reports ----------------------------------------------------------------------

_IN_NATIVE: Final = ("leaderboard", "differences")
"""Sections whose first table a W&B Report shows; it links to the rest."""
_BARS: Final = ("test/macro_f1", "test/micro_f1", "test/auc")
_LINES: Final = ("val/loss", "val/auc", "val/macro_f1", "train/loss")
"""The guide's keys, of which panels show those that the runs logged."""


def _save_native(
    comparison: Comparison, report: Report, title: str, run: Any, artifact: str
) -> str:
    """Make a W&B Report in the project of `run`, the W&B run that holds the comparison; gives its
    address. Raises SourceError, saying that the run and the `artifact` are there.
    """
    import wandb_workspaces.reports.v2

    wr: Any = wandb_workspaces.reports.v2
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # the library says where it is saved
            native = wr.Report(
                entity=run.entity,
                project=run.project,
                title=title,
                blocks=list(_blocks(wr, comparison, report, run, artifact)),
                width="fluid",
            )
            native.save()
            return str(native.url)
    except Exception as error:
        raise SourceError(
            f"published as {artifact}, but not as a W&B report: {first_line(error)}",
            "`goemo-report doctor` looks for the cause",
        ) from error


def _blocks(
    wr: Any, comparison: Comparison, report: Report, run: Any, artifact: str
) -> Iterator[Any]:
    """Verdict, run set with panels, leaderboard, the page with every figure, the artifact."""
    from goemo_report.report.sections._verdict import in_one_sentence

    records = [one.record for one in comparison.runs]
    keys = frozenset(key for record in records for key in record.summary)
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    for record in records:
        if record.entity:
            grouped[record.entity, record.project].append(record.id)
    compared = [
        _run_set(wr, entity, project, "Compared runs", ids)
        for (entity, project), ids in grouped.items()
    ]
    panels = [wr.BarPlot(title=f"{key}, as logged", metrics=[key]) for key in _BARS if key in keys]
    panels += [wr.LinePlot(title=key, x="Step", y=[key]) for key in _LINES if key in keys]
    yield wr.MarkdownBlock(text=markdown_text(in_one_sentence(comparison)))
    yield wr.H2(text="Runs as they logged")
    yield wr.PanelGrid(runsets=compared, panels=panels)
    for section in report.sections:
        tables = [block for block in section.blocks if isinstance(block, Table)]
        if section.id in _IN_NATIVE and tables:
            text = render_block(tables[0], "md")  # without its HTML, which W&B shows as it stands
            plain = re.sub(r"</?su[bp]>", "", re.sub(r'<a id="[^"]*"></a>\s*', "", text))
            yield wr.H2(text=section.title)
            yield wr.MarkdownBlock(text=plain)
    own = _run_set(wr, run.entity, run.project, "The report's own run", [run.id])
    page = wr.MediaBrowser(
        title="The report", media_keys=["report"], num_columns=1, layout=wr.Layout(w=24, h=24)
    )
    yield wr.H2(text="The whole report")
    yield wr.PanelGrid(runsets=[own], panels=[page])
    yield wr.WeaveBlockArtifact(
        entity=run.entity, project=run.project, artifact=artifact.partition(":")[0], tab="files"
    )
    yield wr.P(text=["The run that holds it: ", wr.Link(text=artifact, url=str(run.url))])


def _run_set(wr: Any, entity: str, project: str, name: str, ids: Sequence[str]) -> Any:
    from wandb_workspaces import expr

    chosen = [expr.Metric("ID").isin(list(ids))]
    return wr.Runset(entity=entity, project=project, name=name, filters=chosen)

"""Runs of W&B, of offline logs and of prediction files, as a notebook works with them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from goemo_report.api import html
from goemo_report.api.progress import Bar
from goemo_report.contract import SPLITS, Role, Split
from goemo_report.errors import DataError, NotFoundError, SettingsError
from goemo_report.settings import Settings, load_settings
from goemo_report.sources.base import RunSource
from goemo_report.sources.conditions import Condition, Order
from goemo_report.sources.downloads import Downloads, download
from goemo_report.sources.model import RunQuery, RunRecord, SkippedRun
from goemo_report.sources.resolve import find_one, gather

if TYPE_CHECKING:
    import pandas as pd

    from goemo_report.predictions import Predictions

Names: TypeAlias = str | Sequence[str]
Place: TypeAlias = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Run:
    """One run: what it is, what it logged, and its files.

    `config` and `summary` are mappings, nested values as they were logged.
    """

    record: RunRecord
    source: RunSource = field(repr=False)
    progress: bool = field(default=False, repr=False)

    @property
    def id(self) -> str:
        """Its id, unique within its project."""
        return self.record.id

    @property
    def name(self) -> str:
        """Its name, such as `roberta-large-20241210-143022`."""
        return self.record.name

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags."""
        return self.record.tags

    @property
    def config(self) -> Mapping[str, Any]:
        """Its config as logged."""
        return self.record.config

    @property
    def summary(self) -> Mapping[str, Any]:
        """Its summary as logged."""
        return self.record.summary

    def history(self) -> pd.DataFrame:
        """Everything that it logged, unsampled: one row a step, indexed by `_step`."""
        import pandas as pd

        rows = self.source.histories([self.record]).get(self.id, ())
        frame = pd.DataFrame([dict(row) for row in rows])
        return frame.set_index("_step") if "_step" in frame else frame

    def artifacts(self) -> pd.DataFrame:
        """What it logged as artifacts: one row a file, with `artifact`, `type`, `version`,
        `aliases`, `path`, `size` (Int64, bytes) and `digest`."""
        import pandas as pd

        logged = self.source.artifacts([self.record]).get(self.id, ())
        manifests = self.source.manifests(logged)
        columns = ("artifact", "type", "version", "aliases", "path", "size", "digest")
        rows = [
            (one.name, one.type, one.version, list(one.aliases), file.path, file.size, file.digest)
            for one, files in zip(logged, manifests, strict=True)
            for file in files
        ]
        return pd.DataFrame(rows, columns=list(columns)).astype({"size": "Int64"})

    def download(
        self, *, only: Role | Sequence[Role] | None = None, root: Place = "artifacts"
    ) -> Downloads:
        """Download its artifacts, each file checked by digest.

        Args:
            only: `checkpoint`, `val-predictions`, `test-predictions`, `per-class-metrics`, or
                several of them; all without it.
            root: each artifact gets a directory of its own name in it.

        Raises:
            NotFoundError: the run logged none of what was asked for.

        """
        roles: tuple[Role, ...] = () if only is None else _roles(only)
        with Bar(self.progress) as bar:
            return download(self.source, self.record, roles, Path(root), bar)

    def predictions(self, split: Split = "test") -> Predictions:
        """Its predictions on a split, every cell checked.

        Raises:
            NotFoundError: it logged none that can be used, with the reason.

        """
        from goemo_report.results import load_results

        if split not in SPLITS:
            raise DataError(f"there is no split {split!r}", f"Splits: {', '.join(SPLITS)}")
        with Bar(self.progress) as bar:
            loaded = load_results(self.source, [self.record], [split], bar)
        return loaded[0].splits[split].predictions

    def __repr__(self) -> str:
        """One line: name, id and state."""
        return f"<Run {self.name!r} ({self.id}), {self.record.state}>"

    def _repr_html_(self) -> str:
        record = self.record
        facts = (
            ("id", record.id),
            ("project", record.path.rpartition("/")[0]),
            ("state", record.state),
            ("tags", ", ".join(record.tags)),
            ("model", record.model_name),
            ("created", record.created_at),
        )
        summary = [(k, v) for k, v in record.summary.items() if not k.startswith("_")]
        parts = html.table(("", ""), facts), html.table(("summary", "value"), summary)
        return html.page(f"Run {record.name}", *parts)


@dataclass(frozen=True, eq=False)
class Runs(Sequence[Run]):
    """Runs that were asked for, and in `skipped` those that cannot be read, with the reason."""

    records: tuple[RunRecord, ...]
    source: RunSource = field(repr=False)
    skipped: tuple[SkippedRun, ...] = field(default=(), repr=False)
    progress: bool = field(default=False, repr=False)

    def __len__(self) -> int:
        """Number of runs."""
        return len(self.records)

    def __iter__(self) -> Iterator[Run]:
        """Each run, in order."""
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, key: int | str) -> Run: ...
    @overload
    def __getitem__(self, key: slice) -> Runs: ...
    def __getitem__(self, key: int | str | slice) -> Run | Runs:
        """A run by position, id or name; a slice gives fewer runs.

        Raises NotFoundError for a text that names no run or several.
        """
        if isinstance(key, slice):
            return Runs(self.records[key], self.source, self.skipped, self.progress)
        if isinstance(key, int):
            return Run(self.records[key], self.source, self.progress)
        fitting = [run for run in self.records if key in {run.id, run.path}]
        fitting = fitting or [run for run in self.records if run.name == key]
        if len(fitting) != 1:
            problem = f"names {len(fitting)} runs" if fitting else "is not among these runs"
            known = ", ".join(run.id for run in fitting or self.records[:8])
            raise NotFoundError(f"{key} {problem}", f"Ids: {known}")
        return Run(fitting[0], self.source, self.progress)

    def to_frame(self) -> pd.DataFrame:
        """One row a run: `id`, `name`, `state`, `tags`, `created_at` (UTC), `entity`, `project`,
        `url`, then `config.*` and `summary.*` columns, nested keys joined by dots."""
        import pandas as pd

        rows = [
            {
                "id": run.id,
                "name": run.name,
                "state": run.state,
                "tags": list(run.tags),
                "created_at": run.created_at,
                "entity": run.entity,
                "project": run.project,
                "url": run.url,
                **_dotted("config", run.config),
                **_dotted("summary", run.summary),
            }
            for run in self.records
        ]
        frame = pd.DataFrame(rows)
        if "created_at" in frame:
            frame["created_at"] = pd.to_datetime(frame["created_at"], utc=True)
        return frame

    def __repr__(self) -> str:
        """One line: how many, from where."""
        return f"<{len(self)} runs from {self.source.description}>"

    def _repr_html_(self) -> str:
        rows = [(r.name, r.id, r.state, ", ".join(r.tags), r.model_name) for r in self.records]
        return html.page(repr(self), html.table(("name", "id", "state", "tags", "model"), rows))


def runs(
    *references: Place,
    tag: Names = (),
    any_tag: Names = (),
    not_tag: Names = (),
    state: Names = (),
    model: Names = (),
    sweep: Names = (),
    group: Names = (),
    where: Names = (),
    sort: str | None = None,
    limit: int | None = None,
    wandb_dir: Place | None = None,
    entity: str | None = None,
    project: str | None = None,
    progress: bool = False,
) -> Runs:
    """Runs that match, the newest last; and those named, in the order named.

    Args:
        references: run ids, names, paths, addresses, offline run directories, prediction files.
        tag: all of these tags; `any_tag`: any of them; `not_tag`: none of them.
        any_tag: see `tag`.
        not_tag: see `tag`.
        state: any of these states, such as `finished`.
        model: any of these models, by the whole name or what follows its last `/`.
        sweep: any of these sweeps, by id.
        group: any of these groups.
        where: conditions that all hold, such as `config.learning_rate > 1e-5`,
            `summary.test/macro_f1 >= 0.4`, `created_at > 2024-12-01`, `name ~ large`.
        sort: a key of `where`, smallest first; `-` before it: largest first.
        limit: at most so many: the first of `sort`, without it the newest.
        wandb_dir: read offline run logs below this directory, and nothing of W&B.
        entity: W&B user or team; default as in `goemo-report`: environment, then
            `[tool.goemo]` in pyproject.toml, then the key's own.
        project: W&B project, likewise.
        progress: show a bar.

    Raises:
        NotFoundError: no run fits; the remedy names the tags or values that exist.
        SettingsError: a condition, `sort` or `limit` is written wrongly.
        SourceError: W&B or the logs cannot be read.

    Example:
        >>> import goemo_report as gr
        >>> runs = gr.runs(tag="final", wandb_dir="runs")  # doctest: +SKIP
        >>> runs.to_frame()[["name", "config.learning_rate"]]  # doctest: +SKIP

    """
    if limit is not None and limit < 1:
        raise SettingsError(f"limit is {limit}", "Give a number from 1 up")
    query = RunQuery(
        _each(tag),
        _each(any_tag),
        _each(not_tag),
        _each(state),
        _each(model),
        _each(sweep),
        _each(group),
        where=tuple(map(Condition.of, _each(where))),
        sort=None if sort is None else Order.of(sort),
        limit=limit,
    )
    settings = settled(wandb_dir, entity, project)
    source, listing = gather(settings.source, [os.fspath(one) for one in references], query)
    return Runs(listing.runs, source, listing.skipped, progress)


def run(
    reference: Place,
    *,
    wandb_dir: Place | None = None,
    entity: str | None = None,
    project: str | None = None,
    progress: bool = False,
) -> Run:
    """The one run that an id, a name, a path, an address, an offline run directory or a
    prediction file names.

    Args:
        reference: what names it.
        wandb_dir: as in `runs`.
        entity: as in `runs`.
        project: as in `runs`.
        progress: show a bar.

    Raises:
        NotFoundError: there is none, or the name fits several.

    """
    settings = settled(wandb_dir, entity, project)
    source, record = find_one(settings.source, os.fspath(reference))
    return Run(record, source, progress)


def settled(wandb_dir: Place | None, entity: str | None, project: str | None) -> Settings:
    """Where runs are read from: arguments, then environment, then pyproject.toml."""
    directory = None if wandb_dir is None else Path(wandb_dir)
    return load_settings(
        entity=entity, project=project, wandb_dir=directory, environ=os.environ, directory=Path()
    )


def _each(value: Names) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _roles(only: Role | Sequence[Role]) -> tuple[Role, ...]:
    return (only,) if isinstance(only, str) else tuple(only)


def _dotted(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _dotted(f"{prefix}.{key}", value)
        else:
            found[f"{prefix}.{key}"] = value
    return found

"""Runs of W&B, of offline logs and of prediction files, as a notebook works with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, SupportsIndex, overload

from goemo_report.analysis.run_choice import TOP
from goemo_report.api.arguments import (
    Labels,
    Names,
    Only,
    Place,
    at_position,
    chosen_labels,
    conditions,
    each,
    place,
    roles,
    settled,
)
from goemo_report.api.one_run import Run
from goemo_report.api.progress import Bar, Shown
from goemo_report.errors import ArgumentError, NotFoundError
from goemo_report.formats import notebook
from goemo_report.formats.text import visible
from goemo_report.formats.wording import plural
from goemo_report.report import tables
from goemo_report.report.document import Table
from goemo_report.report.render import render_block
from goemo_report.settings import SourceChoice
from goemo_report.sources.base import RunSource
from goemo_report.sources.conditions import Key
from goemo_report.sources.downloads import Downloads, download_each
from goemo_report.sources.model import RunRecord, SkippedRun
from goemo_report.sources.resolve import find_one, gather, lacking

if TYPE_CHECKING:
    import pandas as pd

    from goemo_report.api.exporting import ExportedTables
    from goemo_report.api.quality_checks import Audits, Gate, Limits
    from goemo_report.audit.limits import Kind
    from goemo_report.contract import Split


_ABOUT: Final = ("id", "name", "state", "tags", "created_at", "entity", "project", "url")


@dataclass(frozen=True, eq=False)
class Runs(Sequence[Run]):
    """Runs that were asked for, and in `skipped` those that cannot be read, with the reason."""

    records: tuple[RunRecord, ...]
    source: RunSource = field(repr=False)
    choice: SourceChoice = field(default_factory=SourceChoice, repr=False)
    skipped: tuple[SkippedRun, ...] = field(default=(), repr=False)
    progress: Shown = field(default=False, repr=False)
    columns: tuple[Key, ...] | None = field(default=None, repr=False)
    sorted_by: Key | None = field(default=None, repr=False)
    limit: int | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.records)

    def __contains__(self, one: object) -> bool:
        """Whether a run is among them, or one that an id, a path or a name says."""
        if isinstance(one, str):
            return any(one in {run.id, run.path, run.name} for run in self.records)
        return super().__contains__(one)

    def __iter__(self) -> Iterator[Run]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, key: SupportsIndex | str) -> Run: ...
    @overload
    def __getitem__(self, key: slice) -> Runs: ...
    def __getitem__(self, key: SupportsIndex | str | slice) -> Run | Runs:
        """A run by position, id or name; a slice gives fewer runs, all of which can be read.

        Raises NotFoundError, which is an IndexError too, for a position that is not there, and
        for a text that names no run or several.
        """
        if isinstance(key, slice):
            return replace(self, records=self.records[key], skipped=())
        if isinstance(key, SupportsIndex):
            return self._one(at_position(self.records, key, "run"))
        if not isinstance(key, str):
            raise ArgumentError(f"{key!r} is no run", "Give a position, a slice, an id or a name")
        fitting = [run for run in self.records if key in {run.id, run.path}]
        fitting = fitting or [run for run in self.records if run.name == key]
        if len(fitting) != 1:
            problem = f"names {len(fitting)} runs" if fitting else "is not among these runs"
            words = [word for run in self.records for word in (run.name, run.id)]
            close = get_close_matches(str(key), dict.fromkeys(words), n=3)
            known = ", ".join(run.id for run in fitting or self.records[:8])
            remedy = f"Did you mean {' or '.join(close)}? " if close and not fitting else ""
            raise NotFoundError(f"{key} {problem}", f"{remedy}Ids: {known}")
        return self._one(fitting[0])

    def _one(self, record: RunRecord) -> Run:
        return Run(record, self.source, self.progress)

    def to_frame(self) -> pd.DataFrame:
        """One row a run: `id`, `name`, `state`, `tags`, `created_at` (UTC), `entity`, `project`,
        `url`, then `config.*` and `summary.*` columns, nested keys joined by dots."""
        import pandas as pd

        rows = [
            {
                **{name: getattr(run, name) for name in _ABOUT},
                "tags": list(run.tags),
                **_dotted("config", run.config),
                **_dotted("summary", run.summary),
            }
            for run in self.records
        ]
        frame = pd.DataFrame(rows, columns=None if rows else list(_ABOUT))
        frame["created_at"] = pd.to_datetime(frame["created_at"], utc=True)
        return frame

    def showing(self, keys: Names) -> Runs:
        """The same runs, of which `tables` and `render` show these keys of `where`.

        Raises ArgumentError for a key that no run can have.
        """
        return replace(self, columns=tuple(map(Key.of, each(keys))))

    @property
    def notes(self) -> tuple[str, ...]:
        """Keys shown or sorted by that none of the runs has, and that a limit cut the runs off."""
        shown = (*(self.columns or ()), *((self.sorted_by,) if self.sorted_by else ()))
        none = [key for key in shown if all(key.value(run) is None for run in self.records)]
        cut: tuple[str, ...] = ()
        if self.limit is not None and len(self.records) >= self.limit:
            by = f" by {self.sorted_by}" if self.sorted_by else ""
            first = f"{'first' if by else 'newest'} {self.limit:,}{by}"
            cut = (f"the {first} of the runs that match; there may be more",)
        return (*(lacking(key, self.records) for key in none), *cut)

    def document(self) -> Mapping[str, Any]:
        """All of them as one JSON value, with whole configs and summaries."""
        return tables.runs_document(self.records)

    def tables(self) -> list[Table]:
        """One row a run, for reading."""
        return [tables.runs_table(self.records, self.columns)]

    def render(self, form: str) -> str:
        """As `csv`, one line a run, with whole configs and summaries, or what is shown."""
        if form == "csv":
            return tables.runs_csv(self.records, self.columns)
        return render_block(self.tables()[0], form)

    def download(self, *, only: Only = None, root: Place = "artifacts") -> list[Downloads]:
        """Download the artifacts of each, every file checked by digest.

        Args:
            only: as in `Run.download`.
            root: each run gets a directory `NAME-ID` in it.

        Returns:
            What came of each run; where `complete` is False, `problems` say why.

        """
        with Bar(self.progress) as bar:
            folder = Path(place(root, "root"))
            return list(download_each(self.source, self.records, roles(only), folder, bar))

    def export(
        self,
        path: Place,
        *,
        baseline: str | None = None,
        split: Split = "test",
        top: int = TOP,
        labels: Labels = None,
    ) -> ExportedTables:
        """Write Parquet tables of them, for DuckDB, pandas and the like; needs `goemo[tables]`.

        Args:
            path: `NAME.parquet`, a row a run with its config and recomputed overall metrics. Beside
                it come `NAME-labels.parquet`, a row a run and label, and
                `NAME-differences.parquet`, a row a run, metric and label.
            baseline, split: as in `compare`.
            top: as in `compare`; other runs have values, without intervals and differences.
            labels: as in `Run.predictions`.

        Returns:
            `files`, pairs of path and number of rows, and `notes`.

        """
        from goemo_report.api.exporting import export_tables

        return export_tables(
            self, Path(place(path, "path")), baseline=baseline, split=split, top=top, labels=labels
        )

    def audit(self, *, strict: bool = False, labels: Labels = None) -> Audits:
        """Check them against the guide, rule by rule, and their logged numbers against their
        predictions.

        Args:
            strict: warnings make them fail too.
            labels: as in `Run.predictions`.

        Returns:
            The findings: `to_frame()` has one row each; `passed` says whether all is well.

        """
        from goemo_report.api.quality_checks import audited

        return audited(self, strict, labels)

    def check(
        self,
        *,
        fail_under: Limits = (),
        fail_over: Limits = (),
        max_drop: Limits = (),
        baseline: str | None = None,
        split: Split = "test",
        confidence: float | None = None,
        require_artifacts: bool = False,
        require_audit: bool = False,
        labels: Labels = None,
        map_to: str | None = None,
    ) -> Gate:
        """Judge them by conditions, which every one of them must meet.

        Args:
            fail_under: least values, such as `{"macro_f1": 0.45, "f1_joy": 0.5}`; metrics are
                recomputed at 0.5, other figures taken as logged.
            fail_over: greatest values, as of a loss.
            max_drop: how much worse than the baseline they may be.
            baseline: the run that `max_drop` compares with.
            split: of metrics without `test/` or `val/` in front.
            confidence: judge the worse bound of the interval of this confidence, such as 0.95,
                in place of the value.
            require_artifacts: the guide's four artifacts must be complete.
            require_audit: `audit` must find no error.
            labels, map_to: as in `Run.predictions`.

        Returns:
            A Gate, true where all is met: `assert runs.check(fail_under={"macro_f1": 0.45})`.

        """
        from goemo_report.api.quality_checks import judged

        limits: dict[Kind, Limits] = {"fail-under": fail_under, "fail-over": fail_over}
        limits["max-drop"] = max_drop
        required = {"require_artifacts": require_artifacts, "require_audit": require_audit}
        choice = chosen_labels(labels, map_to)
        return judged(self, limits, baseline, split, confidence, choice, **required)

    def __repr__(self) -> str:
        return f"<{plural(len(self), 'run')} from {visible(self.source.description)}>"

    def _repr_html_(self) -> str:
        rows = [(r.name, r.id, r.state, ", ".join(r.tags), r.model_name) for r in self.records]
        return notebook.page(
            repr(self), notebook.table(("name", "id", "state", "tags", "model"), rows)
        )


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
    val: Place | Sequence[Place] = (),
    predictions: Names = (),
    alias: str | None = None,
    everything: bool = False,
    reports: bool = False,
    source: str | None = None,
    wandb_dir: Place | None = None,
    entity: str | None = None,
    project: str | None = None,
    progress: Shown = False,
) -> Runs:
    """Runs that match, the newest last; and those named, in the order named.

    Args:
        references: run ids, names, paths, addresses, offline run directories, prediction files.
        tag, any_tag, not_tag: all of these tags, any of them, none of them.
        state: any of these states, such as `finished`.
        model: any of these models, by the whole name or what follows its last `/`.
        sweep: any of these sweeps, by id.
        group: any of these groups.
        where: conditions that all hold, such as `config.learning_rate > 1e-5`,
            `summary.test/macro_f1 >= 0.4`, `created_at > 2024-12-01`, `name ~ large`.
        sort: a key of `where`, smallest first; `-` before it: largest first.
        limit: at most so many: the first of `sort`, without it the newest.
        val: for prediction files, the files with their validation predictions: FILE, or
            NAME=FILE for the run that is the file NAME.
        predictions: where predictions have another name than the guide's: an artifact as
            `ARTIFACT[:ALIAS][/FILE]`, without the run's id at its end, or a pattern with `*`;
            val=ARTIFACT for those of validation.
        alias: of predictions that were logged several times the version with this alias, as
            `best`; without it the newest.
        everything: also runs that cannot be read whole.
        reports: also runs that are published reports; those named, and those that a condition asks
            for and nothing else, are there without it.
        source: where runs come from: `wandb`, `offline:DIR` (as `wandb_dir`), `mlflow:PLACE` (a
            tracking directory, its mlflow.db, or a server's address) or `trackio:DIR`.
        wandb_dir: read offline run logs below this directory, and nothing of W&B.
        entity, project: W&B user or team, and project; default as in `goemo-report`: environment,
            then `[tool.goemo]` in pyproject.toml, then the key's own.
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
    query = conditions(
        tag=tag,
        any_tag=any_tag,
        not_tag=not_tag,
        state=state,
        model=model,
        sweep=sweep,
        group=group,
        where=where,
        sort=sort,
        limit=limit,
    )
    choice = settled(wandb_dir, entity, project, val, predictions, alias, source)
    names = [place(one, "a reference") for one in references]
    opened, listing = gather(choice, names, query, everything=everything, reports=reports)
    key = query.sort.key if query.sort else None
    return Runs(listing.runs, opened, choice, listing.skipped, progress, sorted_by=key, limit=limit)


def run(
    reference: Place,
    *,
    val: Place | Sequence[Place] = (),
    predictions: Names = (),
    alias: str | None = None,
    source: str | None = None,
    wandb_dir: Place | None = None,
    entity: str | None = None,
    project: str | None = None,
    progress: Shown = False,
) -> Run:
    """The one run that an id, a name, a path, an address, an offline run directory or a
    prediction file names.

    Args:
        reference: what names it.
        val, predictions, alias, source, wandb_dir, entity, project: as in `runs`.
        progress: show a bar.

    Raises:
        NotFoundError: there is none, or the name fits several.

    """
    choice = settled(wandb_dir, entity, project, val, predictions, alias, source)
    opened, record = find_one(choice, place(reference, "reference"))
    return Run(record, opened, progress)


def _dotted(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _dotted(f"{prefix}.{key}", value)
        else:
            found[f"{prefix}.{key}"] = value
    return found

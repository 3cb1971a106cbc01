"""Frozen values that travel from the sources to the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from numbers import Real
from pathlib import Path
from typing import Any, Final, Literal, Self

from goemo_report.contract import Role
from goemo_report.formats.json_text import parsed

_DIGEST_OF_BYTES: Final = ("", "file", "wandb-artifact", "wandb-client-artifact")
"""Schemes of references whose digest is of the bytes; of others it is an ETag or the address."""

_UNTELLING: Final = frozenset({"model", "checkpoint", "best", "final", "weights", "snapshot"})
"""Names of directories that say nothing of the model in them."""

_BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)

Row = Mapping[str, Any]
History = tuple[Row, ...]
"""Every logged step in order, one mapping a step, `_step` included; nested values are flat."""


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """One file of an artifact, as its manifest has it.

    `digest` is the base64 MD5 of the bytes, or `XXH128:` and that digest. A `reference` is the
    address of a file that W&B does not hold (`s3://bucket/key`, `file:///...`) or that another
    artifact holds; its digest may be an ETag, its size 0, and `generation` is the version that
    its store is asked for.
    """

    path: str
    size: int
    digest: str = ""
    reference: str = ""
    generation: str = ""

    @classmethod
    def of(cls, path: str, entry: Mapping[str, Any], **more: Any) -> Self:
        """From an entry of a manifest; the digest of one that has no MD5 names its algorithm."""
        extra = entry.get("extra") or {}
        algorithm, digest = str(extra.get("alg") or "MD5"), str(entry["digest"])
        return cls(
            path,
            int(entry.get("size") or 0),
            digest if algorithm == "MD5" else f"{algorithm}:{digest}",
            str(entry.get("ref") or ""),
            str(extra.get("versionID") or ""),
            **more,
        )

    @property
    def scheme(self) -> str:
        """The scheme of a reference in lower case; empty for a file that the artifact holds."""
        return self.reference.partition(":")[0].lower()

    @property
    def checksum(self) -> str:
        """The digest that the bytes must have, empty where the manifest does not know it."""
        return self.digest if self.scheme in _DIGEST_OF_BYTES else ""


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """One version of an artifact, as its run logged it.

    `kind` is `run-files` where a run kept its predictions as plain run files, `file` where a
    file was named by itself: such references have no version. `id` is
    what the source needs to find it again.
    """

    id: str
    name: str
    type: str
    version: str | None
    digest: str
    size: int
    role: Role | None
    run_id: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    description: str = ""
    kind: Literal["artifact", "run-files", "file"] = "artifact"
    is_offline: bool = False
    """Whether its files are on this machine or nowhere: it was not uploaded."""
    unread: str = ""
    """Why these predictions are not those that the user named, of a run that has no others."""
    only: str = ""
    """The path of the one file in it that is meant; empty: all."""

    @property
    def qualified_name(self) -> str:
        """`name:version`, or the name alone where there is no version."""
        return f"{self.name}:{self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run, from W&B or from its offline log."""

    id: str
    name: str
    entity: str | None
    project: str
    url: str | None
    state: str
    tags: tuple[str, ...]
    created_at: datetime | None
    config: Mapping[str, Any]
    summary: Mapping[str, Any]
    origin: str
    """Where it came from: the run's W&B path, or its log directories."""
    job_type: str | None = None
    group: str | None = None
    notes: str = ""
    description: str = ""
    sweep: str | None = None
    """The id of the sweep that started it."""
    step_count: int | None = None
    last_step: int | None = None
    heartbeat: str = ""
    """When a server last heard of it, which tells whether there is more by now."""
    results: Path | None = None
    """The directory on this machine that `goemo-train` left its results in, if it is there."""

    @property
    def is_files(self) -> bool:
        """Whether it is prediction files, or predictions in memory, that no tracker knows."""
        return not self.project and not self.url

    @property
    def path(self) -> str:
        """`entity/project/id`, without an entity where none is known."""
        return "/".join(part for part in (self.entity, self.project, self.id) if part)

    @property
    def by_creation(self) -> tuple[datetime, str]:
        """Sort key of runs: creation, then id; first those without a creation."""
        return self.created_at or _BEFORE_ALL, self.id

    def about(self) -> dict[str, Any]:
        """Identify it in documents: id, name, entity, project and address."""
        names = ("id", "name", "entity", "project", "url")
        return {name: getattr(self, name) for name in names}

    def logged(self, section: str) -> Mapping[str, Any]:
        """Its `config` or its `summary`."""
        return self.config if section == "config" else self.summary

    @property
    def is_report(self) -> bool:
        """Whether publishing a report made this run."""
        return self.job_type == "report"

    @property
    def model_name(self) -> str:
        """The config's model name, its `_name_or_path` (of transformers), or the run's name.

        Empty for a report.
        """
        logged = self.config.get("model_name") or _hub_name(self.config.get("_name_or_path"))
        return str(logged or ("" if self.is_report else self.name))


def _hub_name(name: object) -> str:
    """A model's name on the hub; of a directory the last part that tells it from others."""
    if not isinstance(name, str) or not name.startswith(("/", ".", "~")):
        return str(name or "")
    parts = [part for part in name.split("/") if part.strip("./~")]
    telling = [part for part in parts if part.lower() not in _UNTELLING]
    return (telling or parts or [""])[-1]


@dataclass(frozen=True, slots=True)
class SkippedRun:
    """A run that was left out, and why."""

    name: str
    reason: str
    remedy: str = ""
    run_id: str = field(default="", compare=False)
    """Its id, where it was read."""


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that could not be had, and why.

    `changed`: it is there, but its bytes are not those that were logged. `cause`: the reason
    without what is said of this file alone.
    """

    path: str
    reason: str
    changed: bool = False
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """Runs that match a query, newest last, and those left out."""

    runs: tuple[RunRecord, ...]
    skipped: tuple[SkippedRun, ...] = ()


LocalFile = Path | SkippedFile


class LostFiles(tuple[ArtifactFile, ...]):
    """The files of an artifact that nobody knows: its manifest could not be had."""

    reason: str

    def __new__(cls, reason: str) -> LostFiles:
        """No files, and why."""
        lost = super().__new__(cls)
        lost.reason = reason
        return lost


# --- What runs log, read in one way -----------------------------------------------------

SUMMARIES: Final = ("last", "best", "max", "min", "mean", "first")
"""What `define_metric` may keep of a metric in place of its last value; the first counts."""


def flattened(values: Mapping[str, Any], *, deep: bool = False) -> dict[str, Any]:
    """Nested values under keys joined by dots, as W&B's server returns rows: `val.loss`.

    What has a `_type`, such as a histogram, is one value unless `deep`. Empty mappings hold none.
    """
    if not any(isinstance(value, Mapping) for value in values.values()):
        return dict(values)
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and (deep or "_type" not in value):
            inner = flattened(value, deep=deep)
            flat.update((f"{key}.{name}", item) for name, item in inner.items())
        else:
            flat[key] = value
    return flat


def summarised(value: Any) -> tuple[Any, str]:
    """A summary value, and which one it is of a metric defined with a summary: `max`, say."""
    if isinstance(value, Mapping):
        for kind in SUMMARIES:
            if kind in value:
                return value[kind], kind
    return value, ""


def as_number(value: Any) -> float | None:
    """A logged value as a number; None where it is none.

    W&B writes what JSON cannot hold as "NaN" and "Infinity"; see `summarised` too.
    """
    if type(value) is float:  # most are
        return value
    value, _ = summarised(value)
    if isinstance(value, str) and value in {"NaN", "Infinity", "-Infinity"}:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:  # JSON has whole numbers that no float can hold
        return None


def metadata(value: Any) -> dict[str, Any]:
    """Read the metadata of an artifact, which may be JSON text; empty if unreadable."""
    try:
        found = parsed(value) if isinstance(value, str) and value else value
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def moment(text: Any) -> datetime | None:
    """A time as ISO 8601 has it, which is UTC whether it says so or not; None where it is none."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)

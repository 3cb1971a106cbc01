"""What the user set: flag, then environment, then `[tool.goemo]` in pyproject.toml, then default.

The environment variables are wandb's own and mean what they mean to wandb.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from math import inf
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Final, NamedTuple

from goemo_report.contract import SPLITS
from goemo_report.errors import ArgumentError, SettingsError, argument
from goemo_report.formats.files import user_path
from goemo_report.formats.text import shortened, shown
from goemo_report.labels import known_groupings, named_sets

_OFFLINE_MODES: Final = ("offline", "dryrun")  # dryrun is wandb's older word
_ONLINE_MODES: Final = ("online", "shared", "run")
_OF_WANDB: Final = ("wandb", "offline")


class SourceKind(NamedTuple):
    """A source that `--source NAME:PLACE` can name: the module below `goemo_report.sources` whose
    `open_source` takes the choice, what PLACE is called, and more about it for the help."""

    module: str
    place: str = ""
    about: str = ""


SOURCES: Final = {
    "wandb": SourceKind("wandb_api.source"),
    "offline": SourceKind("offline_logs.source", "DIR"),
    "mlflow": SourceKind("mlflow", "PLACE", "a tracking directory, an mlflow.db or a server"),
    "trackio": SourceKind("trackio", "DIR"),
}


def source_forms(*, explained: bool = False) -> str:
    """Every source as it is named: `wandb, offline:DIR, mlflow:PLACE or trackio:DIR`."""
    forms = [
        f"{name}:{one.place}".rstrip(":") + (f" ({one.about})" if explained and one.about else "")
        for name, one in SOURCES.items()
    ]
    return f"{', '.join(forms[:-1])} or {forms[-1]}"


class Bounds(NamedTuple):
    """Bounds of a number: whole, if not `real`, and from `least` on, or `above` it."""

    least: float
    most: float = inf
    real: bool = False
    above: bool = False

    def hold(self, value: Any) -> bool:
        """Whether a value is such a number; nan is none."""
        kind = type(value)
        if kind is bool or not issubclass(kind, Real if self.real else Integral):
            return False
        return self.least <= value <= self.most and not (self.above and value == self.least)

    def __str__(self) -> str:
        kind = "number" if self.real else "whole number"
        if self.most == inf:
            return f"a {kind}, {self.least:g} or more"
        start, end = ("above", "and at most") if self.above else ("from", "to")
        return f"a {kind} {start} {self.least:g} {end} {self.most:g}"


LABEL_SET_NAMES: Final = tuple(named_sets())
"""The sets that `--labels` takes by name."""
GROUPING_NAMES: Final = tuple(sorted({one.name for one in known_groupings()}))
"""The known groupings that `--map-to` takes by name."""

NUMBERS: Final[dict[str, Bounds]] = {
    **dict.fromkeys(("limit", "top", "batch_size"), Bounds(1)),
    **dict.fromkeys(("seed", "max_errors"), Bounds(0)),
    "resamples": Bounds(100),
    "max_seq_length": Bounds(3),  # two are special tokens
    "timeout": Bounds(1, real=True),
    **dict.fromkeys(("threshold", "tolerance"), Bounds(0, 1, real=True)),
    "margin": Bounds(0, 1, real=True, above=True),
    "confidence": Bounds(0.5, 0.999, real=True, above=True),
}
"""Bounds of numbers, by the name of the argument, the option or the key of `[tool.goemo]`."""


def check_numbers(**given: object) -> None:
    """Raise ArgumentError for a value that the argument of its name cannot have; None is unset."""
    for name, value in given.items():
        if value is not None and not NUMBERS[name].hold(value):
            what = f"{argument(name).rstrip('=')} cannot be {value!r}"
            raise ArgumentError(what, f"Give {NUMBERS[name]}")


class FileKey(NamedTuple):
    """One key that `[tool.goemo]` may hold: what its value must be, and what it sets."""

    is_right: Callable[[Any], bool]
    expected: str
    meaning: str


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value


def _text(meaning: str) -> FileKey:
    return FileKey(_is_text, "a string that is not empty", meaning)


def _is_source(value: object) -> bool:
    return _is_text(value) and not _wrong_source(str(value))


def _wrong_source(text: str) -> tuple[str, str] | None:
    """Say what is wrong with NAME:PLACE, and the remedy; None where it is right."""
    kind, _, place = text.partition(":")
    if kind not in SOURCES:
        return f"there is no source {shown(kind)}", f"Sources: {', '.join(SOURCES)}"
    if kind == "wandb" and place:
        given = f"{argument('entity')} and {argument('project')}"
        return f"the source wandb takes no place {shown(place)}", f"Give {given}"
    return None


def _number(name: str, meaning: str) -> FileKey:
    return FileKey(NUMBERS[name].hold, str(NUMBERS[name]), meaning)


def _table_of(values: Callable[[Any], bool], *keys: str) -> Callable[[Any], bool]:
    """Whether something is a table of right values, with these keys alone if there are any."""
    return lambda v: (
        isinstance(v, dict) and set(v) <= set(keys or v) and all(map(values, v.values()))
    )


_FORMATS: Final = ("html", "md", "json", "csv", "latex")
FILE_KEYS: Final[dict[str, FileKey]] = {
    "entity": _text("W&B user or team"),
    "project": _text("W&B project"),
    "source": FileKey(_is_source, source_forms(), "where runs come from"),
    "wandb-dir": _text("read offline runs below this directory"),
    "reports": _text("directory that reports are written to"),
    "formats": FileKey(
        lambda v: isinstance(v, list) and bool(v) and all(one in _FORMATS for one in v),
        f"a list of {', '.join(_FORMATS)}",
        "formats of reports",
    ),
    "split": FileKey(lambda v: v in SPLITS, " or ".join(SPLITS), "split that is reported"),
    "baseline": _text("run that others are compared with"),
    "resamples": _number("resamples", "bootstrap resamples"),
    "seed": _number("seed", "seed of the resampling"),
    "max-errors": _number("max_errors", "texts in the error browser, per label and run"),
    "no-text": FileKey(
        lambda v: isinstance(v, bool), "true or false", "leave all texts out of reports"
    ),
    "waive": FileKey(
        _table_of(_is_text),
        'a table with a reason for each rule, as { "tags-status" = "..." }',
        "rules of the audit that need not be kept, each with the reason",
    ),
    "columns": FileKey(
        _table_of(_is_text, "true", "pred", "prob"),
        'a table of true, pred and prob, as { prob = "p_{label}" }',
        "columns of prediction files: true, pred, prob",
    ),
    "groups": FileKey(
        _table_of(lambda _: True),
        "a table of lists of labels",
        'own groups of labels, as mild = ["joy", "love"]',
    ),
}
"""Every key of `[tool.goemo]`. Paths are relative to the pyproject.toml that names them."""

_PATH_KEYS: Final = frozenset({"wandb-dir", "reports"})


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """Where a RUN is looked for that does not say it itself: `kind` is a source by its name, and
    `where` the directory or address that it reads.

    `entity` None means the default entity of the key; `project` None the guide's on W&B, every
    project elsewhere.
    """

    entity: str | None = None
    project: str | None = None
    kind: str = "wandb"
    where: str = ""
    validation: tuple[tuple[str, str], ...] = ()
    """Files of validation predictions for runs that are single files: (name of the run, file);
    without a name that of the only one."""
    predictions: tuple[str, ...] = ()
    """Artifacts that hold the predictions of runs, as `[val=]ARTIFACT[:ALIAS][/FILE]`."""
    alias: str = ""
    """The alias or version of predictions that is meant; empty: the newest."""

    def check_files(self) -> None:
        """Raise ArgumentError where predictions of runs are named, but only files are read."""
        asked = "predictions" if self.predictions else "alias" if self.alias else ""
        if asked:
            raise ArgumentError(
                f"{argument(asked)} names an artifact of a run, and there are only files",
                "Leave it out",
            )

    @property
    def directory(self) -> Path | None:
        """The directory of offline run logs that is read, None for another source."""
        return Path(self.where) if self.kind == "offline" else None


def load_settings(
    *,
    entity: str | None = None,
    project: str | None = None,
    wandb_dir: Path | None = None,
    source: str | None = None,
    environ: Mapping[str, str],
    directory: Path,
) -> SourceChoice:
    """Settle every source setting, as seen from a working directory.

    None and empty variables count as not set; `source` is KIND or KIND:WHERE, and only W&B's own
    kinds take entity and project from elsewhere than the arguments.
    Raises ArgumentError for a source that is none, SettingsError for a pyproject.toml that cannot
    be used.
    """
    if source and wandb_dir is not None:
        raise ArgumentError(
            f"{argument('source')} and {argument('wandb_dir')} were given", "Give one of the two"
        )
    if source and (wrong := _wrong_source(source)) is not None:
        raise ArgumentError(*wrong)
    file = read_project_file(directory)
    if wandb_dir is not None:
        kind, where = "offline", str(wandb_dir)
    elif source:
        kind, _, where = source.partition(":")
    else:
        kind, where = _settled(environ, file, directory)
    if kind == "offline" and not where:
        where = str(_wandb_directory(environ, directory))
    if kind in _OF_WANDB:
        entity = entity or environ.get("WANDB_ENTITY") or file.get("entity")
        project = project or environ.get("WANDB_PROJECT") or file.get("project")
    return SourceChoice(entity, project, kind, where)


def _settled(
    environ: Mapping[str, str], file: Mapping[str, Any], directory: Path
) -> tuple[str, str]:
    """Kind and place of the source that environment and pyproject.toml name."""
    mode = environ.get("WANDB_MODE", "").lower()
    if mode in _OFFLINE_MODES:
        return "offline", str(_wandb_directory(environ, directory))
    if mode in _ONLINE_MODES:
        return "wandb", ""
    if "source" in file:
        kind, _, where = file["source"].partition(":")
        return kind, where
    return ("offline", file["wandb-dir"]) if "wandb-dir" in file else ("wandb", "")


def _wandb_directory(environ: Mapping[str, str], directory: Path) -> Path:
    """Where wandb keeps run logs: `wandb` below WANDB_DIR, or `.wandb` where that exists."""
    named = environ.get("WANDB_DIR")
    if not named:  # relative, so that reports and messages stay short
        return Path(".wandb" if (directory / ".wandb").exists() else "wandb")
    root = user_path(named)
    return root / (".wandb" if (directory / root / ".wandb").exists() else "wandb")


# --- pyproject.toml -------------------------------------------------------------------


_SQLITE: Final = "sqlite:///"


def read_project_file(directory: Path) -> Mapping[str, Any]:
    """The `[tool.goemo]` table of the nearest pyproject.toml, at or above a directory.

    Keys come back spelled with hyphens, paths as seen from `directory`.
    Raises SettingsError naming file and key.
    """
    start = directory.resolve()
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            values = _checked(path, _read_table(path))
            for name in values.keys() & _PATH_KEYS:
                named = user_path(values[name])
                values[name] = str(named if folder == start else folder / named)
            kind, _, place = values.get("source", "").partition(":")
            scheme = _SQLITE if place.startswith(_SQLITE) else ""
            place = place.removeprefix(scheme)
            if place and "://" not in place and folder != start:
                values["source"] = f"{kind}:{scheme}{folder / user_path(place)}"
            return values
    return {}


def _read_table(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    if b"goemo" not in text:  # another tool's file: neither parsed nor judged
        return {}
    try:
        table = _parsed(text).get("tool", {}).get("goemo", {})
    except (ValueError, AttributeError, RecursionError) as error:
        what = f"{path} is not valid TOML: {shortened(str(error), 200)}"
        raise SettingsError(what, "Correct the file") from error
    if not isinstance(table, dict):
        raise SettingsError(f"{path}: tool.goemo is not a table", "Write it as [tool.goemo]")
    return table


@lru_cache(maxsize=1)
def _parsed(text: bytes) -> Mapping[str, Any]:
    """A command asks for its file several times."""
    import tomllib

    return tomllib.loads(text.decode("utf-8-sig"))


def _checked(path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for written, value in table.items():
        name = written.replace("_", "-")
        key = FILE_KEYS.get(name)
        where = f"{path}: key {shortened(written, 60)} in [tool.goemo]"
        if key is None:
            raise SettingsError(f"{where} is unknown", f"Known keys: {', '.join(FILE_KEYS)}")
        if not key.is_right(value):
            what = f"{where} must be {key.expected}, not {shortened(repr(value), 60)}"
            raise SettingsError(what, f"It sets: {key.meaning}")
        values[name] = value
    return values


# --- Clock ----------------------------------------------------------------------------


def creation_time(environ: Mapping[str, str], now: datetime) -> datetime:
    """The time a report carries: SOURCE_DATE_EPOCH where that is set, else `now`."""
    written = environ.get("SOURCE_DATE_EPOCH")
    if not written:
        return now
    try:
        return datetime.fromtimestamp(int(written), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise SettingsError(
            f"SOURCE_DATE_EPOCH is {shown(written)}, not a number of seconds",
            "Unset it, or set seconds since 1970-01-01 UTC",
        ) from error

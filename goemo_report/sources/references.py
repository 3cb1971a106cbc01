"""What a RUN argument says by itself: an id, a name, a path of W&B or an address."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from goemo_report.errors import NotFoundError, argument
from goemo_report.formats.files import named_path, path_exists, user_path
from goemo_report.sources.model import RunRecord

_CANDIDATES_SHOWN: Final = 8
FORMS: Final = (
    "A RUN is an id, a name, project/id, entity/project/id, an address "
    "https://HOST/ENTITY/PROJECT/runs/ID, an offline run directory, or a results directory "
    "of goemo-train"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A run by its id or name, or one version of an artifact by its name and a version or alias,
    taken apart; None is what the text does not say."""

    text: str
    name: str
    project: str | None = None
    entity: str | None = None
    host: str | None = None
    version: str = ""

    @property
    def qualified_name(self) -> str:
        """`name:version`."""
        return f"{self.name}:{self.version}"


def parse_artifact(text: str) -> Reference | None:
    """`name:v3`, `project/name:best`, `entity/project/name:latest` or an artifact's address, taken
    apart; None for what looks like none of them."""
    host, parts = _split(text.strip())
    if host is not None:
        if len(parts) < 6 or parts[2] != "artifacts":
            return None
        return Reference(text, parts[4], parts[1], parts[0], host, parts[5])
    name, colon, version = parts[-1].partition(":")
    if not (name and colon and version) or ":" in version or len(parts) > 3 or not all(parts):
        return None
    entity, project, _ = [None] * (3 - len(parts)) + parts
    return Reference(text, name, project, entity, version=version)


def parse_reference(text: str) -> Reference:
    """Take a RUN argument apart. Raises NotFoundError for what cannot name a run."""
    text = text.strip()
    if not text:
        raise NotFoundError("an empty RUN names nothing", FORMS)
    host, parts = _split(text.strip("/"))
    if host is not None:  # https://host/entity/project/runs/id, whatever follows it
        if host and len(parts) >= 4 and parts[2] == "runs":
            return Reference(text, parts[3], parts[1], parts[0], host)
        what = f"{text} is not the address of a run"
        raise NotFoundError(what, "It ends in /ENTITY/PROJECT/runs/ID")
    if len(parts) == 4 and parts[2] == "runs":
        del parts[2]
    if not all(parts) or len(parts) > 3:
        raise NotFoundError(f"{text!r} names no run", FORMS)
    entity, project, name = [None] * (3 - len(parts)) + parts
    return Reference(text, str(name), project, entity)


def _split(text: str) -> tuple[str | None, list[str]]:
    """Host of an address, None where it is none, and the parts of the path."""
    if not text.lower().startswith(("http://", "https://")):
        return None, text.split("/")
    try:
        split = urlsplit(text)
    except ValueError:  # brackets that hold no IPv6 address
        return "", []
    host = split.netloc.rpartition("@")[2]
    return host, [unquote(part) for part in split.path.split("/") if part]


def named_among(text: str, runs: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs that a RUN argument names among those that were read already, from whatever source;
    several where it is ambiguous.

    Prediction files are named by their path too, however it is written.
    """
    try:
        reference = parse_reference(text)
    except NotFoundError:  # a path that no run of a tracker has
        reference = Reference(text, text)
    found = [run for run in runs if run.id == text]
    name, path = named_path(text)
    if not found and path_exists(path):
        place = user_path(path, real=True)
        held = [run for run in runs if run.is_files and name in {"", run.name}]
        found = [run for run in held if user_path(run.origin, real=True) == place]
    return found or fitting(reference, runs)


def fitting(reference: Reference, runs: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs that a reference names; an id goes before a name."""
    within = [
        run
        for run in runs
        if reference.project in {None, run.project}
        and (reference.entity is None or run.entity in {None, reference.entity})
    ]
    found = [run for run in within if run.id == reference.name]
    found = found or [run for run in within if run.name == reference.name]
    return found or [run for run in runs if run.name == reference.text]  # a name with slashes


def choose(reference: Reference, runs: Sequence[RunRecord], where: str) -> RunRecord:
    """The one run of `runs` that a reference names; an id goes before a name.

    A run whose entity is not known (it was never uploaded) fits any. `where` names the runs
    in errors. Raises NotFoundError for none, with close matches, and for several.
    """
    found = fitting(reference, runs)
    if len(found) == 1:
        return found[0]
    if found:
        raise ambiguous(reference.text, found, where)
    named = {name: _introduce(run) for run in reversed(runs) for name in (run.name, run.id)}
    raise unknown(reference, named, where)


def ambiguous(text: str, fitting: Sequence[RunRecord], where: str) -> NotFoundError:
    """The error for a reference that fits several runs, which it lists."""
    shown = ", ".join(map(_introduce, fitting[:_CANDIDATES_SHOWN]))
    more = len(fitting) - _CANDIDATES_SHOWN
    return NotFoundError(
        f"{text!r} fits {len(fitting)} runs in {where}: {shown}"
        + (f" and {more} more" if more > 0 else ""),
        "Give the id of the one you mean, as id or as project/id",
    )


def unknown(reference: Reference, named: Mapping[str, str], where: str) -> NotFoundError:
    """The error for a reference that fits no run; `named` introduces those that there are, by
    their names and ids."""
    what = f"no run {reference.text or reference.name!r} in {where}"
    if not named:
        return NotFoundError(
            what,
            f"It holds no runs at all: check {argument('wandb_dir')} and {argument('project')}",
        )
    close = difflib.get_close_matches(reference.name, named, n=3, cutoff=0.6)
    close += [name for name in named if reference.name.lower() in name.lower()]
    meant = list(dict.fromkeys(named[name] for name in close))[:3]
    if meant:
        return NotFoundError(what, f"Did you mean {' or '.join(meant)}?")
    return NotFoundError(what, f"`goemo-report runs` lists {there_are(len(set(named.values())))}")


def there_are(number: int) -> str:
    """The runs of a place, in words."""
    return "the one run there is" if number == 1 else f"the {number:,} runs there are"


def _introduce(run: RunRecord) -> str:
    """Name, path and start of a run."""
    started = f", started {run.created_at:%Y-%m-%d %H:%M} UTC" if run.created_at else ""
    return f"{run.name} ({run.path}{started})"

"""What a RUN argument says by itself: an id, a name, a path of W&B or an address."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from goemo_report.errors import NotFoundError, argument
from goemo_report.sources.model import RunRecord

_CANDIDATES_SHOWN: Final = 8
FORMS: Final = (
    "A RUN is an id, a name, project/id, entity/project/id, an address "
    "https://HOST/ENTITY/PROJECT/runs/ID, an offline run directory, or a results directory "
    "of goemo-train"
)


@dataclass(frozen=True, slots=True)
class RunReference:
    """A RUN argument, taken apart. `run` is an id or a name; None is what it does not say."""

    text: str
    run: str
    project: str | None = None
    entity: str | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class ArtifactReference:
    """One version of an artifact, by its name and a version or an alias."""

    name: str
    version: str
    project: str | None = None
    entity: str | None = None
    host: str | None = None

    @property
    def qualified_name(self) -> str:
        """`name:version`."""
        return f"{self.name}:{self.version}"


def parse_artifact(text: str) -> ArtifactReference | None:
    """`name:v3`, `project/name:best`, `entity/project/name:latest` or an artifact's address, taken
    apart; None for what looks like none of them."""
    text = text.strip()
    if text.lower().startswith(("http://", "https://")):
        host, parts = _split_address(text)
        if len(parts) < 6 or parts[2] != "artifacts":
            return None
        return ArtifactReference(parts[4], parts[5], parts[1], parts[0], host)
    parts = text.split("/")
    name, colon, version = parts[-1].partition(":")
    if not (name and colon and version) or ":" in version or len(parts) > 3 or not all(parts):
        return None
    entity, project, _ = [None] * (3 - len(parts)) + parts
    return ArtifactReference(name, version, project, entity)


def parse_reference(text: str) -> RunReference:
    """Take a RUN argument apart. Raises NotFoundError for what cannot name a run."""
    text = text.strip()
    if not text:
        raise NotFoundError("an empty RUN names nothing", FORMS)
    if text.lower().startswith(("http://", "https://")):
        return _address(text)
    parts = text.strip("/").split("/")
    if len(parts) == 4 and parts[2] == "runs":
        del parts[2]
    if not all(parts) or len(parts) > 3:
        raise NotFoundError(f"{text!r} names no run", FORMS)
    entity, project, run = [None] * (3 - len(parts)) + parts
    return RunReference(text, str(run), project, entity)


def _address(text: str) -> RunReference:
    """`https://host/entity/project/runs/id`, whatever follows it."""
    host, parts = _split_address(text)
    if host and len(parts) >= 4 and parts[2] == "runs":
        return RunReference(text, parts[3], parts[1], parts[0], host)
    raise NotFoundError(f"{text} is not the address of a run", "It ends in /ENTITY/PROJECT/runs/ID")


def _split_address(text: str) -> tuple[str, list[str]]:
    """Host and the parts of the path; empty where it is no address."""
    try:
        split = urlsplit(text)
        host = split.netloc.rpartition("@")[2]
        return host, [unquote(part) for part in split.path.split("/") if part]
    except ValueError:  # urlsplit's, for brackets that hold no IPv6 address
        return "", []


def choose(reference: RunReference, runs: Sequence[RunRecord], where: str) -> RunRecord:
    """The one run of `runs` that a reference names; an id goes before a name.

    A run whose entity is not known (it was never uploaded) fits any. `where` names the runs
    in errors. Raises NotFoundError for none, with close matches, and for several.
    """
    within = [
        run
        for run in runs
        if reference.project in {None, run.project}
        and (reference.entity is None or run.entity in {None, reference.entity})
    ]
    fitting = [run for run in within if run.id == reference.run]
    fitting = fitting or [run for run in within if run.name == reference.run]
    fitting = fitting or [run for run in runs if run.name == reference.text]  # a name with slashes
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ambiguous(reference.text, fitting, where)
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


def unknown(reference: RunReference, named: Mapping[str, str], where: str) -> NotFoundError:
    """The error for a reference that fits no run; `named` introduces those that there are, by
    their names and ids."""
    what = f"no run {reference.text or reference.run!r} in {where}"
    if not named:
        return NotFoundError(
            what,
            f"It holds no runs at all: check {argument('wandb_dir')} and {argument('project')}",
        )
    close = difflib.get_close_matches(reference.run, named, n=3, cutoff=0.6)
    close += [name for name in named if reference.run.lower() in name.lower()]
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

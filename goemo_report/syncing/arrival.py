"""What of a run's log is on the server, part by part, and a log that holds only the rest.

Sending a log twice appends its history a second time. So what is missing goes out in a new log
beside the old one: the run itself, the missing steps and artifacts, and the whole summary. The
original is never opened for writing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from goemo_report.formats.json_text import jsonable
from goemo_report.sources.model import ArtifactRef, History, RunRecord, flattened
from goemo_report.sources.offline_logs.log_format import framed, read_log

_SHOWN: Final = 3
_NOT_AGAIN: Final = {"output", "output_raw", "stats", "alert", "tbrecord", "use_artifact"}
"""Records that would only repeat what the first sending brought."""


@dataclass(frozen=True, slots=True)
class Part:
    """One aspect of a run: how much was logged, and what of it the server lacks or has wrong."""

    name: str
    logged: int
    missing: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """`history 4/5 (step 4)`."""
        line = f"{self.name} {self.logged - len(self.missing)}/{self.logged}"
        if not self.missing:
            return line
        more = ", ..." if len(self.missing) > _SHOWN else ""
        return f"{line} (missing: {', '.join(self.missing[:_SHOWN])}{more})"


class Held(NamedTuple):
    """What the server holds of a run; `rows` are its history rows as they are, repeats included."""

    run: RunRecord
    rows: Sequence[Mapping[str, Any]]
    artifacts: Sequence[ArtifactRef]


@dataclass(eq=False, slots=True)
class Arrival:
    """What the logs of a run hold, oldest first, the project that it is sent to, and what of it is
    on the server: `parts` is empty where the run itself is not.

    `doubled` counts history rows that the server holds more than once. Of `missing_steps` these
    keys, and of artifacts these (name, digest), would have to be sent to make it complete.
    `unread`: nobody knows what the server has of it. `said` is what went wrong meanwhile.
    """

    run: RunRecord
    logs: tuple[Path, ...]
    history: History
    artifacts: tuple[ArtifactRef, ...]
    project: str
    path: str = ""
    url: str | None = None
    parts: tuple[Part, ...] = ()
    doubled: int = 0
    missing_steps: Mapping[int, frozenset[str]] = field(default_factory=dict)
    missing_artifacts: frozenset[tuple[str, str]] = frozenset()
    unread: bool = False
    attempts: int = 0
    said: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether everything arrived."""
        return bool(self.parts) and not any(part.missing for part in self.parts)

    @property
    def problems(self) -> list[str]:
        """Errors, each once; none where everything arrived all the same."""
        return [] if self.complete else list(dict.fromkeys(self.said))

    def lines(self) -> list[str]:
        """One line on the run, and one for each thing that the client complained of."""
        where = self.url or self.path
        if self.complete:
            how = "arrived" if self.attempts else "was there already"
            parts = ", ".join(part.text for part in self.parts)
            line = f"{self.run.name}: {how}: {parts} ({where})"
        elif not self.parts:
            line = f"{self.run.name}: NOT on the server ({where})"
        else:
            parts = ", ".join(part.text for part in self.parts)
            line = f"{self.run.name}: INCOMPLETE: {parts} ({where})"
        if self.doubled:
            line += f"; {self.doubled} history rows are there more than once"
        return [line, *(f"    {problem}" for problem in self.problems)]

    def document(self) -> dict[str, Any]:
        """The run in what `sync --format json` prints."""
        return {
            "id": self.run.id,
            "name": self.run.name,
            "path": self.path,
            "url": self.url,
            "complete": self.complete,
            "attempts": self.attempts,
            "doubled_history_rows": self.doubled,
            "parts": [
                {"name": part.name, "logged": part.logged, "missing": list(part.missing)}
                for part in self.parts
            ],
            "problems": self.problems,
        }

    def compare(self, held: Held | None) -> None:
        """Hold what the server has against the log; None means that it has no such run."""
        self.unread, self.url, self.parts = False, None, ()
        if held is None:
            return
        here, there = self.run, held.run
        missing, differing = _steps(self.history, held.rows)
        steps = [f"step {step}" for step in missing]
        steps += [f"step {step} as logged" for step in differing]
        known = {(reference.name, reference.digest) for reference in held.artifacts}
        lacking = [a for a in self.artifacts if (a.name, a.digest) not in known]
        ended = here.state in {"finished", "failed"}
        state = (f"{there.state}, not {here.state}",) if ended and there.state != here.state else ()
        self.url = there.url
        self.parts = (
            _part("config", here.config, there.config),
            Part("history", len(self.history), tuple(steps)),
            _part("summary", here.summary, there.summary),
            Part("tags", len(here.tags), tuple(tag for tag in here.tags if tag not in there.tags)),
            Part("state", 1, state),
            Part("artifacts", len(self.artifacts), tuple(a.name for a in lacking)),
        )
        self.doubled = len(held.rows) - len({row.get("_step") for row in held.rows})
        self.missing_steps = missing
        self.missing_artifacts = frozenset((a.name, a.digest) for a in lacking)
        if missing and len(held.rows) < (there.step_count or 0):  # logged ones may be the others
            self.unread = True
            count = f"{len(held.rows):,} of the {there.step_count:,} rows"
            self.said.append(f"the server sent {count} that it has")


def _steps(
    history: History, rows: Sequence[Mapping[str, Any]]
) -> tuple[dict[int, frozenset[str]], list[int]]:
    """Steps of which the server lacks keys, with these; and those that it has with other values.
    The latter are not sent again: a second row would stand beside the first."""
    held: dict[int, dict[str, Any]] = {}
    for row in rows:
        held.setdefault(int(row.get("_step", -1)), {}).update(_values(row))
    missing: dict[int, frozenset[str]] = {}
    differing = []
    for row in history:
        step, values = int(row["_step"]), _values(row)
        there = held.get(step)
        lacking = frozenset(row if there is None else values.keys() - there.keys())
        if lacking or there is None:
            missing[step] = lacking
        elif any(there[key] != value for key, value in values.items()):
            differing.append(step)
    return missing, differing


def _values(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """What the user logged, in the one form that is compared: flat, as JSON, without nothing. The
    client's own keys begin with an underscore; it does not send empty mappings and does not always
    send nulls."""
    public = {key: value for key, value in mapping.items() if not key.startswith("_")}
    flat = flattened(public, deep=True)
    return {key: jsonable(value) for key, value in flat.items() if value is not None}


def _part(name: str, here: Mapping[str, Any], there: Mapping[str, Any]) -> Part:
    """Keys that are not there, or there with another value."""
    logged, held = _values(here), _values(there)
    wrong = tuple(key for key, value in logged.items() if held.get(key) != value)
    return Part(name, len(logged), wrong)


# --- The rest ---------------------------------------------------------------------------


def log_of_remainder(
    arrival: Arrival, entity: str, files: Mapping[tuple[str, str], Path], folder: Path
) -> Path:
    """Write a run directory below `folder` whose log sends what is missing and nothing else.

    `files` finds the staged file of an artifact's name and path where its recorded place is gone.
    The client takes the run to `entity` and project, but sends artifacts where the log says. Gives
    the directory.
    """
    from wandb.proto import wandb_internal_pb2

    proto: Any = wandb_internal_pb2  # generated code without types

    records: list[bytes] = []
    exits: list[bytes] = []
    for log in arrival.logs:
        for payload in read_log(log.read_bytes(), log.name).values():
            record = proto.Record.FromString(payload)
            kind = record.WhichOneof("record_type")
            if kind == "exit":
                exits.append(payload)
            elif kind == "history":
                keys = arrival.missing_steps.get(_step(record.history))
                if keys is not None:
                    _keep(record.history, keys)
                    records.append(record.SerializeToString())
            elif kind == "artifact":
                artifact = record.artifact
                if (artifact.name, artifact.digest) in arrival.missing_artifacts:
                    for entry in artifact.manifest.contents:
                        place = files.get((artifact.name, entry.path))
                        if place is not None and not Path(entry.local_path).exists():
                            entry.local_path = str(place)
                    artifact.entity, artifact.project = entity, arrival.project
                    records.append(record.SerializeToString())
            elif kind not in {*_NOT_AGAIN, "final", "footer"}:
                records.append(payload)
    # The client makes the summary of the history that it sends, which is not all of it.
    summary = proto.Record()
    for key, value in arrival.run.summary.items():
        summary.summary.update.add(key=key, value_json=json.dumps(value))
    records.append(summary.SerializeToString())
    records += exits[-1:]
    newest = arrival.logs[-1]
    directory = folder / newest.parent.name
    directory.mkdir(parents=True)
    if (own := newest.parent / "files").is_dir():
        (directory / "files").symlink_to(own.resolve())
    (directory / newest.name).write_bytes(framed(records))
    return directory


def _step(history: Any) -> int:
    for item in history.item:
        if (tuple(item.nested_key) or (item.key,)) == ("_step",):
            return int(json.loads(item.value_json))
    return int(history.step.num)


def _keep(history: Any, keys: Collection[str]) -> None:
    """Leave only the items of a row that hold these keys, and the client's own."""
    kept = []
    for item in history.item:
        path = f"{'.'.join(item.nested_key) or item.key}."
        inside = (f"{key}.".startswith(path) or path.startswith(f"{key}.") for key in keys)
        if path.startswith("_") or any(inside):
            kept.append(item)
    del history.item[:]
    history.item.extend(kept)

"""Runs of several sources as one, with their predictions under other names or in other versions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final, TypeVar

from goemo_report.contract import Role
from goemo_report.errors import ArgumentError, NotFoundError
from goemo_report.formats.text import shown
from goemo_report.formats.wording import listed
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.model import (
    ArtifactFile,
    ArtifactRef,
    History,
    Listing,
    LocalFile,
    LostFiles,
    RunRecord,
)
from goemo_report.sources.newest import FOLDER, PREDICTIONS, role_of, split_role
from goemo_report.sources.references import choose, parse_reference

_FORM: Final = re.compile(r"(?:(val|test)=)?([^/:=]+)(?::([^/:]+))?(?:/(.+))?")


@dataclass(frozen=True, slots=True)
class NamedPredictions:
    """The artifact that holds a run's predictions of a split, its version and the file in it.

    `artifact` is a whole name, one without the run's id at its end, or a pattern with `*`.
    `version` is an alias or a version, `file` a path in the artifact; both may be empty.
    """

    artifact: str
    version: str = ""
    file: str = ""
    role: Role = "test-predictions"

    @classmethod
    def of(cls, text: str) -> NamedPredictions:
        """Read `[val=]ARTIFACT[:ALIAS][/FILE]`; a name that says dev or validation is of that.

        Raises ArgumentError for what is none.
        """
        found = _FORM.fullmatch(text.strip())
        if found is None:
            what = f"{shown(text)} names no predictions"
            raise ArgumentError(what, "Write ARTIFACT[:ALIAS][/FILE], val=ARTIFACT for validation")
        split, artifact, version, file = (part or "" for part in found.groups())
        role = split_role(split or file) or split_role(artifact) or "test-predictions"
        return cls(artifact, version, file, role)

    def means(self, artifact: ArtifactRef, run: RunRecord) -> bool:
        """Whether it names an artifact of a run, in whatever version."""
        if artifact.kind == "run-files":
            return artifact.name == (f"{self.artifact}/{self.file}" if self.file else self.artifact)
        names = {self.artifact, f"{self.artifact}-{run.id}"}
        return artifact.name in names or fnmatchcase(artifact.name, self.artifact)


_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")


class GatheredSource(RunSource):
    """Runs that were found, each asked of the source it came from.

    Their predictions are the newest, or those that are `named`, in the version of an `alias`.
    """

    def __init__(
        self,
        parts: Sequence[tuple[RunSource, Sequence[RunRecord]]],
        named: Sequence[NamedPredictions] = (),
        alias: str = "",
    ) -> None:
        """`parts` are sources with their runs; a run id belongs to one source only."""
        self._parts: Final = tuple((source, tuple(runs)) for source, runs in parts)
        self._owner = {run.id: source for source, runs in self._parts for run in runs}
        self._named, self._alias = tuple(named), alias

    @property
    def description(self) -> str:
        """The descriptions of all sources."""
        return " and ".join(dict.fromkeys(source.description for source, _ in self._parts))

    def list_runs(self, query: RunQuery) -> Listing:
        """The runs that match, in the order in which they were found."""
        return Listing(tuple(r for _, runs in self._parts for r in runs if query.matches(r)))

    def find_run(self, reference: str) -> RunRecord:
        """The one run with this id, name or path."""
        runs = self.list_runs(RunQuery()).runs
        return choose(parse_reference(reference), runs, self.description)

    def histories(self, runs: Sequence[RunRecord]) -> Mapping[str, History]:
        """Complete history of each run, by run id."""
        return self._by_id(runs, lambda source, own: source.histories(own))

    def faults(self, runs: Sequence[RunRecord]) -> Mapping[str, str]:
        """Why the history or the artifacts of some runs cannot be read, by run id."""
        return self._by_id(runs, lambda source, own: source.faults(own))

    def artifacts(self, runs: Sequence[RunRecord]) -> Mapping[str, tuple[ArtifactRef, ...]]:
        """What each run logged, by run id, without the predictions that are not meant.

        Raises NotFoundError where no run has those that are.
        """
        found = self._by_id(runs, lambda source, own: source.artifacts(own))
        if not self._named and not self._alias:
            return found
        every = [(run, one) for run in runs for one in found.get(run.id, ())]
        named = tuple(self._found(one, every) for one in self._named)
        kept = {run.id: tuple(self._kept(run, found.get(run.id, ()), named)) for run in runs}
        version = self._alias or next((one.version for one in named if one.version), "")
        taken = {one.role for own in kept.values() for one in own if not one.unread}
        if version and every and taken.isdisjoint(PREDICTIONS):
            asked = [one for run, one in every if _role(one, run, named) in PREDICTIONS]
            known = dict.fromkeys(a for one in asked for a in (one.version, *one.aliases) if a)
            what = f"no run logged predictions with the alias {version}"
            raise NotFoundError(what, f"Aliases: {listed(known, 8)}" if known else "")
        return kept

    def manifests(self, artifacts: Sequence[ArtifactRef]) -> list[tuple[ArtifactFile, ...]]:
        """The files of each artifact; of one whose file is named that file alone.

        Raises NotFoundError where none of them has it.
        """
        kept = list(map(_meant, artifacts, self._manifests(artifacts)))
        named = [files for one, files in zip(artifacts, kept, strict=True) if one.only]
        lost = [files for files in named if isinstance(files, LostFiles)]
        if lost and len(lost) == len(named):
            raise NotFoundError(lost[0].reason, "Name a file of the artifact after /")
        return kept

    def fetch(
        self, wanted: Sequence[tuple[ArtifactRef, ArtifactFile]], progress: Progress = silent
    ) -> list[LocalFile]:
        """A local copy of each file, in the order asked."""
        owners = (artifact.run_id for artifact, _ in wanted)
        return self._in_order(wanted, owners, lambda source, own: source.fetch(own, progress))

    # --- Which predictions are meant ----------------------------------------------------

    def _found(
        self, named: NamedPredictions, every: Sequence[tuple[RunRecord, ArtifactRef]]
    ) -> NamedPredictions:
        """What is named, also by a file's own name where a tracker keeps files in folders."""
        if not every or any(named.means(one, run) for run, one in every):
            return named
        folders = [one for _, one in every if one.type == FOLDER]
        held = {
            (one.name, file.path)
            for one, files in zip(folders, self._manifests(folders), strict=True)
            for file in files
            if file.path.rsplit("/", 1)[-1] == named.artifact
        }
        if len(held) == 1:
            [(artifact, file)] = held
            return replace(named, artifact=artifact, file=file)
        names = ["/".join(one) for one in sorted(held)] or dict.fromkeys(o.name for _, o in every)
        what = f"{len(held)} files are called" if held else "no run logged an artifact"
        raise NotFoundError(f"{what} {named.artifact}", f"They logged {listed(names, 8)}")

    def _kept(
        self, run: RunRecord, logged: Sequence[ArtifactRef], asked: Sequence[NamedPredictions]
    ) -> list[ArtifactRef]:
        """A reference for each role of an artifact, and those that are not meant where no other
        has their role, with the reason."""
        others = {named.role: named.artifact for named in asked}
        found: list[ArtifactRef] = []
        passed: list[ArtifactRef] = []
        for one in logged:
            for named in [n for n in asked if n.means(one, run)] or (None,):
                role = named.role if named else role_of(one, run)
                file = named.file if named and one.kind == "artifact" else ""
                taken = replace(one, role=role, only=file if role in PREDICTIONS else "")
                version = (named.version if named else "") or self._alias
                if role in PREDICTIONS and one.kind != "file":  # a FILE was named by itself
                    unread = ""
                    if named is None and role in others:
                        unread = f"has no artifact {others[role]}, but {one.name}"
                    elif version not in {"", one.version, *one.aliases}:
                        unread = f"has no version of {one.name} with the alias {version}"
                    if unread:
                        passed.append(replace(taken, unread=unread))
                        continue
                if taken not in found:
                    _check_alone(taken, found)
                    found.append(taken)
        had = {one.role for one in found}
        return found + [one for one in passed if one.role not in had]

    # --- Asking each source --------------------------------------------------------------

    def _manifests(self, artifacts: Sequence[ArtifactRef]) -> list[tuple[ArtifactFile, ...]]:
        owners = [artifact.run_id for artifact in artifacts]
        return self._in_order(artifacts, owners, lambda source, own: source.manifests(own))

    def _by_id(
        self,
        runs: Sequence[RunRecord],
        ask: Callable[[RunSource, list[RunRecord]], Mapping[str, _Answer]],
    ) -> dict[str, _Answer]:
        found: dict[str, _Answer] = {}
        for source in dict.fromkeys(self._owner[run.id] for run in runs):
            found |= ask(source, [run for run in runs if self._owner[run.id] is source])
        return found

    def _in_order(
        self,
        items: Sequence[_Asked],
        run_ids: Iterable[str],
        ask: Callable[[RunSource, list[_Asked]], Iterable[_Answer]],
    ) -> list[_Answer]:
        owned = [(self._owner[run_id], item) for run_id, item in zip(run_ids, items, strict=True)]
        answers = {
            source: iter(ask(source, [item for own, item in owned if own is source]))
            for source in dict.fromkeys(own for own, _ in owned)
        }
        return [next(answers[own]) for own, _ in owned]


def _role(artifact: ArtifactRef, run: RunRecord, named: Sequence[NamedPredictions]) -> Role | None:
    meant = next((one for one in named if one.means(artifact, run)), None)
    return meant.role if meant else role_of(artifact, run)


def _check_alone(taken: ArtifactRef, found: Sequence[ArtifactRef]) -> None:
    """Raise ArgumentError where two files of an artifact are named as predictions of one split."""
    for other in found:
        if (other.id, other.role) == (taken.id, taken.role) and other.only != taken.only:
            split = str(taken.role).removesuffix("-predictions")
            both = f"{other.only or 'all files'} and {taken.only or 'all files'} of {taken.name}"
            what = f"{both} are both named as {split} predictions"
            raise ArgumentError(what, f"Write {split}= once")


def _meant(artifact: ArtifactRef, files: tuple[ArtifactFile, ...]) -> tuple[ArtifactFile, ...]:
    if not artifact.only or isinstance(files, LostFiles):
        return files
    held = listed((file.path for file in files), 5)
    kept = tuple(file for file in files if file.path == artifact.only)
    return kept or LostFiles(f"{artifact.qualified_name} holds no {artifact.only}, but {held}")

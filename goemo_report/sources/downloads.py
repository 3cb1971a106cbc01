"""Artifacts of a run as directories: verified, written whole, saying what they are."""

from __future__ import annotations

import base64
import errno
import json
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from goemo_report.contract import Role, artifact_role
from goemo_report.errors import GoemoError, NotFoundError, argument
from goemo_report.formats.files import chunks, whole_file, write_whole
from goemo_report.formats.json_text import SCHEMA_VERSION, to_json
from goemo_report.formats.notebook import NotebookRepr
from goemo_report.formats.wording import listed, plural, size
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import ArtifactFile, ArtifactRef, LostFiles, RunRecord, SkippedFile
from goemo_report.sources.newest import INTERNAL_TYPES, RUN_TABLE
from goemo_report.sources.store import file_digest, hasher_for

DESCRIPTION: Final = "goemo-artifact.json"
"""The file in a downloaded directory that says what the directory is."""

_WRONG_BYTES: Final = "the bytes do not have the manifest's digest"
_LONGEST_NAME: Final = 100  # file systems take 255 bytes
_DRIVE = re.compile(r"[A-Za-z]:")


_Logged = tuple[ArtifactRef, ArtifactFile]


@dataclass(slots=True)
class Download:
    """One artifact on disk: its files, and which of them are written now, were there, are not.

    Files of a run that are no artifact are each a reference of its own.
    """

    artifact: ArtifactRef
    files: list[_Logged]
    directory: Path
    written: list[ArtifactFile] = field(default_factory=list)
    kept: list[ArtifactFile] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)
    wanted: list[_Logged] = field(default_factory=list)
    """Those that are to be fetched."""

    @property
    def complete(self) -> bool:
        """Whether every file of the artifact is there."""
        return not self.skipped

    @property
    def summary(self) -> str:
        """How many files were written and how many were there, empty without any."""
        parts = []
        if self.written:
            written = size(sum(file.size for file in self.written))
            parts.append(f"{plural(len(self.written), 'file')} written, {written}")
        if self.kept:
            parts.append(f"{plural(len(self.kept), 'file')} already there")
        return ", ".join(parts)

    @property
    def problems(self) -> list[str]:
        """A line for each reason why files are not there."""
        causes: dict[str, list[SkippedFile]] = {}
        for missing in self.skipped:
            causes.setdefault(missing.cause or missing.reason, []).append(missing)
        name, found = self.artifact.qualified_name, []
        for cause, files in causes.items():
            what, why = files[0].path, files[0].reason
            if len(files) > 1:
                what = f"{len(files)} files ({listed([file.path for file in files], 3)})"
                why = cause
            found.append(f"{name}/{what}: {why}")
        return found


@dataclass(frozen=True, repr=False, slots=True)
class Downloads(NotebookRepr):
    """What was downloaded of a run; `missing` roles were asked for and never logged.

    `failed` says why nothing could be had of one run among several.
    """

    run: RunRecord
    artifacts: tuple[Download, ...]
    missing: tuple[Role, ...] = ()
    failed: str = ""

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is on disk."""
        return (
            not self.failed and not self.missing and all(item.complete for item in self.artifacts)
        )

    def __repr__(self) -> str:
        """One line: what came, and whether that is all."""
        how = "complete" if self.complete else "incomplete"
        return f"<Downloads of {self.run.name}: {plural(len(self.artifacts), 'artifact')}, {how}>"

    def lines(self) -> Iterator[str]:
        """A line a directory, with what was written and what was there."""
        yield from (f"{one.directory}  ({one.summary})" for one in self.artifacts if one.summary)

    @property
    def problems(self) -> list[str]:
        """A line for each thing that could not be had."""
        found = [problem for item in self.artifacts for problem in item.problems]
        found += [f"run {self.run.name} logged no {role} artifact" for role in self.missing]
        return [*found, self.failed] if self.failed else found


def download(
    source: RunSource,
    run: RunRecord,
    roles: Sequence[Role] = (),
    root: Path = Path("artifacts"),
    progress: Progress = silent,
) -> Downloads:
    """Bring the newest version of a run's artifacts to `root/<artifact name>/`, or where that holds
    an artifact of another run to `root/<artifact name>-<run id>/`.

    Without roles every artifact that the run logged. Predictions that it kept as plain files
    go to `root/run-<run id>-<role>/`, at their own paths. A file that is there with the right
    digest is kept; one that cannot be had, or whose path would leave the directory, is
    skipped with its reason and the others still come. Raises NotFoundError when nothing
    that was asked for was logged.
    """
    chosen, missing = _choose(run, source.artifacts([run]).get(run.id, ()), roles)
    return download_artifacts(source, run, chosen, root, progress, missing, by_name=False)


def download_each(
    source: RunSource,
    runs: Iterable[RunRecord],
    roles: Sequence[Role] = (),
    root: Path = Path("artifacts"),
    progress: Progress = silent,
) -> Iterator[Downloads]:
    """What `download` brings of each run, to a directory `root/<name>-<id>` of its own.

    A run of which nothing can be had is one that `failed`, and the others still come.
    """
    for run in runs:
        name = run.id if run.name == run.id else f"{run.name[:_LONGEST_NAME]}-{run.id}"
        place = root / (re.sub(r"[^\w.-]+", "-", name).lstrip(".") or "run")
        try:
            yield download(source, run, roles, place, progress)
        except GoemoError as error:
            yield Downloads(run, (), failed=str(error))


def download_artifacts(
    source: RunSource,
    run: RunRecord,
    chosen: Sequence[ArtifactRef],
    root: Path,
    progress: Progress = silent,
    missing: tuple[Role, ...] = (),
    *,
    by_name: bool = True,
) -> Downloads:
    """Bring these versions of artifacts to `root/<artifact name>/`, as `download` does; unless
    `by_name`, beside what another run has there."""
    manifests = list(zip(chosen, source.manifests(chosen), strict=True))
    targets = [
        _prepare(one, files, root, one.name if by_name else _own_name(run, one, root))
        for one, files in _places(run, manifests)
    ]
    wanted = [(target, item) for target in targets for item in target.wanted]
    if wanted:
        root.mkdir(parents=True, exist_ok=True)  # where it cannot be, nothing need be fetched
    fetched = source.fetch([item for _, item in wanted], progress)
    for (target, (_, file)), local in zip(wanted, fetched, strict=True):
        if isinstance(local, SkippedFile):
            target.skipped.append(local)
        else:
            _place(target, file, local)
    for target in targets:
        if target.written or target.kept:
            _remove_outdated(target)
            description = _describe(run, source, target)
            write_whole(target.directory / DESCRIPTION, description.encode("utf-8"))
    for target in targets:
        lost = next((files for one, files in manifests if one.id == target.artifact.id), ())
        if isinstance(lost, LostFiles):
            target.skipped.append(SkippedFile("manifest", lost.reason))
    return Downloads(run, tuple(targets), missing)


def _choose(
    run: RunRecord, logged: Iterable[ArtifactRef], roles: Sequence[Role]
) -> tuple[list[ArtifactRef], tuple[Role, ...]]:
    """The newest version of each artifact with a wanted role, and the roles without one."""
    newest: dict[tuple[str, Role | None], ArtifactRef] = {}
    for one in logged:
        if one.type not in {*INTERNAL_TYPES, RUN_TABLE} and not one.unread:
            newest[one.name, one.role or artifact_role(one.name, run.id)] = one
    chosen = [one for (_, role), one in newest.items() if not roles or role in roles]
    found = {role for _, role in newest}
    missing = tuple(role for role in dict.fromkeys(roles) if role not in found)
    if not chosen:
        asked = f"no {' and no '.join(missing)} artifact" if missing else "no artifacts"
        logged_names = ", ".join(dict.fromkeys(name for name, _ in newest)) or "nothing"
        raise NotFoundError(f"run {run.name} logged {asked}", f"It logged: {logged_names}")
    return chosen, missing


def _places(
    run: RunRecord, manifests: Iterable[tuple[ArtifactRef, Sequence[ArtifactFile]]]
) -> list[tuple[ArtifactRef, list[_Logged]]]:
    """Group what gets one directory: each artifact, and plain run files of one role."""
    places: dict[str, tuple[ArtifactRef, list[_Logged]]] = {}
    for artifact, files in manifests:
        whole = artifact
        if artifact.kind == "run-files":
            name = f"run-{run.id}-{artifact.role}"
            whole = replace(artifact, id=name, name=name, digest="")
        place = places.setdefault(whole.id, (whole, []))
        place[1].extend((artifact, file) for file in files)
    return list(places.values())


def _own_name(run: RunRecord, artifact: ArtifactRef, root: Path) -> str:
    """Name of an artifact's directory, with the run's id where another run's has that name: not all
    trackers have the run in the names of artifacts."""
    try:
        found = json.loads((root / artifact.name / DESCRIPTION).read_text(encoding="utf-8"))
        other = found["run"]["id"] != run.id
    except (OSError, ValueError, KeyError, TypeError):
        other = False
    return f"{artifact.name}-{run.id}" if other else artifact.name


def _prepare(artifact: ArtifactRef, files: list[_Logged], root: Path, name: str) -> Download:
    """Sort the files of an artifact into wanted, kept and refused."""
    target = Download(artifact, files, root / name)
    refusal = _refuse_component(name)
    for item in files:
        path = item[1].path
        reason = f"artifact name {refusal}" if refusal else refuse_path(path)
        reason = reason or _refuse_links(root, target.directory / path)
        if reason:
            target.skipped.append(SkippedFile(path, reason))
        elif _is_there(target.directory / path, item[1]):
            target.kept.append(item[1])
        else:
            target.wanted.append(item)
    return target


def refuse_path(path: str) -> str:
    """Why a manifest path must not be written below a directory, empty if it may be."""
    if path.startswith(("/", "\\")) or _DRIVE.match(path):
        return "the path is absolute"
    if path.casefold() == DESCRIPTION:
        return "the name is taken by the file that describes the directory"
    return next(filter(None, map(_refuse_component, path.split("/"))), "")


def _refuse_component(name: str) -> str:
    if name in {"", ".", ".."} or "/" in name or "\\" in name or _DRIVE.match(name):
        return "leaves the directory"
    if not name.isprintable():
        return "holds control characters"
    return ""


def _refuse_links(root: Path, path: Path) -> str:
    """A symlink between `root` and the file would lead elsewhere."""
    for folder in path.relative_to(root).parents:
        if folder != Path() and (root / folder).is_symlink():
            return f"{root / folder} is a symlink; remove it, or choose another {argument('root')}"
    return ""


def _is_there(path: Path, file: ArtifactFile) -> bool:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
            return False
        return file_digest(path, file.checksum)
    except (OSError, ValueError):
        return False


def _place(target: Download, file: ArtifactFile, local: Path) -> None:
    """Copy a fetched file into the directory and check the bytes that were written."""
    path = target.directory / file.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        digest, expected = hasher_for(file.checksum)
        with local.open("rb") as source, whole_file(path) as copy:
            for chunk in chunks(source):
                digest.update(chunk)
                copy.write(chunk)
            if expected not in {"", base64.b64encode(digest.digest()).decode()}:
                raise ValueError(_WRONG_BYTES)  # noqa: TRY301 - leaves whole_file empty-handed
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise  # the others would not fit either
        reason = f"cannot be written: {error.strerror} ({error.filename2 or error.filename})"
        target.skipped.append(SkippedFile(file.path, reason))
    except ValueError as error:  # wrong bytes, or a digest of an unknown kind
        target.skipped.append(SkippedFile(file.path, str(error)))
    else:
        target.written.append(file)


def _remove_outdated(target: Download) -> None:
    """Remove what an earlier version left, so that no one loads a mixture of two. Only files that
    the directory's description names and that are still as it says."""
    try:
        earlier = json.loads((target.directory / DESCRIPTION).read_text(encoding="utf-8"))["files"]
        files = [ArtifactFile(item["path"], item["size"], item["digest"]) for item in earlier]
    except (OSError, ValueError, KeyError, TypeError):
        return
    current = {file.path for _, file in target.files}
    for file in files:
        path = target.directory / str(file.path)
        outdated = isinstance(file.path, str) and file.path not in current
        refused = not outdated or refuse_path(file.path) or _refuse_links(target.directory, path)
        if not refused and _is_there(path, file):
            path.unlink()


def _describe(run: RunRecord, source: RunSource, target: Download) -> str:
    artifact = target.artifact
    present = {file.path for file in (*target.written, *target.kept)}
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "run": run.about(),
        "source": source.description,
        "artifact": artifact.name,
        **{name: getattr(artifact, name) for name in ("type", "role", "version", "digest")},
        "complete": not target.skipped,
        "files": [
            {"path": file.path, "size": file.size, "digest": file.digest}
            for _, file in target.files
            if file.path in present
        ],
        "missing": [{"path": item.path, "reason": item.reason} for item in target.skipped],
    }
    return to_json(document)

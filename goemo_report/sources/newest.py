"""Newest artifact of each role, and what there is to say of its files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from goemo_report.contract import (
    ARTIFACTS,
    PREDICTIONS_FOLDER,
    SPLIT_NAMES,
    Role,
    Split,
    artifact_role,
)
from goemo_report.formats.sniff import has_table_ending, stem
from goemo_report.formats.wording import listed
from goemo_report.sources.model import ArtifactFile, ArtifactRef, LostFiles, RunRecord

INTERNAL_TYPES: Final = frozenset({"code", "job", "wandb-history", "wandb-events"})
"""Types of artifacts that the client logs by itself."""
RUN_TABLE: Final = "run_table"
"""Type of the artifacts that the client makes of each `wandb.Table` that is logged."""
FOLDER: Final = "files"
"""Type of what a tracker without artifacts keeps in a folder."""
PREDICTIONS: Final[tuple[Role, ...]] = ("val-predictions", "test-predictions")
"""Roles of predictions."""
_CONFIG_LIMIT: Final = 1 << 20  # bytes; a checkpoint's config.json has a few kilobytes
_SPLIT_WORDS: Final[dict[str, Role]] = {
    **dict.fromkeys(SPLIT_NAMES["test"], "test-predictions"),
    **dict.fromkeys(SPLIT_NAMES["val"], "val-predictions"),
}
_GLUED: Final = re.compile(
    r"(?:.*(?<!la)(?<!con)(test)|.*(?<!e)(?<!ter)(?<!pro)(val(?:id(?:ation)?)?)|.*(dev)|(eval))pred.*"
    r"|(?:.*pred(?:iction)?s?)?(test|val(?:id(?:ation)?)?|dev|eval)(?:set|split)?"
)
"""Words in one: a split before or after `pred`, but for latest, retrieval, interval and so on."""


@dataclass(frozen=True, eq=False, slots=True)
class LoggedArtifact:
    """The newest artifact of one role, with its files."""

    reference: ArtifactRef
    files: tuple[ArtifactFile, ...]

    @property
    def is_offline(self) -> bool:
        """Whether it is an artifact that was not uploaded."""
        return self.reference.kind == "artifact" and self.reference.is_offline

    @property
    def paths(self) -> frozenset[str]:
        """Paths of its files."""
        return frozenset(file.path for file in self.files)

    @property
    def folder(self) -> str:
        """Where in the artifact a checkpoint lies, "" for the top."""
        return checkpoint_folder(self.files) or ""

    def file(self, role: Role) -> ArtifactFile | None:
        """The one file that is read; of files that a user named, whatever it is called."""
        if self.reference.kind == "file":
            return next(iter(self.files), None)
        return file_of(role, self.files)

    @property
    def checkpoint_paths(self) -> frozenset[str]:
        """Paths of a checkpoint's files below its folder."""
        folder = self.folder
        return frozenset(path[len(folder) :] for path in self.paths if path.startswith(folder))


def newest(run: RunRecord, references: Sequence[ArtifactRef], role: Role) -> ArtifactRef | None:
    """The newest artifact with a role; plain run files only where there is no artifact.

    `references` are what a source says that the run logged, the newest last.
    """
    fitting = [reference for reference in references if role_of(reference, run) == role]
    fitting.sort(key=lambda one: (one.kind == "artifact") + (one.type != RUN_TABLE))
    return fitting[-1] if fitting else None


def role_of(reference: ArtifactRef, run: RunRecord) -> Role | None:
    """The role that an artifact's name says; of a logged `wandb.Table` its key, as W&B writes it
    with only letters, digits and _.-: `run-abc123-testpredictions`."""
    if reference.unread:
        return None
    known = reference.role or artifact_role(reference.name, run.id)
    if known or reference.type != RUN_TABLE:
        return known
    key = reference.name.rsplit("/", 1)[-1].removeprefix(f"run-{run.id}-").lower()
    if "pred" not in key:
        return None
    return split_role(key) or "test-predictions"


def split_role(name: str) -> Role | None:
    """The role of predictions of the split that a word of a name says; None where none does.

    Of a path the last part with such a word decides. Words may be glued, as W&B writes table keys:
    `testpredictions`, `predsval`. `eval` is validation, as in metrics, if nothing else is said.
    """
    for part in reversed(name.lower().split("/")):
        found = filter(None, map(_GLUED.fullmatch, re.split(r"[^a-z]+", part)))
        words = [one[one.lastindex or 0] for one in found]
        known = [_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS]
        if known or "eval" in words:
            return known[0] if known else "val-predictions"
    return None


def checkpoint_folder(files: Sequence[ArtifactFile]) -> str | None:
    """Where in an artifact the checkpoint lies: "" or a path with "/" at its end, that of the
    topmost config.json. None where there is none."""
    configs = [file.path for file in files if file.path.rsplit("/", 1)[-1] == "config.json"]
    if not configs:
        return None
    return min(configs, key=lambda path: (path.count("/"), path)).removesuffix("config.json")


def file_of(role: Role, files: Sequence[ArtifactFile]) -> ArtifactFile | None:
    """The one file of an artifact that is read; of a checkpoint a config.json of sane size."""
    if role in PREDICTIONS:
        return prediction_file(files, "val" if role == "val-predictions" else "test")
    if role == "checkpoint":
        folder = checkpoint_folder(files)
        configs = [] if folder is None else [f for f in files if f.path == f"{folder}config.json"]
        return next((file for file in configs if file.size <= _CONFIG_LIMIT), None)
    tables = [file for file in files if may_be_predictions(file.path)]
    exact = [file for file in tables if file.path == ARTIFACTS[role].contents[0]]
    return next(iter(exact or tables), None)


def prediction_file(files: Sequence[ArtifactFile], split: Split) -> ArtifactFile | None:
    """The prediction table among the files of an artifact, None where there is none.

    The guide's own name first, then one that names the split, then the only one. A file that is all
    there is needs no telling name.
    """
    fits = _is_table if len(files) == 1 else may_be_predictions
    tables = sorted((file for file in files if fits(file.path)), key=lambda file: file.path)
    wanted = f"{split}_predictions"
    for file in tables:
        if stem(file.path) == wanted:
            return file
    named = [file for file in tables if split in file.path.rsplit("/", 1)[-1].lower()]
    if named:
        return named[0]
    return tables[0] if len(tables) == 1 else None


def holds_no(what: str, artifact: ArtifactRef, files: Sequence[ArtifactFile]) -> str:
    """Say that an artifact lacks a file; references and lost manifests may hide it."""
    if isinstance(files, LostFiles):
        return files.reason
    references = [file.reference for file in files if file.reference]
    if references:
        return (
            f"{artifact.qualified_name} is by reference ({listed(references, 2)}): no {what} in it"
        )
    return f"{artifact.qualified_name} holds no {what}"


# --- Files that may be predictions ------------------------------------------------------


def may_be_predictions(path: str) -> bool:
    """Whether a file of a run may be a prediction table, by its name: of JSON those that say so,
    as there is much other JSON, and no plain text."""
    low = path.rsplit("/", 1)[-1].lower()
    if ".json" in low and ".jsonl" not in low:
        return "pred" in low or low.endswith(".table.json")
    return _is_table(low)


def _is_table(path: str) -> bool:
    low = path.rsplit("/", 1)[-1].lower()
    return has_table_ending(low) and ".txt" not in low


def predictions_role(path: str) -> Role | None:
    """Role of a run file such as `predictions/test_predictions.csv`, None if it has none."""
    if not path.startswith(PREDICTIONS_FOLDER) or not may_be_predictions(path):
        return None
    return split_role(path.removeprefix(PREDICTIONS_FOLDER))


def run_file_reference(
    run_id: str, path: str, place: str, digest: str, size: int, *, is_offline: bool = False
) -> ArtifactRef:
    """The reference to a prediction file that a run kept as it is; `place` is its id."""
    role = predictions_role(path)
    return ArtifactRef(
        place, path, ARTIFACTS[role].type if role else "", None, digest, size, role, run_id,
        kind="run-files", is_offline=is_offline,
    )  # fmt: skip


def ordered_predictions(paths: Iterable[str]) -> list[str]:
    """The prediction files among a run's files, in natural order (`epoch_2` before `epoch_10`);
    names without a number come last."""
    return sorted((path for path in paths if predictions_role(path)), key=_natural_order)


def _natural_order(path: str) -> tuple[bool, list[tuple[int, str]]]:
    numbers = re.findall(r"\d+|\D+", path)
    keys = [(int(part), "") if part.isdecimal() else (-1, part) for part in numbers]
    return not any(part.isdecimal() for part in numbers), keys

"""Newest artifact of each role, and what there is to say of its files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from goemo_report.contract import PREDICTIONS_FOLDER, Role, artifact_role
from goemo_report.formats.wording import listed
from goemo_report.sources.model import ArtifactFile, ArtifactRef, LostFiles, RunRecord

INTERNAL_TYPES: Final = frozenset({"code", "job", "wandb-history", "wandb-events"})
"""Types of artifacts that the client logs by itself."""
_CSV_ENDINGS: Final = (".csv", ".csv.gz")
_SPLIT_WORDS: Final[dict[str, Role]] = {
    "test": "test-predictions",
    "val": "val-predictions",
    "valid": "val-predictions",
    "validation": "val-predictions",
    "dev": "val-predictions",
}


def newest(run: RunRecord, references: Sequence[ArtifactRef], role: Role) -> ArtifactRef | None:
    """The newest artifact with a role; plain run files only where there is no artifact.

    `references` are what a source says that the run logged, the newest last.
    """
    fitting = [
        reference
        for reference in references
        if (reference.role or artifact_role(reference.name, run.id)) == role
    ]
    fitting.sort(key=lambda reference: reference.kind == "artifact")
    return fitting[-1] if fitting else None


def checkpoint_folder(files: Sequence[ArtifactFile]) -> str | None:
    """Where in an artifact the checkpoint lies: "" or a path with "/" at its end, that of the
    topmost config.json. None where there is none."""
    configs = [file.path for file in files if file.path.rsplit("/", 1)[-1] == "config.json"]
    if not configs:
        return None
    return min(configs, key=lambda path: (path.count("/"), path)).removesuffix("config.json")


def holds_no(what: str, artifact: ArtifactRef, files: Sequence[ArtifactFile]) -> str:
    """That an artifact lacks a file, as far as is known: references and lost manifests hide it."""
    if isinstance(files, LostFiles):
        return files.reason
    references = [file.reference for file in files if file.reference]
    if references:
        return (
            f"{artifact.qualified_name} is by reference ({listed(references, 2)}): no {what} in it"
        )
    return f"{artifact.qualified_name} holds no {what}"


# --- Predictions that a run kept as plain files ---------------------------------------


def predictions_role(path: str) -> Role | None:
    """Role of a run file such as `predictions/test_predictions.csv`, None if it has none."""
    if not path.startswith(PREDICTIONS_FOLDER) or not path.lower().endswith(_CSV_ENDINGS):
        return None
    words = re.split(r"[^a-z]+", path.removeprefix(PREDICTIONS_FOLDER).lower())
    return next((_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS), None)


def ordered_predictions(paths: Iterable[str]) -> list[str]:
    """The prediction files among a run's files, in natural order (`epoch_2` before `epoch_10`);
    names without a number come last."""
    return sorted((path for path in paths if predictions_role(path)), key=_natural_order)


def _natural_order(path: str) -> tuple[bool, list[tuple[int, str]]]:
    numbers = re.findall(r"\d+|\D+", path)
    keys = [(int(part), "") if part.isdecimal() else (-1, part) for part in numbers]
    return not any(part.isdecimal() for part in numbers), keys

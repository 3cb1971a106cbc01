"""Which of the things that a run logged count: one answer for every command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from goemo_report.contract import Role, artifact_role
from goemo_report.sources.model import ArtifactFile, ArtifactRef, RunRecord

INTERNAL_TYPES: Final = frozenset({"code", "job", "wandb-history", "wandb-events"})
"""Types of artifacts that the client logs by itself."""


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

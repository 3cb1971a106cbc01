"""Where runs come from: the W&B API or offline run logs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from goemo_report.contract import PROJECT
from goemo_report.sources.base import RunSource

__all__ = ["RunSource", "open_source"]


def open_source(
    *,
    entity: str | None = None,
    project: str | None = None,
    wandb_dir: Path | None = None,
    references: Sequence[str] = (),
) -> RunSource:
    """The source that the settings ask for; nothing is read before it is needed.

    With `wandb_dir` the offline runs below it, limited to `project` if that is given;
    entities are W&B's and play no part there. Without it the W&B API, unless every one of
    `references` is a run log or run directory on disk: then those are read in place.
    """
    from goemo_report.sources.references import parse_reference

    if wandb_dir is None and references:
        paths = [parse_reference(reference).path for reference in references]
        if all(path is not None for path in paths):
            wandb_dir = paths[0]
    if wandb_dir is not None:
        from goemo_report.sources.logs import LogSource

        return LogSource(wandb_dir, project=project)
    from goemo_report.sources.api import ApiSource

    return ApiSource(entity=entity, project=project or PROJECT)

"""Where runs come from: the W&B API or offline run logs."""

from __future__ import annotations

from pathlib import Path

from goemo_report.contract import PROJECT
from goemo_report.sources.base import RunSource

__all__ = ["RunSource", "open_source"]


def open_source(
    *,
    entity: str | None = None,
    project: str | None = None,
    wandb_dir: Path | None = None,
) -> RunSource:
    """The source that the settings ask for; nothing is read before it is needed.

    With `wandb_dir` the offline runs below it, limited to `project` if that is given;
    entities are W&B's and play no part there. Without it the W&B API.
    """
    if wandb_dir is not None:
        from goemo_report.sources.offline_logs.source import LogSource

        return LogSource(wandb_dir, project=project)
    from goemo_report.sources.wandb_api.source import ApiSource

    return ApiSource(entity=entity, project=project or PROJECT)

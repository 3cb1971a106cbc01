"""Runs from offline run logs on disk."""

from __future__ import annotations

from goemo_report.sources.base import RunSource
from goemo_report.sources.offline_logs.folders import on_disk


def claim(reference: str) -> tuple[RunSource | None, str] | None:
    """The logs that a RUN argument names by a path; results of a run whose log is elsewhere name
    its id."""
    here = on_disk(reference)
    if here is None or here.path is None:
        return None if here is None else (None, here.run)
    from goemo_report.sources.offline_logs.source import LogSource

    place = here.path.parent if here.path.is_file() else here.path
    return LogSource(place, results=True), reference

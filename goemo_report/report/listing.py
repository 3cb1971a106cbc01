"""Which runs were meant, and the JSON shapes of runs, artifacts and metrics.

JSON has no NaN and no infinities. What a run logged keeps them as the strings "NaN",
"Infinity" and "-Infinity", as W&B itself writes them; a recomputed metric that is not
defined is null.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from goemo_report.errors import NotFoundError
from goemo_report.formats.csv_table import obeyed_by_none
from goemo_report.sources.base import RunSource
from goemo_report.sources.model import (
    ArtifactFile,
    ArtifactRef,
    History,
    Listing,
    RunQuery,
    RunRecord,
)

if TYPE_CHECKING:
    from goemo_report.metrics.scores import Scores  # numpy is not needed to list runs

SCHEMA_VERSION: Final = 1
_MOST_TAGS_NAMED: Final = 20
_FORMULA: Final = ("=", "+", "-", "@")

# --- Which runs -----------------------------------------------------------------------


def find_runs(source: RunSource, references: Sequence[str], query: RunQuery) -> Listing:
    """The runs named, in the order named, and those that match; no run twice.

    Without references every run that matches. Raises NotFoundError when a reference names
    no run, when no run fulfils the conditions, and when there are no runs at all.
    """
    found = {run.id: run for run in (source.find_run(reference) for reference in references)}
    if references and query == RunQuery():
        return Listing(tuple(found.values()))
    listed = source.list_runs(query)
    if not listed.runs:
        raise _nothing_matches(source, query, listed)
    for run in listed.runs:
        found.setdefault(run.id, run)
    return Listing(tuple(found.values()), listed.skipped)


def _nothing_matches(source: RunSource, query: RunQuery, listed: Listing) -> NotFoundError:
    if query != RunQuery():
        listed = source.list_runs(RunQuery())
    runs, where = listed.runs, source.description
    if not runs:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in listed.skipped)
        return NotFoundError(
            f"no run in {where} can be read ({reasons})" if reasons else f"no runs in {where}",
            "Check --wandb-dir, --project and --entity",
        )
    tags = Counter(tag for run in runs for tag in run.tags)
    conditions = _conditions(query)
    for wanted in query.tags:
        if wanted not in tags:
            return NotFoundError(
                f"no run in {where} has the tag {wanted!r}", _meant(wanted, tags) + _existing(tags)
            )
    if query.any_tags and not tags.keys() & set(query.any_tags):
        meant = _meant(query.any_tags[0], tags)
        return NotFoundError(f"no run in {where} matches {conditions}", meant + _existing(tags))
    return NotFoundError(
        f"no run in {where} matches {conditions}",
        "`goemo-report runs` lists the runs with their tags, states and models",
    )


def _conditions(query: RunQuery) -> str:
    named = (
        ("tag", query.tags),
        ("any-tag", query.any_tags),
        ("not-tag", query.not_tags),
        ("state", query.states),
        ("model", query.models),
    )
    return " ".join(f"--{option} {value}" for option, values in named for value in values)


def _meant(wanted: str, tags: Counter[str]) -> str:
    """A question after the tags most like a mistyped one, empty where none is like it."""
    import difflib

    close = difflib.get_close_matches(wanted, tags, n=2)
    return f"Did you mean {' or '.join(map(repr, close))}? " if close else ""


def _existing(tags: Counter[str]) -> str:
    if not tags:
        return "No run has any tag"
    named = [f"{tag} ({count})" for tag, count in tags.most_common(_MOST_TAGS_NAMED)]
    more = len(tags) - len(named)
    return f"Tags that exist: {', '.join(named)}{f' and {more} more' if more else ''}"


# --- JSON -----------------------------------------------------------------------------


def jsonable(value: Any) -> Any:
    """A logged value as JSON can hold it; what it cannot hold comes back as text."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        if isinstance(value, float) and not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return value
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, date):
        return timestamp(value) if isinstance(value, datetime) else value.isoformat()
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return jsonable(value.tolist())
    return str(value)


def timestamp(at: datetime | None) -> str | None:
    """ISO 8601 in UTC, as W&B writes times; a time without a zone is taken as UTC."""
    if at is None:
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.isoformat().replace("+00:00", "Z")


def to_json(document: Mapping[str, Any]) -> str:
    """One JSON document, ending in a line break. Bare NaN or Infinity is an error.

    GitHub Actions obeys `##[...]` anywhere in what a job prints: it is written otherwise.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return text.replace("##[", "\\u0023#[") + "\n"


def run_document(run: RunRecord) -> dict[str, Any]:
    """One run, as `runs` and `show` write it."""
    return {
        "id": run.id,
        "name": run.name,
        "entity": run.entity,
        "project": run.project,
        "url": run.url,
        "state": run.state,
        "created_at": timestamp(run.created_at),
        "tags": list(run.tags),
        "config": jsonable(run.config),
        "summary": jsonable(run.summary),
    }


def artifact_document(artifact: ArtifactRef, files: Iterable[ArtifactFile]) -> dict[str, Any]:
    """One version of an artifact with its files."""
    return {
        "name": artifact.name,
        "type": artifact.type,
        "version": artifact.version,
        "digest": artifact.digest,
        "size": artifact.size,
        "metadata": jsonable(artifact.metadata),
        "files": [{"path": file.path, "size": file.size, "digest": file.digest} for file in files],
    }


def runs_document(runs: Iterable[RunRecord]) -> dict[str, Any]:
    """What `runs --format json` prints."""
    return {"schema_version": SCHEMA_VERSION, "runs": [run_document(run) for run in runs]}


def show_document(
    run: RunRecord,
    history: History,
    artifacts: Iterable[tuple[ArtifactRef, Iterable[ArtifactFile]]],
) -> dict[str, Any]:
    """What `show --format json` prints; the history is complete, one object a step."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run": run_document(run),
        "history": [jsonable(row) for row in history],
        "artifacts": [artifact_document(artifact, files) for artifact, files in artifacts],
    }


def metrics_document(scores: Scores) -> dict[str, Any]:
    """What `metrics --format json` prints; a metric that is not defined is null."""
    from goemo_report.metrics.scores import per_class_rows

    return {
        "schema_version": SCHEMA_VERSION,
        "rows": scores.rows,
        "labels": list(scores.labels),
        "threshold": jsonable(scores.threshold),
        "overall": dict(scores.overall),
        "per_class": per_class_rows(scores),
    }


# --- CSV ------------------------------------------------------------------------------


def runs_csv(runs: Sequence[RunRecord]) -> str:
    """One line a run: its fields, then `config.KEY` and `summary.KEY` of every key in use."""
    fields = ("id", "name", "entity", "project", "url", "state", "created_at")
    config = list(dict.fromkeys(key for run in runs for key in run.config))
    summary = list(dict.fromkeys(key for run in runs for key in run.summary))
    header = [*fields, "tags", *(f"config.{k}" for k in config), *(f"summary.{k}" for k in summary)]
    rows = []
    for run in runs:
        document = run_document(run)
        rows.append(
            [document[field] for field in fields]
            + [",".join(run.tags)]
            + [document["config"].get(key) for key in config]
            + [document["summary"].get(key) for key in summary]
        )
    return to_csv(header, rows)


def to_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """CSV with line feeds; None is empty, lists and mappings are JSON."""
    lines = [",".join(map(_field, header)), *(",".join(map(_field, row)) for row in rows)]
    return "\n".join(lines) + "\n"


def _field(value: Any) -> str:
    if value is None:
        return ""
    is_nested = isinstance(value, list | dict)
    text = obeyed_by_none(json.dumps(value, ensure_ascii=False) if is_nested else str(value))
    if isinstance(value, str) and text.startswith(_FORMULA) and text != "-Infinity":
        text = f"'{text}"  # a spreadsheet would run it
    if text != text.strip() or any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'  # csv.writer leaves a lone \\r bare
    return text


def per_class_csv(scores: Scores) -> str:
    """The guide's per-class columns first, then what is more; what is not defined is empty."""
    from goemo_report.metrics.scores import per_class_rows

    rows = per_class_rows(scores)
    return to_csv(list(rows[0]), [list(row.values()) for row in rows])

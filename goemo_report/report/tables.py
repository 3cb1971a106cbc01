"""Runs, one run and its metrics: tables for people, documents for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from goemo_report.analysis.configs import (
    SEED_KEYS,
    config_differences,
    hide_secrets,
    is_environment,
    without_secrets,
)
from goemo_report.analysis.epochs import METRICS, spread, training
from goemo_report.contract import PER_CLASS_STATISTICS, per_class_metric
from goemo_report.formats.json_text import SCHEMA_VERSION, jsonable, timestamp
from goemo_report.formats.table import to_csv
from goemo_report.formats.wording import plural
from goemo_report.labels import LabelSet, logged_set
from goemo_report.metrics.table import (
    AVERAGES,
    CLASS_METRICS,
    HEADLINE,
    OVERALL,
    Metric,
    canonical_metric,
    guides_name,
)
from goemo_report.report.document import Cell, Column, Table, Value
from goemo_report.sources.conditions import Key
from goemo_report.sources.model import (
    ArtifactFile,
    ArtifactRef,
    History,
    RunRecord,
    as_number,
    summarised,
)

if TYPE_CHECKING:
    from goemo_report.metrics.scores import Scores  # numpy is not needed to list runs

_HEADLINES: Final = {
    f"test/{guides_name(key)}": OVERALL[key].title for key in (HEADLINE, "micro_f1", "micro_auc")
}
_CLASS_SCORES: Final = ("f1_score", "precision", "recall")
_MOST_DIFFERENCES: Final = 3
"""Config keys named to tell runs of one name apart."""


def runs_table(runs: Sequence[RunRecord], keys: Sequence[Key] | None = None) -> Table:
    """One row a run, with the metrics that it logged itself, or with the `keys` asked for.

    Where runs share a name, a column says by which config they differ.
    """
    columns: tuple[Column, ...] = (Column("name", "name"), Column("id", "id", kind="code"))
    if keys is not None:
        runs = list(map(hide_secrets, runs))
        values = [[key.scalar(run) for run in runs] for key in keys]
        columns += tuple(map(_key_column, keys, values))
        shown = ((run.name, run.id, *own) for run, *own in zip(runs, *values, strict=True))
        return Table("runs", "", columns, tuple(shown))
    apart = told_apart(runs)
    columns += (
        *((Column("differs", "differs by"),) if apart else ()),
        Column("state", "state"),
        Column("tags", "tags"),
        Column("created_at", "created", kind="date"),
        Column("model", "model"),
        *(Column(key, title, kind="number") for key, title in _HEADLINES.items()),
    )
    rows: list[tuple[Value | Cell, ...]] = []
    for run in runs:
        logged = {canonical_metric(key): value for key, value in run.summary.items()}
        headlines = [as_number(logged.get(key)) for key in _HEADLINES]
        state = Cell(run.state, mark=None if run.state == "finished" else "warning")
        told = (apart.get(run.id, ""),) if apart else ()
        about = (state, ", ".join(run.tags), run.created_at, run.model_name)
        rows.append((run.name, run.id, *told, *about, *headlines))
    return Table("runs", "", columns, tuple(rows))


def _key_column(key: Key, values: Sequence[Any]) -> Column:
    """Four digits for what looks like a metric, any number as it is for the rest."""
    present = [value for value in values if value is not None]
    metric = all(isinstance(v, float) and (v == 0 or abs(v) >= 1e-3) for v in present)
    return Column(str(key), str(key), "number" if metric else "text", digits=4)


def told_apart(runs: Sequence[RunRecord]) -> dict[str, str]:
    """By id, the config by which a run differs from others of its name: the seed first."""
    named: dict[str, list[RunRecord]] = {}
    for run in runs:
        named.setdefault(run.name, []).append(run)
    found: dict[str, str] = {}
    for same in named.values():
        different = config_differences(same) if len(same) > 1 else {}
        keys = [key for key in different if not is_environment(key)] or list(different)
        keys.sort(key=lambda key: key not in SEED_KEYS)
        for at, run in enumerate(same):
            told = {key: different[key][at] for key in keys[:_MOST_DIFFERENCES]}
            shown = without_secrets("", told)
            words = [f"{key} {_shown(value)}" for key, value in shown.items() if value is not None]
            found |= {run.id: ", ".join(words)} if words else {}
    return found


def run_tables(
    run: RunRecord,
    history: History,
    artifacts: Iterable[tuple[ArtifactRef, Sequence[ArtifactFile]]],
) -> list[Table]:
    """What `show` prints for people."""
    run = hide_secrets(run)
    shown = [
        about_table(run),
        mapping_table("Config", run.config),
        *summary_tables(run.summary),
        history_table(history),
        artifacts_table(artifacts),
    ]
    return [table for table in shown if table.rows]


def about_table(run: RunRecord) -> Table:
    """Describe a run, a line a fact, without a head."""
    facts = {
        "run": run.name,
        "id": run.id,
        "path": run.path,
        "state": run.state,
        "tags": ", ".join(run.tags),
        "created": timestamp(run.created_at),
        "model": run.model_name,
        "group": run.group,
        "job type": run.job_type,
        "sweep": run.sweep,
        "description": run.description,
        "notes": run.notes,
        "url": run.url,
        "read from": run.origin,
    }
    rows = tuple((name, value) for name, value in facts.items() if value)
    return Table("about", "", (Column("fact", ""), Column("value", "")), rows)


def mapping_table(title: str, values: Mapping[str, Any]) -> Table:
    """Keys and values, nested values as JSON; what W&B's client keeps for itself is left out."""
    own = sorted(item for item in values.items() if item[0] != "_wandb")
    rows = tuple((str(key), _shown(value)) for key, value in own)
    return Table(title, title, (Column("key", "key"), Column("value", "value")), rows)


def summary_tables(summary: Mapping[str, Any]) -> tuple[Table, Table]:
    """Tabulate what a run logged last: overall metrics, and per-class ones by label."""
    label_set = logged_set(summary) or LabelSet.of(())
    keys = {
        (label, statistic): per_class_metric(statistic, label)
        for label in label_set.labels
        for statistic in PER_CLASS_STATISTICS
    }
    overall = {key: value for key, value in summary.items() if key not in keys.values()}
    columns = (
        Column("emotion", label_set.noun),
        *(
            Column(name, name, kind="integer" if kind is int else "number")
            for name, kind in PER_CLASS_STATISTICS.items()
        ),
    )
    rows = [
        (label, *(as_number(summary.get(keys[label, name])) for name in PER_CLASS_STATISTICS))
        for label in label_set.labels
    ]
    title = f"Test split by {label_set.noun}, as logged"
    return mapping_table("Summary", overall), Table("per-class", title, columns, tuple(rows))


def artifacts_table(artifacts: Iterable[tuple[ArtifactRef, Sequence[ArtifactFile]]]) -> Table:
    """One row an artifact and, below it, one row a file."""
    columns = (
        Column("name", "artifact and its files"),
        Column("type", "type"),
        Column("size", "size", kind="bytes"),
        Column("digest", "digest", kind="code"),
    )
    rows: list[tuple[Value | Cell, ...]] = []
    for artifact, files in artifacts:
        rows.append((artifact.qualified_name, artifact.type, artifact.size, artifact.digest))
        for file in files:
            place = f" at {file.reference}" if file.reference else ""
            rows.append((f"  {file.path}{place}", "", file.size, file.digest))
    return Table("artifacts", "Artifacts", columns, tuple(rows))


def history_table(history: History) -> Table:
    """The training metrics by epoch, or by step; what was logged once is in the summary."""
    found = training(history)
    kept = spread(tuple(found.rows.items()))
    keys = [key for key in METRICS if any(row.get(key) is not None for _, row in kept)]
    columns = (
        Column(found.unit, found.unit, "integer"),
        *(Column(key, key, "number", digits=4) for key in keys),
    )
    rows = tuple((int(at), *(as_number(row.get(key)) for key in keys)) for at, row in kept)
    number, steps = plural(len(found.rows), found.unit), plural(len(history), "step")
    some = f"{len(kept)} of " if len(kept) < len(found.rows) else ""
    whole = "all " if len(history) > 1 else ""
    caption = f"{some}{number}; --format json has every value of {whole}{steps}"
    return Table("history", "History", columns, rows, caption=caption)


def class_metrics(scores: Scores) -> list[Metric]:
    """The metrics of classes that scores have, which without probabilities are fewer."""
    have = scores.has_probabilities
    return [one for one in CLASS_METRICS.values() if have or not one.needs_probabilities]


def per_class_table(scores: Scores) -> Table:
    """The guide's per-class columns, then the other metrics."""
    from goemo_report.metrics.scores import per_class_rows

    columns = (
        Column("emotion", scores.label_set.noun),
        *(Column(key, key.replace("f1_score", "F1"), kind="number") for key in _CLASS_SCORES),
        *(Column(key, key, kind="integer") for key in ("support", "tp", "fp", "fn", "tn")),
        *(
            Column(metric.key, metric.title, kind="number")
            for metric in class_metrics(scores)
            if metric.key not in PER_CLASS_STATISTICS
        ),
    )
    rows = tuple(tuple(row[column.key] for column in columns) for row in per_class_rows(scores))
    return Table("per-class", "", columns, rows)


def overall_table(scores: Scores) -> Table:
    """Every overall metric, one row an average."""
    overall, shown = scores.overall, class_metrics(scores)
    rows = tuple(
        (average, *(overall.get(f"{average}_{metric.key}") for metric in shown))
        for average in AVERAGES
    )
    columns = (
        Column("average", "average"),
        *(Column(metric.key, metric.title, kind="number", digits=4) for metric in shown),
    )
    texts = ", ".join(
        f"{one.title} {overall[key]:.4f}"
        for key, one in OVERALL.items()
        if not one.metric.of_classes
    )
    cut = scores.cut
    rule = "labels as predicted" if cut is None else f"predicted at {_shown(cut)} or more"
    caption = f"{plural(scores.rows, 'text')}, {rule}; "
    return Table("overall", "", columns, rows, caption=caption + texts)


def _shown(value: Any) -> str:
    value, kind = summarised(value)
    if kind:
        return f"{_shown(value)} ({kind})"
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(jsonable(value), ensure_ascii=False)


# --- Documents ------------------------------------------------------------------------


def run_document(run: RunRecord) -> dict[str, Any]:
    """One run, as every JSON document has it."""
    run = hide_secrets(run)
    others = ("notes", "description", "group", "job_type", "sweep", "config")
    return {
        **run.about(),
        "state": run.state,
        "created_at": timestamp(run.created_at),
        "tags": list(run.tags),
        **{name: getattr(run, name) for name in others},
        "summary": {key: value for key, value in run.summary.items() if value is not None},
    }


def runs_document(runs: Iterable[RunRecord]) -> dict[str, Any]:
    """What `runs --format json` prints."""
    return {"schema_version": SCHEMA_VERSION, "runs": [run_document(run) for run in runs]}


def runs_csv(runs: Sequence[RunRecord], keys: Sequence[Key] | None = None) -> str:
    """One line a run: its fields, then `config.KEY` and `summary.KEY` of every key in use.

    With `keys`, its id, its name and these.
    """
    runs = list(map(hide_secrets, runs))
    if keys is not None:
        header = ["id", "name", *map(str, keys)]
        return to_csv([header, *([r.id, r.name, *(_field(k, r) for k in keys)] for r in runs)])
    fields = ("id", "name", "entity", "project", "url", "state", "created_at")
    config = dict.fromkeys(key for run in runs for key in run.config)
    summary = dict.fromkeys(key for run in runs for key in run.summary)
    rows: list[list[Any]] = [
        [*fields, "tags", *(f"config.{k}" for k in config), *(f"summary.{k}" for k in summary)]
    ]
    for run in runs:
        about = run_document(run)
        logged = (summarised(run.summary.get(key))[0] for key in summary)
        own = (about[field] for field in fields)
        rows.append([*own, ",".join(run.tags), *map(run.config.get, config), *logged])
    return to_csv(rows)


def _field(key: Key, run: RunRecord) -> Any:
    value = key.value(run)
    if isinstance(value, datetime):
        return timestamp(value)
    return ",".join(value) if isinstance(value, tuple) else value


def show_document(
    run: RunRecord,
    history: History,
    artifacts: Iterable[tuple[ArtifactRef, Iterable[ArtifactFile]]],
) -> dict[str, Any]:
    """What `show --format json` prints; the history is complete, one object a step."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run": run_document(run),
        "history": history,
        "artifacts": [
            artifact_document(artifact) | {"files": [_file_document(file) for file in files]}
            for artifact, files in artifacts
        ],
    }


def _file_document(file: ArtifactFile) -> dict[str, Any]:
    """A file of an artifact; `reference` is where W&B says it lies that does not hold it."""
    names = ("path", "size", "digest", *(["reference"] if file.reference else []))
    return {name: getattr(file, name) for name in names}


def artifact_document(artifact: ArtifactRef) -> dict[str, Any]:
    """One version of an artifact, without its files."""
    names = ("name", "type", "version", "digest", "size", "metadata", "aliases", "description")
    document = {name: getattr(artifact, name) for name in names}
    return document | {"metadata": without_secrets("", artifact.metadata)}


def per_class_csv(scores: Scores) -> str:
    """The guide's per-class columns first, then what is more; what is not defined is empty."""
    from goemo_report.metrics.scores import per_class_rows

    rows = per_class_rows(scores)
    return to_csv([list(rows[0]), *(list(row.values()) for row in rows)])

"""Runs, their scores and their differences as three Parquet tables, to be queried elsewhere.

Runs are read a batch at a time, so that as many as there are take no more memory than a few.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from goemo_report.analysis.compared_runs import ComparedRun
from goemo_report.api.arguments import Labels, check_split, chosen_labels
from goemo_report.api.best import best_logged
from goemo_report.api.progress import Bar
from goemo_report.comparison import Comparison
from goemo_report.comparison import compare as compare_results
from goemo_report.contract import Split
from goemo_report.errors import ArgumentError, DataError, NotFoundError, SourceError, require_extra
from goemo_report.formats.files import whole_file
from goemo_report.formats.wording import plural
from goemo_report.metrics.table import CLASS_METRICS, OVERALL_KEYS
from goemo_report.predictions import understood
from goemo_report.results import RunResult, load_results
from goemo_report.sources.base import readable
from goemo_report.sources.logged import as_number
from goemo_report.sources.model import Listing, RunRecord
from goemo_report.sources.resolve import with_run
from goemo_report.sources.store import cache_directory

if TYPE_CHECKING:
    import pyarrow as pa

    from goemo_report.api.runs import Runs

_BATCH: Final = 25
"""Runs whose predictions are in memory at once."""
_BOUNDS: Final = ("low", "high")
_TEST: Final = ("difference", "difference_low", "difference_high", "p", "p_adjusted", "verdict")
_MOST_KEYS: Final = 200  # of configs, each of which is a column


@dataclass(frozen=True, slots=True)
class ExportedTables:
    """The files that were written, with the number of rows of each, and what to know besides."""

    files: tuple[tuple[Path, int], ...]
    notes: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """A line a file."""
        for path, rows in self.files:
            yield f"{path}  ({plural(rows, 'row')})"


def export_tables(
    runs: Runs,
    path: Path,
    *,
    baseline: str | None = None,
    split: Split = "test",
    top: int = 100,
    labels: Labels = None,
) -> ExportedTables:
    """Write `NAME.parquet` (a row a run), `NAME-labels.parquet` (a row a run and label) and
    `NAME-differences.parquet` (a row a run, metric and label) of a path `NAME.parquet`.

    The `top` runs have intervals and differences, as `compare` makes them; the others have values.
    """
    check_split(split)
    require_extra("writing Parquet", "pyarrow", extra="tables")
    if path.suffix != ".parquet":
        raise ArgumentError(f"{path} does not end in .parquet", "Name the first of three tables")
    if not path.parent.is_dir():
        raise DataError(f"there is no directory {path.parent} for {path.name}", "Make it first")
    if not len(runs):
        raise NotFoundError("there are no runs to export", "Ask for other runs")
    choice = chosen_labels(labels)
    records, cut = best_logged(runs.records, top)
    source, listing = runs.source, readable(runs.source, Listing(records))
    if baseline is not None:
        source, listing, run = with_run(runs.choice, source, listing, baseline)
        baseline = run.id
    with Bar(runs.progress) as bar:
        best = load_results(source, listing.runs, progress=bar, reading=choice.reading)
        compared = compare_results(
            [one.changed(choice.on) for one in best],
            baseline=baseline,
            split=split,
            progress=bar,
            cache=cache_directory(),
        )
    judged = {run.id: run for run in compared.runs}
    keys = _config_keys(runs.records)
    columns = {
        "": _run_columns(keys), "-labels": _label_columns(), "-differences": _difference_columns()
    }  # fmt: skip
    names = {end: path.with_name(f"{path.stem}{end}.parquet") for end in columns}
    notes, done = (
        [*([cut] if cut else []), *understood(one for run in best for one in run.files)],
        0,
    )
    with Bar(runs.progress) as bar, ExitStack() as stack:
        tables = {end: stack.enter_context(_table(names[end], columns[end])) for end in columns}
        for start in range(0, len(runs), _BATCH):
            batch = runs.records[start : start + _BATCH]
            bar("scoring", start, len(runs))
            results = {}
            try:
                kept = readable(runs.source, Listing(batch))
                loaded = load_results(runs.source, kept.runs, [split], reading=choice.reading)
            except (NotFoundError, SourceError):  # none of these can be read or has predictions
                pass
            else:
                results = {one.id: one.changed(choice.on) for one in loaded}
            done += len(results)
            tables[""].write(_run_rows(batch, results, judged, keys, split))
            tables["-labels"].write(
                [row for one in results.values() for row in _label_rows(one, judged, split)]
            )
        tables["-differences"].write(list(_difference_rows(compared)))
        bar("scoring", len(runs), len(runs))
        files = tuple((name, tables[end].rows) for end, name in names.items())
    if done < len(runs):
        notes.append(f"{plural(len(runs) - done, 'run')} without {split} predictions: no scores")
    return ExportedTables(files, tuple(notes))


def _run_rows(
    batch: Sequence[RunRecord],
    results: Mapping[str, RunResult],
    judged: Mapping[str, ComparedRun],
    keys: Mapping[str, str],
    split: Split,
) -> list[dict[str, Any]]:
    """A row a run: what it is, its config, its overall metrics with what intervals there are."""
    rows = []
    for run in batch:
        row: dict[str, Any] = {name: getattr(run, name) for name in _ABOUT}
        row |= {"created_at": run.created_at, "model": run.model_name, "tags": list(run.tags)}
        row |= {f"config.{key}": _cell(run.config.get(key), kind) for key, kind in keys.items()}
        result, compared = results.get(run.id), judged.get(run.id)
        if result is not None:
            found = result.splits[split]
            row |= {"texts": found.rows, **found.scores.overall}
        for key in OVERALL_KEYS if compared is not None else ():
            row |= _bounds(key, compared.interval(key) if compared else None)
        rows.append(row)
    return rows


def _label_rows(
    result: RunResult, judged: Mapping[str, ComparedRun], split: Split
) -> Iterator[dict[str, Any]]:
    """A row a label, with the intervals that there are."""
    from goemo_report.metrics.scores import per_class_rows

    compared = judged.get(result.id)
    for scored in per_class_rows(result.splits[split].scores):
        row = {"run_id": result.id, "run": result.run.name, **scored}
        row["f1"] = row.pop("f1_score")
        for metric in CLASS_METRICS if compared is not None else ():
            bounds = compared.intervals.get(f"{metric}_{row['emotion']}") if compared else None
            row |= _bounds(metric, bounds)
        yield row


def _difference_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """A row a run, metric and label (none for overall metrics) against the baseline."""
    for run in comparison.runs:
        about = {"run_id": run.id, "run": run.record.name, "baseline_id": comparison.baseline.id}
        pairs: list[tuple[str, str | None, str]] = [(key, None, key) for key in OVERALL_KEYS]
        pairs += [(one, own, f"{one}_{own}") for own in run.labels for one in CLASS_METRICS]
        for metric, label, key in pairs:
            found = run.difference(key)
            if found is not None:
                values = (found.value, found.low, found.high, found.p, found.p_adjusted)
                row = dict(zip(_TEST, (*values, found.verdict), strict=True))
                yield {**about, "metric": metric, "emotion": label, **row}


def _bounds(key: str, interval: Any) -> dict[str, float]:
    if interval is None:
        return {}
    return dict(zip((f"{key}_{end}" for end in _BOUNDS), interval, strict=True))


# --- Parquet ----------------------------------------------------------------------------

_ABOUT: Final = ("id", "name", "entity", "project", "url", "state", "group", "sweep")
_COUNTS: Final = ("support", "tp", "fp", "fn", "tn", "predicted")


def _config_keys(records: Sequence[RunRecord]) -> dict[str, str]:
    """Keys of configs with the type of their column: int64 or double where every value is a number,
    bool, else string, nested values as JSON."""
    kinds: dict[str, set[str]] = {}
    for run in records:
        for key, value in run.config.items():
            if value is not None:
                kinds.setdefault(key, set()).add(_kind(value))
    found = {}
    for key in sorted(kinds)[:_MOST_KEYS]:
        of = kinds[key]
        found[key] = of.pop() if len(of) == 1 else "double" if of <= _NUMBERS else "string"
    return found


_NUMBERS: Final = frozenset({"int64", "double"})


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64" if -(1 << 63) <= value < 1 << 63 else "string"
    return "double" if as_number(value) is not None else "string"


def _cell(value: Any, kind: str) -> Any:
    if value is None or kind == "bool":
        return value
    if kind in _NUMBERS:
        number = as_number(value)
        return int(value) if kind == "int64" else number
    return value if isinstance(value, str) else json.dumps(value, default=str)


class _Table:
    """A Parquet file that grows by batches of rows."""

    def __init__(self, file: Any, schema: pa.Schema) -> None:
        import pyarrow.parquet

        self._schema, self.rows = schema, 0
        self.writer = pyarrow.parquet.ParquetWriter(file, schema)

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows; what a row lacks is null."""
        import pyarrow as pa

        if rows:
            columns = {name: [row.get(name) for row in rows] for name in self._schema.names}
            self.writer.write_table(pa.table(columns, self._schema))
            self.rows += len(rows)


@contextmanager
def _table(path: Path, columns: Mapping[str, str]) -> Iterator[_Table]:
    """A table that takes its name when all of it is written."""
    import pyarrow as pa

    kinds = {"tags": pa.list_(pa.string()), "created_at": pa.timestamp("us", "UTC")}
    schema = pa.schema(
        [(name, kinds.get(name) or getattr(pa, _FACTORIES.get(kind, kind))())
         for name, kind in columns.items()]
    )  # fmt: skip
    try:
        with whole_file(path) as file:
            table = _Table(file, schema)
            yield table
            table.writer.close()
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror}", "Choose another place"
        ) from error


_FACTORIES: Final = {"double": "float64", "bool": "bool_"}


def _run_columns(keys: Mapping[str, str]) -> dict[str, str]:
    metrics = [name for key in OVERALL_KEYS for name in (key, *(f"{key}_{end}" for end in _BOUNDS))]
    return {
        **dict.fromkeys((*_ABOUT, "created_at", "model", "tags"), "string"),
        "texts": "int64",
        **dict.fromkeys(metrics, "double"),
        **{f"config.{key}": kind for key, kind in keys.items()},
    }


def _label_columns() -> dict[str, str]:
    metrics = [
        name for key in CLASS_METRICS for name in (key, *(f"{key}_{end}" for end in _BOUNDS))
    ]
    return {
        **dict.fromkeys(("run_id", "run", "emotion"), "string"),
        **dict.fromkeys(_COUNTS, "int64"),
        **dict.fromkeys((*metrics, "threshold"), "double"),
    }


def _difference_columns() -> dict[str, str]:
    names = ("run_id", "run", "baseline_id", "metric", "emotion", "verdict")
    return {**dict.fromkeys(names, "string"), **dict.fromkeys(_TEST[:-1], "double")}

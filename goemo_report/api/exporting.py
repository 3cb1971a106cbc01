"""Runs, their scores and their differences as three Parquet tables, to be queried elsewhere.

Runs are read a batch at a time, so that as many as there are take no more memory than a few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from goemo_report.analysis.compared_runs import ComparedRun
from goemo_report.analysis.configs import hide_secrets
from goemo_report.analysis.label_choice import LabelChoice
from goemo_report.analysis.run_choice import ranking, tagged_baseline
from goemo_report.api.arguments import Labels, check, chosen_labels, with_baseline
from goemo_report.api.progress import Bar
from goemo_report.comparison import Comparison
from goemo_report.comparison import compare as compare_results
from goemo_report.contract import SPLITS, Split
from goemo_report.errors import (
    ArgumentError,
    DataError,
    NotFoundError,
    SourceError,
    argument,
    require_extra,
)
from goemo_report.formats.files import whole_file
from goemo_report.formats.json_text import as_text
from goemo_report.formats.wording import plural
from goemo_report.metrics.table import CLASS_METRICS, OVERALL_KEYS
from goemo_report.predictions import understood
from goemo_report.results import RunResult
from goemo_report.results.loading import load_results
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import RunRecord, as_number
from goemo_report.sources.store import cache_directory

if TYPE_CHECKING:
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
    top: int,
    labels: Labels = None,
) -> ExportedTables:
    """Write `NAME.parquet` (a row a run), `NAME-labels.parquet` (a row a run and label) and
    `NAME-differences.parquet` (a row a run, metric and label) of a path `NAME.parquet`.

    The `top` runs have intervals and differences, as `compare` makes them; the others have values.
    """
    check(split=split, top=top)
    require_extra("writing Parquet", "pyarrow", extra="tables")
    if path.suffix != ".parquet":
        raise ArgumentError(f"{path} does not end in .parquet", "Name the first of three tables")
    if not path.parent.is_dir():
        raise DataError(f"there is no directory {path.parent} for {path.name}", "Make it first")
    if not len(runs):
        raise NotFoundError("there are no runs to export", "Ask for other runs")
    from pyarrow.parquet import read_metadata

    keys = _config_keys(runs.records)
    columns = _columns(keys)
    names = {end: path.with_name(f"{path.stem}{end}.parquet") for end in columns}
    for name in names.values():
        if name.is_dir():
            raise DataError(f"{name} is a directory", "Choose another name")
    choice, lost = chosen_labels(labels), dict[str, str]()
    every, baseline = with_baseline(runs, baseline)
    done = 0
    with Bar(runs.progress) as bar, ExitStack() as stack:
        tables = {end: stack.enter_context(_table(names[end], columns[end])) for end in columns}
        read = _Reader(every.source, SPLITS, choice, lost, bar)
        best, cut = _best(read, every.records, baseline, split, top)
        compared = compare_results(
            best, baseline=baseline, split=split, progress=bar, cache=cache_directory()
        )
        judged = {run.id: run for run in compared.runs}
        read = _Reader(runs.source, (split,), choice, lost)
        for start in range(0, len(runs), _BATCH):
            batch = runs.records[start : start + _BATCH]
            bar("scoring", start, len(runs))
            results = {one.id: one for one in read(batch)}
            done += len(results)
            tables[""](_run_rows(batch, results, judged, keys, split))
            tables["-labels"](
                row for one in results.values() for row in _label_rows(one, judged, split)
            )
        tables["-differences"](_difference_rows(compared))
        bar("scoring", len(runs), len(runs))
    files = tuple((name, read_metadata(name).num_rows) for name in names.values())
    notes = [cut, *understood(one for run in best for one in run.files)]
    notes += (f"{name}: {reason}" for name, reason in lost.items())
    if done < len(runs):
        notes.append(f"{plural(len(runs) - done, 'run')} without {split} predictions: no scores")
    return ExportedTables(files, tuple(filter(None, notes)))


_Rows: TypeAlias = "Iterable[Mapping[str, Any]]"


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads predictions of runs that are given; `lost` keeps why others cannot be read."""

    source: RunSource
    splits: tuple[Split, ...]
    choice: LabelChoice
    lost: dict[str, str]
    progress: Progress = silent

    def __call__(self, records: Sequence[RunRecord]) -> list[RunResult]:
        """Those of the runs that have predictions.

        Raises SourceError where none of several can be read: then it is the source that cannot.
        """
        reading = self.choice.reading
        try:
            loaded = load_results(
                self.source, records, self.splits, self.progress, reading, histories=False
            )
        except NotFoundError:
            return []
        except SourceError:
            faults = self.source.faults(records)
            rest = [run for run in records if run.id not in faults]
            if not faults or (not rest and len(records) > 1):
                raise
            self.lost.update({run.name: faults[run.id] for run in records if run.id in faults})
            return self(rest) if rest else []
        return [one.changed(self.choice.on) for one in loaded]


def _best(
    read: _Reader, records: Sequence[RunRecord], baseline: str | None, split: Split, top: int
) -> tuple[list[RunResult], str]:
    """The `top` runs with the best logged figure of those with predictions, and the baseline, in
    their order; and what is to be said of it."""
    ranked, chosen = ranking(records)
    first = [run for run in records if run.id == baseline] or tagged_baseline(records)
    found, at = dict[str, RunResult](), 0
    while at < len(ranked) and len(found) < top:
        few = top - len(found)
        batch = ranked[at : at + (max(few, _BATCH) if at else few)]
        with_split = [one for one in read(batch) if split in one.splits]
        found |= {one.id: one for one in with_split[:few]}
        at += len(batch)
    if not found:  # which says why of some
        some = [run for run in ranked if run.name not in read.lost][:3] or ranked[:3]
        load_results(read.source, some, [split], reading=read.choice.reading, histories=False)
    found |= {one.id: one for one in read([run for run in first if run.id not in found])}
    best = [found[run.id] for run in records if run.id in found]
    if at >= len(ranked) and len(found) < top:
        return best, ""
    of_those = f" among those with {split} predictions" if at > top else ""
    note = f"statistics are of {len(best):,} of {len(records):,} runs, {chosen}{of_those}"
    return best, f"{note} ({argument('top')} takes more)" if len(best) < len(records) else ""


def _run_rows(
    batch: Sequence[RunRecord],
    results: Mapping[str, RunResult],
    judged: Mapping[str, ComparedRun],
    keys: Mapping[str, str],
    split: Split,
) -> Iterator[dict[str, Any]]:
    """A row a run: what it is, its config, its overall metrics with what intervals there are."""
    for run in batch:
        row: dict[str, Any] = {name: getattr(run, name) for name in _ABOUT}
        row |= {"created_at": run.created_at, "model": run.model_name, "tags": list(run.tags)}
        config = hide_secrets(run).config
        row |= {f"config.{key}": _cell(config.get(key), kind) for key, kind in keys.items()}
        result, compared = results.get(run.id), judged.get(run.id)
        if result is not None:
            found = result.splits[split]
            row |= {"texts": found.rows, **found.scores.overall}
        yield row | _bounds(compared, OVERALL_KEYS)


def _label_rows(
    result: RunResult, judged: Mapping[str, ComparedRun], split: Split
) -> Iterator[dict[str, Any]]:
    """A row a label, with the intervals that there are."""
    from goemo_report.metrics.scores import per_class_rows

    compared = judged.get(result.id)
    for scored in per_class_rows(result.splits[split].scores):
        row = {"run_id": result.id, "run": result.run.name, **scored}
        row["f1"] = row.pop("f1_score")
        yield row | _bounds(compared, CLASS_METRICS, row["emotion"])


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


def _bounds(run: ComparedRun | None, metrics: Iterable[str], label: str = "") -> dict[str, float]:
    """The intervals that there are."""
    found: dict[str, float] = {}
    for key in metrics if run is not None else ():
        interval = run.intervals.get(f"{key}_{label}" if label else key) if run else None
        found |= dict(zip((f"{key}_{end}" for end in _BOUNDS), interval or (), strict=False))
    return found


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
    return as_text(value)


@contextmanager
def _table(path: Path, columns: Mapping[str, str]) -> Iterator[Callable[[_Rows], None]]:
    """What adds rows to a table, which takes its name when all of it is written; what a row lacks
    is null."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    kinds = {"tags": pa.list_(pa.string()), "created_at": pa.timestamp("us", "UTC")}
    schema = pa.schema(
        [(name, kinds.get(name) or pa.type_for_alias(kind)) for name, kind in columns.items()]
    )
    try:
        with whole_file(path) as file, ParquetWriter(file, schema) as writer:

            def write(rows: _Rows) -> None:
                every = list(rows)
                found = {name: [row.get(name) for row in every] for name in columns}
                writer.write_table(pa.table(found, schema))

            yield write
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror}", "Choose another place"
        ) from error


def _columns(keys: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The columns of each table, by the end of its name, with their types."""

    def bounded(metrics: Iterable[str]) -> dict[str, str]:
        names = ((key, *(f"{key}_{end}" for end in _BOUNDS)) for key in metrics)
        return dict.fromkeys(chain.from_iterable(names), "double")

    return {
        "": {
            **dict.fromkeys((*_ABOUT, "created_at", "model", "tags"), "string"),
            "texts": "int64",
            **bounded(OVERALL_KEYS),
            **{f"config.{key}": kind for key, kind in keys.items()},
        },
        "-labels": {
            **dict.fromkeys(("run_id", "run", "emotion"), "string"),
            **dict.fromkeys(_COUNTS, "int64"),
            **bounded(CLASS_METRICS),
            "threshold": "double",
        },
        "-differences": {
            **dict.fromkeys(("run_id", "run", "baseline_id", "metric", "emotion"), "string"),
            "verdict": "string",
            **dict.fromkeys(_TEST[:-1], "double"),
        },
    }

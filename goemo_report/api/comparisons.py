"""Runs, files and arrays side by side, as a notebook works with them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar, get_args

from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.analysis.run_choice import TOP, best_logged
from goemo_report.api.arguments import (
    Labels,
    Names,
    Place,
    check,
    chosen_labels,
    each,
    place,
    places,
    settled,
    with_baseline,
)
from goemo_report.api.inputs import Comparable, asked_for, load, places_of
from goemo_report.api.progress import Bar, Shown
from goemo_report.api.runs import Runs
from goemo_report.comparison import ComparedRun, Comparison, Options, Standing
from goemo_report.comparison import compare as compare_results
from goemo_report.contract import Split
from goemo_report.corpora.ratings import read_ratings
from goemo_report.errors import ArgumentError, DataError, NotFoundError, RunError
from goemo_report.formats import notebook
from goemo_report.formats.files import write_whole
from goemo_report.formats.wording import listed
from goemo_report.metrics.table import CLASS_METRICS, OVERALL_KEYS
from goemo_report.predictions import understood
from goemo_report.results import complete
from goemo_report.settings import creation_time
from goemo_report.sources.base import readable
from goemo_report.sources.model import Listing, SkippedRun
from goemo_report.sources.store import cache_directory
from goemo_report.statistics.many_runs import MARGIN

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from goemo_report.report.document import Report
    from goemo_report.report.publish import Published
    from goemo_report.report.render import Extent

P = ParamSpec("P")
T = TypeVar("T")
_FORMATS: Final = {
    ".html": "html", ".md": "md", ".json": "json", ".tex": "latex", ".csv": "csv", ".pdf": "pdf",
}  # fmt: skip
_FIGURES: Final = {"per-label": "labels-heatmap", "differences": "differences-figure"}
_LOGGED_ONLY: Final = "No run has predictions: these are the figures that the runs logged"
_BOUNDS: Final = ("value", "low", "high")
_NO_BOUNDS: Final = (None, None)
_TEST: Final = ("difference", "difference_low", "difference_high", "p", "verdict")


class Verdict(str):
    """The sentence at the top of the report; `numbers` holds what it says as numbers.

    Keys: `best` and `other` (the names of runs, the titles of recipes where the sentence is on
    recipes), `rank_on` (the split that chose the best), `metric` (the key of what is reported,
    `tuned_macro_f1` where losses differ), `value`, `other_value`, `difference`, `low`, `high`,
    `p` and `verdict`; `luck` is how far the best of as many equal runs leads their mean by the
    choice of texts. `answer` is `better`, `worse`, `equivalent` (within `margin`, with
    `p_equivalence`) or `undecided`; `detectable` is the smallest difference found with 80% power,
    and as many `texts` find one of `margin`. What was not
    computed is None.
    """

    numbers: Mapping[str, Any]


def _of_sound_runs(
    method: Callable[Concatenate[ComparisonResult, P], T],
) -> Callable[Concatenate[ComparisonResult, P], T]:
    """A run whose statistics cannot be computed is left out with its reason, the others go on."""

    @wraps(method)
    def found(self: ComparisonResult, /, *args: P.args, **options: P.kwargs) -> T:
        while True:
            try:
                return method(self, *args, **options)
            except RunError as fault:
                others = self.comparison.without(fault)
                vars(self).clear()  # tables that had the run
                vars(self)["comparison"] = others

    return found


@dataclass(frozen=True, eq=False)
class ComparisonResult:
    """Runs side by side: tables, the verdict, figures, and the report.

    In every table `run` is the name of a run (categorical, best first). `value`, `low` and
    `high` are a metric with its 95% interval; `difference`, `difference_low`,
    `difference_high`, `p` and `verdict` (win, tie, loss) hold it against the baseline, and
    are empty for the baseline itself and for what is not paired with it: what
    differs is `verdict in ['win', 'loss']`, since an empty verdict is no tie either.
    """

    comparison: Comparison

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the runs, in the order of their creation."""
        found = self.comparison
        return tuple(run.record.name for run in found.runs) or tuple(
            run.run.name for run in found.logged
        )

    @property
    def skipped(self) -> tuple[SkippedRun, ...]:
        """Runs that were left out, each with its reason."""
        return self.comparison.skipped

    @property
    def notes(self) -> tuple[str, ...]:
        """Which versions of predictions were read, how columns were understood, and what became of
        labels so that the runs can be compared; which run is not paired with the baseline, and why;
        where no run has predictions, that these are logged figures."""
        if not self.comparison.runs:
            return (*self.comparison.notes, f"{_LOGGED_ONLY}. {complete()}")
        runs, changes = self.comparison.runs, self.comparison.label_changes.items()
        names = {run.key: run.name for run in runs}
        return (
            *self.comparison.notes,
            *understood(file for run in runs for file in run.result.files),
            *(f"{listed((names[key] for key in keys), 3)}: {change}" for change, keys in changes),
            *(
                f"{run.name} beside {self.comparison.baseline.name}: {run.alignment.note}"
                for run in runs
                if run.alignment and not run.is_paired
            ),
        )

    @_of_sound_runs
    def prepare(self) -> ComparisonResult:
        """Compute all statistics now, not when they are first asked for."""
        self.comparison.prepare()
        return self

    @cached_property
    @_of_sound_runs
    def leaderboard(self) -> pd.DataFrame:
        """One row a run by macro F1 at 0.5, the best first: `run`, `id`, `recipe`, `seed`, then
        `value` to `verdict`."""
        rows = [
            (run.name, run.id, run.recipe.title, run.seed, *_judged(run, "macro_f1"))
            for run in self.comparison.ranked
        ]
        return self._frame(("run", "id", "recipe", "seed", *_BOUNDS, *_TEST), rows)

    @cached_property
    @_of_sound_runs
    def differences(self) -> pd.DataFrame:
        """One row a run and overall metric: `run`, `metric`, then `value` to `verdict`."""
        rows = [
            (run.name, key, *_judged(run, key))
            for run in self.comparison.ranked
            for key in OVERALL_KEYS
        ]
        return self._frame(("run", "metric", *_BOUNDS, *_TEST), rows)

    @cached_property
    @_of_sound_runs
    def per_label(self) -> pd.DataFrame:
        """One row a run, label and metric: `run`, `emotion` (categorical, in canonical order),
        `metric`, `support` (Int64), then `value` to `verdict`; p is Holm-adjusted over labels."""
        rows = [
            (run.name, label, metric, run.support[label], *_judged(run, metric, label))
            for run in self.comparison.ranked
            for label in run.labels
            for metric in CLASS_METRICS
        ]
        columns = ("run", "emotion", "metric", "support", *_BOUNDS, *_TEST)
        return self._frame(columns, rows).astype({"support": "Int64"})

    @cached_property
    @_of_sound_runs
    def thresholds(self) -> pd.DataFrame:
        """One row a run and label: `run`, `emotion`, `threshold` (tuned on validation), and the
        run's macro F1 with all of them, `value`, `low`, `high`. Runs without validation
        predictions have no rows."""
        rows = [
            (run.name, label, float(cut), run.value(TUNED_F1), *(run.tuned_interval or _NO_BOUNDS))
            for run in self.comparison.ranked
            if run.tuned is not None and run.tuned.choice.thresholds is not None
            for label, cut in zip(run.labels, run.tuned.choice.thresholds, strict=True)
        ]
        return self._frame(("run", "emotion", "threshold", *_BOUNDS), rows)

    @cached_property
    @_of_sound_runs
    def calibration(self) -> pd.DataFrame:
        """One row a run and method (`as predicted`, `temperature`, `isotonic`): `run`, `method`,
        `temperature`, `ece`, `ece_floor` (that of a perfectly calibrated copy), `ece_debiased`,
        `log_loss`, `log_loss_gain` with `log_loss_gain_low` and `log_loss_gain_high`, `brier`,
        `macro_f1` at 0.5, `tuned_macro_f1`, and of the predictions as they are `aurc`, the area
        under the risk-coverage curve.

        The methods are fitted on validation: runs without its predictions have the first row alone,
        files without probabilities none.
        """
        rows = [
            (
                *(run.name, one.method, one.temperature, one.ece, one.floor.value, one.debiased),
                *(one.log_loss, *(one.log_loss_gain or (None, None, None))),
                *(one.brier, one.macro_f1, one.tuned_macro_f1),
                None if at else found.selective.aurc,
            )
            for run in self.comparison.ranked
            if (found := run.calibration) is not None
            for at, one in enumerate(found.methods)
        ]
        numbers = (
            *("temperature", "ece", "ece_floor", "ece_debiased", "log_loss", "log_loss_gain"),
            *("log_loss_gain_low", "log_loss_gain_high", "brier", "macro_f1", "tuned_macro_f1"),
            "aurc",
        )
        frame = self._frame(("run", "method", *numbers), rows)
        return frame.astype(dict.fromkeys(numbers, "float64"))

    @cached_property
    @_of_sound_runs
    def raters(self) -> pd.DataFrame:
        """One row a run, and one for the held-out rater (`held-out rater`): `run`, `texts`,
        `macro_f1` with `macro_f1_low` and `macro_f1_high`, `micro_f1`, `difference` (macro F1 of
        the run minus the rater's) with its bounds, `cross_entropy` of the raters' shares and by
        how much it is `above_floor`, their entropy. No rows without `raters`.
        """
        import pandas as pd

        rows: list[tuple[object, ...]] = []
        for run in self.comparison.ranked:
            found = self.comparison.raters.get(run.id)
            if found is None:
                continue
            soft = found.soft and (found.soft.cross_entropy, found.soft.above)
            gap = (found.gap, *found.gap_interval, *(soft or _NO_BOUNDS))
            floor = (None, None, None, found.floor, 0.0)
            both = (("held-out rater", found.rater, floor), (run.name, found.run, gap))
            for name, one, more in both if not rows else both[1:]:
                rows.append((name, found.texts, one.macro_f1, *one.macro, one.micro_f1, *more))
        bounds = ("macro_f1", "macro_f1_low", "macro_f1_high", "micro_f1")
        columns = ("run", "texts", *bounds, *_TEST[:3], "cross_entropy", "above_floor")
        frame = pd.DataFrame(rows, columns=list(columns))
        return frame.astype(dict.fromkeys(columns[2:], "float64"))

    @cached_property
    @_of_sound_runs
    def verdict(self) -> Verdict:
        """Which run is best and whether that is more than noise, as the report says it."""
        from goemo_report.report.sections._verdict import in_one_sentence

        keys = [one.name for one in fields(Standing) if one.name != "decision"]
        judged = ("answer", "margin", "p_equivalence", "detectable", "texts")
        compared = self.comparison if self.comparison.runs else None
        found = compared.standing if compared else None
        verdict = Verdict(in_one_sentence(compared) if compared else _LOGGED_ONLY)
        verdict.numbers = {
            **{key: getattr(found, key, None) for key in keys},
            **{key: getattr(getattr(found, "decision", None), key, None) for key in judged},
            "rank_on": getattr(compared, "rank_on", None),
            "luck": getattr(compared, "selection_bias", None),
        }
        return verdict

    def figure(self, name: str = "per-label") -> go.Figure:
        """A figure of the report as a plotly Figure; needs the extra `goemo[figures]`.

        Args:
            name: `per-label`, `differences`, or the id of any figure of the report.

        Raises:
            NotFoundError: there is no such figure; the remedy lists those that there are.

        """
        from goemo_report.report.render.svg import plotly_figure

        figures = {block.id: block for block in self.report().figures()}
        wanted = _FIGURES.get(name, name)
        if wanted not in figures:
            known = ", ".join((*_FIGURES, *figures))
            raise NotFoundError(f"there is no figure {name!r}", f"Figures: {known}")
        return plotly_figure(figures[wanted])

    def document(self) -> dict[str, Any]:
        """The report as one JSON value: what `save` writes with the ending .json."""
        from goemo_report.report.render import render

        found: dict[str, Any] = json.loads(render(self.report(), "json"))
        return found

    def save(self, path: Place, *, sections: Names = (), extent: Extent | None = None) -> Path:
        """Write the report; the ending says how: .html, .md, .json, .tex, .csv or .pdf.

        The file appears whole or not at all; Markdown has its figures in a directory of its name
        beside it. Raises DataError for another ending, NotFoundError where no browser prints PDF.

        Args:
            path: the file to write; folders are made where missing.
            sections: ids of the only sections to write; all without it.
            extent: `short`, two pages; `usual`; or `full`, with the appendix in PDF and every
                chapter in LaTeX, which is what `sections` are written with.

        """
        from goemo_report.report.render import Extent, render_files

        target = Path(place(path, "path"))
        form = _FORMATS.get(target.suffix.lower())
        if form is None:
            known = ", ".join(_FORMATS)
            raise DataError(f"{target} has no ending of a report", f"Endings: {known}")
        extent = extent or ("full" if each(sections) else "usual")
        if extent not in get_args(Extent):
            raise ArgumentError(f"there is no extent {extent!r}", "Give short, usual or full")
        files = render_files(self.report(sections=sections), form, target.stem, extent)
        document, *_ = files
        try:
            for name, data in files.items():
                write_whole(target if name == document else target.parent / name, data)
        except OSError as error:
            what = f"{target} cannot be written: {error.strerror}"
            raise DataError(what, "Choose another place") from error
        return target

    @_of_sound_runs
    def report(self, *, sections: Names = (), command: str = "goemo_report.compare(...)") -> Report:
        """The report as a value, which `goemo_report.report.render` writes in any format.

        Args:
            sections: ids of the only sections to build; all without it.
            command: what the report says it was made by.

        """
        from goemo_report.report.sections import build_report

        now = creation_time(os.environ, datetime.now(UTC))
        only = each(sections) or None
        return build_report(self.comparison, created_at=now, command=command, only=only)

    @_of_sound_runs
    def threshold_document(self) -> Mapping[str, Any]:
        """Every threshold that can be applied elsewhere, by run id, as one JSON value."""
        from goemo_report.thresholds.protocols import export_thresholds

        choices = [(run.id, one.choice) for run in self.comparison.runs for one in run.protocols]
        known = [(run, one) for run, one in choices if one.thresholds is not None]
        return export_thresholds((run, one) for run, one in known if one.protocol != "oracle")

    @_of_sound_runs
    def publish(
        self,
        name: str,
        *,
        native: bool = False,
        sections: Names = (),
        command: str = "goemo_report.compare(...)",
        source: str | None = None,
        wandb_dir: Place | None = None,
        entity: str | None = None,
        project: str | None = None,
    ) -> Published:
        """Log the report to W&B as a run; to an offline run where runs are read offline.

        Args:
            name: of the report.
            native: whether to make a W&B Report of it too, with run set, verdict, leaderboard and
                links to the rest; needs `goemo[reports]`, and runs that were read from W&B.
            sections: as in `save`.
            command: as in `report`.
            source, wandb_dir: as in `runs`; only `offline` keeps it from W&B.
            entity, project: as in `runs`; without them those of the baseline.

        Raises:
            SourceError: it cannot be sent.

        """
        from goemo_report.report.publish import publish_comparison

        choice = settled(wandb_dir, entity, project, source=source)
        if not self.comparison.runs:
            raise DataError(f"{_LOGGED_ONLY}, which W&B has already", complete())
        return publish_comparison(
            self.comparison,
            entity=choice.entity,
            project=choice.project,
            directory=choice.directory,
            sections=each(sections),
            stem=name,
            created_at=creation_time(os.environ, datetime.now(UTC)),
            command=command,
            native=native,
        )

    def _frame(self, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> pd.DataFrame:
        import pandas as pd

        frame = pd.DataFrame(rows, columns=list(columns))
        names = [run.name for run in self.comparison.ranked]
        frame["run"] = pd.Categorical(frame["run"], names, ordered=True)
        if "emotion" in frame:
            labels = list(self.comparison.labels) if self.comparison.runs else []
            frame["emotion"] = pd.Categorical(frame["emotion"], labels, ordered=True)
        numbers = {*_BOUNDS, *_TEST, "threshold"} - {"verdict"}
        return frame.astype({name: "float64" for name in columns if name in numbers})

    def __repr__(self) -> str:
        found = self.comparison
        return f"<Comparison of {len(found.runs)} runs on {found.split}>"

    @_of_sound_runs
    def _repr_html_(self) -> str:
        columns = ("run", "macro F1", "low", "high", "difference", "p", "verdict")
        rows = [
            (run.name, *judged[:4], *judged[6:])
            for run in self.comparison.ranked
            if (judged := _judged(run, "macro_f1"))
        ]
        shown = self._drawn() if rows else ""
        return notebook.page(str(self.verdict), notebook.table(columns, rows), shown)

    def _drawn(self) -> str:
        """The figure that heads the report, empty where there is none."""
        from goemo_report.report.render.svg import still

        block = next(self.report(sections="summary").figures(), None)
        return "" if block is None else notebook.picture(*still(block))


def check_sections(wanted: Names) -> None:
    """Raise ArgumentError for the id of a section that no report has."""
    from goemo_report.report import sections

    sections.check_sections(each(wanted))


def compare(
    runs: Runs | Comparable | Sequence[Comparable] | Mapping[str, Comparable],
    *others: Comparable,
    baseline: str | None = None,
    split: Split = "test",
    resamples: int = 1000,
    seed: int = 0,
    rank_on: Split | None = None,
    margin: float = MARGIN,
    labels: Labels = None,
    map_to: str | None = None,
    true: str | None = None,
    pred: str | None = None,
    prob: str | None = None,
    texts: bool = True,
    max_errors: int = 20,
    top: int = TOP,
    raters: Place | Sequence[Place] = (),
    cluster: str | None = None,
    source: str | None = None,
    wandb_dir: Place | None = None,
    entity: str | None = None,
    project: str | None = None,
    progress: Shown = False,
) -> ComparisonResult:
    """Compare runs, prediction files and predictions in memory, in any mixture.

    Args:
        runs: what `runs` gives; one or several runs, predictions (or a DataFrame with the
            columns of a prediction file), RUN names or paths; or a
            mapping from the names to use to any of these.
        others: more of them.
        baseline: id, name or path of the run that the others are held against; without it the
            first one tagged `baseline`, else the first created.
        split: `test` or `val`. Predictions in memory count as this split, a single file as the
            one that its name says, test where it says none.
        resamples: bootstrap resamples of the intervals, 100 or more.
        seed: of the resampling.
        rank_on: the split that chooses the best run; without it `val` where all runs have
            predictions of it, else `split`.
        margin: differences of macro F1 up to this do not matter.
        labels, map_to: as in `Run.predictions`.
        true, pred, prob: columns of files, as in `read_predictions`.
        texts: whether the report may show texts of the data set.
        max_errors: texts that the report shows for each label and kind of error.
        top: with more runs than this those with the best logged figures alone, and the baseline;
            a note says so.
        raters: files of GoEmotions' raw ratings, a row for each rater and text, that show how well
            a held-out rater agrees with the others.
        cluster: a column of the prediction files or the raw ratings that says which texts belong
            together, as `link_id` or `author`: resamples draw and swaps flip them as wholes.
        source, wandb_dir, entity, project: as in `runs`, for RUN names.
        progress: show a bar.

    Raises:
        NotFoundError: nothing can be compared, with the reason for each run.

    Example:
        >>> import goemo_report as gr
        >>> c = gr.compare("a.csv", "b.csv")  # doctest: +SKIP
        >>> c.verdict.numbers["p"]  # doctest: +SKIP

    """
    check(split=split, top=top, baseline=baseline, cluster=cluster)
    choice = chosen_labels(labels, map_to, true=true, pred=pred, prob=prob)
    choice = replace(choice, reading=replace(choice.reading, cluster=cluster or ""))
    where = settled(wandb_dir, entity, project, source=source)
    skipped, cut = (runs.skipped, "") if isinstance(runs, Runs) else ((), "")
    if isinstance(runs, Runs):
        records, cut = best_logged(runs.records, top)
        if cut:
            kept = readable(runs.source, Listing(records, runs.skipped))
            records, skipped = kept.runs, kept.skipped
        runs, baseline = with_baseline(replace(runs, records=records), baseline)
    rated = list(map(Path, places(raters, "raters")))
    ratings = read_ratings(rated, cluster or "") if rated else None
    with Bar(progress) as bar:
        asked, lost = asked_for(runs, others, choice.reading, where)
        loaded = load(asked, split, choice, bar, figures=True)
        notes = (*filter(None, [cut]), *loaded.notes)
        found = compare_results(
            replace(loaded, skipped=(*loaded.skipped, *lost, *skipped), notes=notes),
            baseline=baseline,
            split=split,
            source="; ".join(filter(None, (places_of(asked), cut))),
            options=Options(texts, max_errors, resamples, seed, rank_on, margin, cluster or ""),
            progress=bar,
            cache=cache_directory(),
            ratings=ratings,
        )
    return ComparisonResult(found)


def _judged(run: ComparedRun, metric: str, label: str = "") -> tuple[object, ...]:
    """The columns `value` to `verdict`, of a metric overall or of a label."""
    key = f"{metric}_{label}" if label else metric
    value = run.of_class(metric, label) if label else run.value(key)
    low, high = run.intervals.get(key) or _NO_BOUNDS
    if (found := run.difference(key)) is None:
        return value, low, high, None, None, None, None, None
    test = found.value, found.low, found.high, found.p_adjusted, found.verdict
    return value, low, high, *test

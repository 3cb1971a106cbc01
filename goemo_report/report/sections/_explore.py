"""What the page's script computes from: counts at cuts, likely labels, and the texts shown.

Counts are exact, so that what the browser computes is what Python does. The texts of a row are
there once; rows are told by the steps from one to the next, which a page that is compressed holds
in less.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from goemo_report.analysis.configs import config_differences
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.formats.json_text import SCHEMA_VERSION
from goemo_report.formats.text import shortened, visible
from goemo_report.metrics.arrays import IntArray
from goemo_report.metrics.rankings import at_cuts, highest_cut
from goemo_report.predictions import Predictions
from goemo_report.report.sections._tables import colour, drawn
from goemo_report.report.sections._words import same_recipe, side
from goemo_report.report.sections.errors import shown_runs, suspected, wrong_decisions
from goemo_report.statistics.differences import PairedDifferences
from goemo_report.thresholds.protocols import ThresholdChoice

MOST_COUNTED: Final = 24
"""Runs whose counts a page holds; of others it has those at 0.5."""
_LIKELY: Final = 10
"""The cut from which the page knows the labels of each text, higher where these were too many."""
_LIKELY_LABELS: Final = 2
_SECTIONS: Final = frozenset({"differences", "emotions", "thresholds", "errors"})
_METRICS: Final = ("macro_f1", "micro_f1")
_LONGEST: Final = 80


def explored(comparison: Comparison, only: Iterable[str] | None = None) -> dict[str, Any] | None:
    """The data of a page with these sections; None where its script has nothing to do."""
    wanted = _SECTIONS if only is None else _SECTIONS & set(only)
    if not wanted or not comparison.with_probabilities:
        return None
    counted = _counted(comparison)
    close = shown_runs(comparison)
    differing = config_differences([run.record for run in counted]) if len(counted) > 1 else {}
    runs = [_run(comparison, run) for run in comparison.runs]
    texts: dict[tuple[str, ...], int] = {}
    for run in comparison.runs:
        runs[run.colour]["texts"] = texts.setdefault(run.predictions.texts, len(texts))
    for at, run in enumerate(counted):
        runs[run.colour] |= _counts_of(run)
        runs[run.colour]["config"] = {
            visible(key): shortened(visible(_setting(values[at])), _LONGEST)
            for key, values in differing.items()
            if values[at] is not None
        }
    for run in close:
        runs[run.colour]["likely"] = _likely(run)
    best, other = comparison.best, comparison.runner_up
    return {
        "schema_version": SCHEMA_VERSION,
        "split": comparison.split,
        "noun": comparison.noun,
        "nouns": comparison.nouns,
        "labels": list(map(visible, comparison.labels)),
        "a": best.colour,
        "b": other.colour if other else None,
        "runs": runs,
        "recipes": [
            {
                "title": visible(recipe.title.rpartition(" (")[0] or recipe.title),
                "runs": [run.colour for run in recipe.counted],
            }
            for recipe in comparison.ranked_recipes
            if len(recipe.counted) > 1
        ],
        "close": [run.colour for run in close],
        "truth": [_steps(np.flatnonzero(column)) for column in best.predictions.truth.T],
        "pairs": _pairs(comparison) if "differences" in wanted else {},
        **(_texts(comparison, close) if "errors" in wanted else {}),
    }


# --- Runs -----------------------------------------------------------------------------


def _counted(comparison: Comparison) -> list[ComparedRun]:
    """The runs that the slider knows, in the order of creation."""
    chosen = dict.fromkeys(shown_runs(comparison))
    recipes = drawn(comparison)
    chosen |= dict.fromkeys(run for run in comparison.ranked if run.recipe in recipes)
    kept = [run for run in chosen if run.predictions.has_probabilities][:MOST_COUNTED]
    return sorted(kept, key=lambda run: run.colour)


def _run(comparison: Comparison, run: ComparedRun) -> dict[str, Any]:
    """What every run has: its names and its counts at 0.5."""
    counts = run.scores.counts
    at_half = np.stack([counts.tp, counts.predicted, counts.support], axis=1)
    places = [comparison.labels.index(label) for label in run.labels]
    return {
        "id": visible(run.id),
        "key": run.key,
        "name": visible(run.name),
        "short": visible(side(run)),
        "colour": colour(comparison, run.recipe),
        "n": run.split_result.rows,
        "half": at_half.tolist(),
        **({} if places == list(range(len(comparison.labels))) else {"labels": places}),
    }


def _counts_of(run: ComparedRun) -> dict[str, Any]:
    """Counts at every cut and at the tuned thresholds, on both splits."""
    tuned = [run.protocol("per-class"), run.protocol("global")]
    choices = [one.choice for one in tuned if one]
    found: dict[str, Any] = {"counts": _at_cuts(run.predictions, choices)}
    validation = run.result.splits.get("val")
    if choices and validation is not None:
        own, overall = choices
        assert own.thresholds is not None and overall.thresholds is not None  # noqa: S101, PT018 # tuned
        found |= {
            "validation": _at_cuts(validation.predictions, choices),
            "tuned": own.thresholds.tolist(),
            "overall": float(overall.thresholds[0]),
            "fallback": [run.labels.index(label) for label in own.fallback],
            "descriptions": [own.description, overall.description],
        }
    return found


def _at_cuts(predictions: Predictions, choices: list[ThresholdChoice]) -> dict[str, Any]:
    """By label and cut how many reach this cut and not the next, without the label and with it; how
    many the tuned thresholds predict, rightly and at all."""
    reached, true, highest = at_cuts(predictions.truth, predictions.probabilities)
    exact, covered = [], []
    for choice in choices:
        predicted = choice.predicted(predictions)
        hits = predicted & predictions.truth
        exact.append(np.stack([hits, predicted]).sum(axis=1).T.tolist())
        covered.append(int(predicted.any(axis=1).sum()))
    return {
        "n": len(predictions),
        "false": (reached - true).T.tolist(),
        "true": true.T.tolist(),
        "covered": highest.tolist(),
        "exact": exact,
        "exact_covered": covered,
    }


def _steps(rows: IntArray) -> list[int]:
    """How many rows lie between each of these and the one before."""
    steps: list[int] = (np.diff(rows, prepend=-1) - 1).tolist()
    return steps


def _setting(value: Any) -> str:
    """A value of a config; of a number the digits that were meant, not those of binary."""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _likely(run: ComparedRun) -> dict[str, Any]:
    """The labels of each text that reach a low cut: row by row, how far above it, and whether
    they reach the tuned thresholds."""
    p = run.predictions.probabilities
    cut = highest_cut(p)
    floor = _LIKELY
    while floor < 50 and (cut >= floor).sum() > _LIKELY_LABELS * len(p):
        floor += 1
    above = 4 * (cut - floor)
    for worth, name in ((2, "per-class"), (1, "global")):
        protocol = run.protocol(name)  # type: ignore[arg-type] # two of them
        if protocol is not None and protocol.choice.thresholds is not None:
            above += worth * (p >= protocol.choice.thresholds)

    rows = [np.flatnonzero(column >= floor) for column in cut.T]
    return {
        "floor": floor,
        "rows": [_steps(own) for own in rows],
        "codes": [above[own, label].tolist() for label, own in enumerate(rows)],
    }


# --- Pairs that were tested ------------------------------------------------------------


def _pairs(comparison: Comparison) -> dict[str, Any]:
    """Differences with interval and p, by the places of the two runs."""
    found: dict[tuple[ComparedRun, ComparedRun], PairedDifferences | None] = {
        (run, comparison.baseline): run.differences for run in comparison.others
    }
    if comparison.runner_up:
        found[comparison.best, comparison.runner_up] = comparison.best_vs_runner_up
    return {
        f"{run.colour}-{other.colour}": {
            "chance": same_recipe(run, other),
            "metrics": {
                key: _difference(differences, key) for key in _METRICS if differences.get(key)
            },
            "labels": [_difference(differences, f"f1_{label}") for label in comparison.labels],
        }
        for (run, other), differences in found.items()
        if differences
    }


def _difference(found: PairedDifferences, key: str) -> list[Any] | None:
    """Value, low, high, adjusted p, and whether it is more than noise."""
    one = found.get(key)
    if one is None:
        return None
    bounds = round(one.low, 5), round(one.high, 5)
    return [one.value, *bounds, float(f"{one.p_adjusted:.3g}"), one.verdict != "tie"]


# --- Texts ----------------------------------------------------------------------------


def _texts(comparison: Comparison, close: list[ComparedRun]) -> dict[str, Any]:
    """The texts that the page has, and of wrong decisions on them the p of each close run."""
    limit = comparison.options.max_errors
    if not limit:
        return {}
    wrong = wrong_decisions(comparison.best, comparison.runner_up, limit)
    rows = sorted({one.row for one in wrong} | {one.row for one in suspected(comparison, limit)})
    texts = comparison.best.predictions.texts
    return {
        "rows": _steps(np.array(rows, dtype=np.int64)),
        "texts": [visible(texts[row]) for row in rows] if comparison.options.texts else [],
        "wrong": [
            [
                *(one.row, one.label),
                *(
                    round(1000 * float(run.predictions.probabilities[one.row, one.label]))
                    for run in close
                ),
            ]
            for one in wrong
        ],
    }

"""Do the 95% intervals cover 95%, and do the tests keep their level?

    python -m benchmarks.coverage [--samples 150 | --quick] [--population A.csv B.csv] [--write]

A made-up population has the label frequencies of GoEmotions and two systems that predict it; with
`--population` it is the texts of two prediction files. Samples are drawn from it, and every
interval of a sample is held against the value in the population. A difference contradicts its
p-value where only one of the two tells it from zero. For the level of the paired tests, two systems
that are equally good by construction label each sample afresh; at tuned thresholds validation is
drawn anew too. `--write` puts the tables into docs/numbers.md, `--quick` takes two minutes.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from goemo_report.labels import EMOTIONS, GOEMOTIONS
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.scores import Scores, score
from goemo_report.metrics.table import OVERALL
from goemo_report.predictions import Predictions, read_predictions
from goemo_report.statistics.differences import RANDOMISATIONS, paired, swapped, widened
from goemo_report.statistics.distributions import max_t, p_value
from goemo_report.statistics.intervals import Analysis, analyse
from goemo_report.statistics.many_runs import seed_difference
from goemo_report.statistics.resampling import bootstrap_weights
from goemo_report.thresholds.tune import Tuned, tuned_macro_f1

TEXTS = 5427
# Positives of each emotion in the test split, in canonical order.
SUPPORT = (504, 264, 198, 320, 351, 135, 153, 284, 83, 151, 267, 123, 37, 103, 78, 352, 6, 161,
           238, 23, 186, 16, 145, 11, 56, 156, 141, 1787)  # fmt: skip
DOCS = Path(__file__).parents[1] / "docs" / "numbers.md"
BEGIN, END = "<!-- benchmarks/coverage.py writes this -->", "<!-- to here -->"


@dataclass(frozen=True)
class System:
    """How well a system tells the emotions apart, and how readily it predicts."""

    weakest: float
    strongest: float
    readiness: float
    """Texts predicted for each text that carries the emotion."""
    ahead: float = 0.2
    """How much stronger the signal of the better system is."""
    readier: float = 1.0
    """How many times as many texts the better system predicts."""
    silent: int = 0
    """Of the rarest emotions, how many are never predicted."""


SYSTEMS = {
    "balanced": System(1.5, 4.5, 1.0),
    "careful": System(1.0, 4.0, 0.5),
    "eager": System(1.5, 4.5, 1.8),
    "shy": System(1.0, 4.0, 0.05, ahead=1.0, readier=6.0),
    "uneven": System(1.0, 4.0, 0.1, ahead=1.0, readier=10.0),
    "few": System(1.5, 4.5, 1.0, silent=20),
}
HEADLINE = ("macro_f1", "micro_f1", "micro_auc")


def make_truth(rows: int, generator: np.random.Generator) -> BoolArray:
    """About 1.17 labels a text, as frequent as in GoEmotions."""
    frequency = np.array(SUPPORT) / sum(SUPPORT)
    truth = np.zeros((rows, len(EMOTIONS)), dtype=np.bool_)
    truth[np.arange(rows), generator.choice(len(EMOTIONS), rows, p=frequency)] = True
    more = np.flatnonzero(generator.random(rows) < 0.17)
    truth[more, generator.choice(len(EMOTIONS), len(more), p=frequency)] = True
    return truth


def make_scores(
    truth: BoolArray, shared: FloatArray, system: System, generator: np.random.Generator
) -> FloatArray:
    """Probabilities with each emotion's own signal; `shared` is what makes texts hard for all."""
    signal = np.linspace(system.weakest, system.strongest, truth.shape[1])
    signal = signal[np.random.default_rng(1).permutation(len(signal))]
    noise = 0.7 * shared + 0.7 * generator.normal(size=truth.shape)
    logits = noise + truth * signal
    cuts = [
        np.quantile(logits[:, j], 1 - min(system.readiness * truth[:, j].mean(), 0.9))
        for j in range(truth.shape[1])
    ]
    probabilities: FloatArray = 1.0 / (1.0 + np.exp(-(logits - cuts)))
    probabilities[:, np.argsort(SUPPORT)[: system.silent]] *= 0.499
    return probabilities


def wrap(truth: BoolArray, probabilities: FloatArray) -> Predictions:
    """Arrays as predictions at 0.5."""
    names = tuple(map(str, range(len(truth))))
    return Predictions(names, truth, probabilities, probabilities >= 0.5, GOEMOTIONS, "made up")


def values(scores: Scores) -> dict[str, float]:
    """Every metric by the key that intervals use."""
    found = {key: float("nan") if v is None else v for key, v in scores.overall.items()}
    for name, column in scores.per_class.items():
        found |= {f"{name}_{label}": float(column[j]) for j, label in enumerate(EMOTIONS)}
    return found


def counter() -> dict[str, int]:
    return defaultdict(int)


def summed() -> dict[str, float]:
    return defaultdict(float)


class Population(NamedTuple):
    """Texts with the probabilities of two systems, the better one first."""

    truth: BoolArray
    ours: FloatArray
    theirs: FloatArray

    def drawn(self, rows: Any) -> Population:
        """Some of the texts."""
        return Population(self.truth[rows], self.ours[rows], self.theirs[rows])

    def dealt(self, generator: np.random.Generator) -> Population:
        """The same texts with two systems that are equally good: text by text by coin."""
        coin = (generator.random(len(self.truth)) < 0.5)[:, None]
        ours, theirs = self.ours, self.theirs
        return Population(self.truth, np.where(coin, theirs, ours), np.where(coin, ours, theirs))


def made_up(system: System, texts: int, seed: int = 0) -> Population:
    """A population of two such systems."""
    generator = np.random.default_rng(seed)
    truth = make_truth(texts, generator)
    shared = generator.normal(size=truth.shape)
    better = System(
        system.weakest + system.ahead,
        system.strongest + system.ahead,
        system.readiness * system.readier,
        silent=system.silent,
    )
    ours = make_scores(truth, shared, better, generator)
    return Population(truth, ours, make_scores(truth, shared, system, generator))


@dataclass
class Coverage:
    """How often each interval held the true value, and how often the test rejected.

    `contradictions` are of two samples each, one of equal systems; `widths` are summed.
    """

    samples: int
    intervals: dict[str, int] = field(default_factory=counter)
    differences: dict[str, int] = field(default_factory=counter)
    rejections: dict[str, int] = field(default_factory=counter)
    verdicts: dict[str, int] = field(default_factory=counter)
    contradictions: dict[str, int] = field(default_factory=counter)
    widths: dict[str, float] = field(default_factory=summed)


def measure(
    population: Population | System,
    samples: int,
    *,
    seed: int = 0,
    resamples: int = 1000,
    randomisations: int = RANDOMISATIONS,
    texts: int = TEXTS,
) -> Coverage:
    """Draw samples from a population, of a system one of eight times as many texts, and count."""
    if isinstance(population, System):
        population = made_up(population, 8 * texts, seed)
    true, other = (values(score(population.truth, scores, EMOTIONS)) for scores in population[1:])
    generator = np.random.default_rng(seed)
    found = Coverage(samples)
    for number in range(samples):
        sample = population.drawn(generator.integers(len(population.truth), size=texts))
        for equal, (truth, ours, theirs) in enumerate((sample, sample.dealt(generator))):
            run = analyse(wrap(truth, ours), resamples=resamples, seed=number)
            baseline = analyse(wrap(truth, theirs), resamples=resamples, seed=number)
            for key, one in paired(
                run, baseline, randomisations=randomisations
            ).differences.items():
                gap = 0.0 if equal else true[key] - other[key]
                if one is not None and key in OVERALL:
                    zero_out = one.low > 0.0 or one.high < 0.0
                    found.contradictions[key] += (one.p < 0.05) != zero_out
                if equal:
                    found.rejections[key] += one is not None and one.p < 0.05
                    found.verdicts[key] += one is not None and one.verdict != "tie"
                else:
                    found.differences[key] += one is None or one.low <= gap <= one.high
            for key, interval in () if equal else run.intervals.items():
                # a class without positives in the sample has no interval and misses nothing
                inside = interval is None or interval.low <= true[key] <= interval.high
                found.intervals[key] += inside
                found.widths[key] += interval.high - interval.low if interval else 0.0
    return found


def tuned_level(population: Population, samples: int, texts: int) -> float:
    """How often equal systems differ at thresholds tuned on a validation split drawn anew."""
    generator, rejected = np.random.default_rng(0), 0
    weights = bootstrap_weights(texts, 400, 1), bootstrap_weights(texts, 400, 0)
    for number in range(samples):
        rows = generator.integers(len(population.truth), size=(2, texts))
        validation, test = (population.drawn(one).dealt(generator) for one in rows)
        runs, drawn = [], []
        for val, judged in zip(validation[1:], test[1:], strict=True):
            cuts = Tuned(validation.truth, val).thresholds
            splits = wrap(validation.truth, val), wrap(test.truth, judged)
            runs.append(analyse(splits[1], judged >= cuts, resamples=400, seed=number))
            drawn.append(tuned_macro_f1(*splits, *weights))
        one = paired(*runs, randomisations=400).differences["macro_f1"]
        assert one is not None
        rejected += widened(one, float(np.std(drawn[0] - drawn[1]))).p < 0.05
    return rejected / samples


def recipe_level(times: float, samples: int, ahead: float = 0.0) -> tuple[float, float]:
    """How often recipes of six seeds differ, by seeds and texts and by seeds alone (Welch).

    The texts bring `times` the standard error of the seeds; `ahead` is in standard errors.
    """
    generator, n = np.random.default_rng(0), 6
    error = math.sqrt(2 / n) * math.sqrt(1 + times**2)
    text_sd = times * math.sqrt(1 / n)
    covariance = np.kron(np.eye(2), np.full((n, n), text_sd**2)) + 0.25 * np.eye(2 * n)
    rejected = np.zeros(2)
    for _ in range(samples):
        drawn = np.repeat(generator.normal(0, text_sd, 2), n)
        drawn += generator.normal(0, math.sqrt(1.25), 2 * n)  # seeds, and how they take to texts
        drawn[:n] += ahead * error
        for column, texts in enumerate((covariance, np.zeros_like(covariance))):
            p = seed_difference(drawn[:n].tolist(), drawn[n:].tolist(), texts).p
            rejected[column] += p is not None and p < 0.05
    both, alone = rejected / samples
    return float(both), float(alone)


def differ(run: Analysis, other: Analysis, p: float) -> bool:
    """Whether a report tells two runs apart: by p of the swaps, and by that of the interval."""
    found = paired(run, other, randomisations=400).differences["macro_f1"] if p < 0.05 else None
    return found is not None and found.p < 0.05


def many_runs_level(population: Population, samples: int, texts: int, runs: int = 20) -> FloatArray:
    """How often reports of equal runs say "more than noise" of macro F1, by p and interval.

    Of any run against the baseline without adjustment and with it, and of the best of them against
    the baseline and against the next best.
    """
    generator, told = np.random.default_rng(0), np.zeros(4)
    for number in range(samples):
        drawn = population.drawn(generator.integers(len(population.truth), size=texts))
        dealt = [drawn.dealt(generator).ours >= 0.5 for _ in range(runs)]
        files = (wrap(drawn.truth, one.astype(np.float64)) for one in dealt)
        base, *rest = (analyse(one, resamples=400, seed=number) for one in files)
        found = np.array([one.point.overall["macro_f1"][0] for one in (base, *rest)])
        swaps = np.stack([swapped(one, base, 400).overall["macro_f1"] for one in rest])
        plain, adjusted = p_value(swaps.T, found[1:] - found[0]), max_t(found[1:] - found[0], swaps)
        first, second = np.argsort(-found)[:2]
        pair = (base, *rest)[first], (base, *rest)[second]
        lead = p_value(swapped(*pair, 400).overall["macro_f1"], found[first] - found[second])
        told += [
            any(differ(run, base, p) for run, p in zip(rest, plain, strict=True)),
            any(differ(run, base, p) for run, p in zip(rest, adjusted, strict=True)),
            first > 0 and differ(pair[0], base, adjusted[first - 1]),
            differ(*pair, float(lead)),
        ]
    return told / samples


def coverage_rows(
    populations: dict[str, Population], samples: int, sizes: Sequence[int]
) -> Iterator[tuple[str, ...]]:
    """A row for each population, size, and figure of the headline; two are measured at a time."""
    cells = [(name, texts) for name in populations for texts in sizes]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        measured = [pool.submit(measure, populations[name], samples, texts=texts)
                    for name, texts in cells]  # fmt: skip
        for (name, texts), waiting in zip(cells, measured, strict=True):
            found = waiting.result()
            for key in HEADLINE:
                counts = found.intervals[key], found.differences[key], found.rejections[key]
                shares = [f"{100 * count / samples:.1f}" for count in counts]
                both = f"{100 * found.contradictions[key] / (2 * samples):.1f}"
                width = f"{found.widths[key] / samples:.4f}"
                yield name, f"{texts:,}", OVERALL[key].title, shares[0], width, *shares[1:], both


def level_rows(populations: dict[str, Population], samples: int) -> Iterator[tuple[str, ...]]:
    """How often what is equal is told apart: recipes, and tuned thresholds."""
    for times in (1.0, 2.0, 6.5):
        both, alone = recipe_level(times, 20 * samples)
        power = recipe_level(times, 20 * samples, ahead=2.8)[0]
        about = f"recipes, text error {times:g} times the seed error"
        notes = f"seeds alone {100 * alone:.1f}; power at 2.8 standard errors {100 * power:.0f}"
        yield about, f"{100 * both:.1f}", notes
    name, population = next(iter(populations.items()))
    plain, adjusted, best, lead = 100 * many_runs_level(population, samples, 500)
    notes = f"without adjustment {plain:.1f}; the best against the baseline {best:.1f}, "
    notes += f"against the next best {lead:.1f}"
    yield f"any of 20 runs with the baseline, {name}, 500 texts", f"{adjusted:.1f}", notes
    for name, population in populations.items():
        level = tuned_level(population, samples, 1500)
        yield f"tuned macro F1, {name}, 1,500 texts each", f"{100 * level:.1f}", ""


def as_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--samples", type=int, default=150)
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 800, TEXTS])
    parser.add_argument("--quick", action="store_true", help="25 samples, two sizes, three systems")
    parser.add_argument("--population", nargs=2, type=Path, metavar="FILE", help="prediction files")
    parser.add_argument("--write", action="store_true", help="write the tables into the docs")
    chosen: Any = parser.parse_args()
    samples, sizes = (25, [500, 800]) if chosen.quick else (chosen.samples, chosen.sizes)
    names = list(SYSTEMS)[: 3 if chosen.quick else None]
    populations = {name: made_up(SYSTEMS[name], 8 * TEXTS, n) for n, name in enumerate(names)}
    if chosen.population:
        ours, theirs = map(read_predictions, chosen.population)
        title = f"{chosen.population[0].stem} and {chosen.population[1].stem}"
        populations = {title: Population(ours.truth, ours.probabilities, theirs.probabilities)}
    head = ("systems", "texts", "figure", "covers", "width", "difference covers", "level",
            "contradicts p")  # fmt: skip
    error = 100 * math.sqrt(0.95 * 0.05 / samples)
    tables = [
        f"{samples} samples in a row, in percent; 95 is wanted, its standard error is {error:.1f}.",
        as_table(head, list(coverage_rows(populations, samples, sizes))),
        as_table(("what is equal", "told apart", ""), list(level_rows(populations, samples))),
    ]
    text = "\n\n".join(tables)
    print(text)
    if chosen.write:
        before, _, rest = DOCS.read_text("utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        DOCS.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()

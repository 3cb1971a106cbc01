"""Seeds: repeats are no seeds, and only figures of the same texts are put together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from goemo_report.comparison import compare
from goemo_report.report.document import Callout, Plot, Section
from goemo_report.report.sections import seeds, summary
from goemo_report.results import RunResult
from goemo_report.statistics.many_runs import seed_mean
from tests.offline_runs import OfflineRun
from tests.report.sections.reading import column, table
from tests.synthetic import run_result


def made(model: str, number: int, *, logs_seed: bool = True, **about: object) -> RunResult:
    values = {"seed": number, "quality": 0.5 + 0.01 * number, "texts": 120} | about
    run = OfflineRun(model=model, run_id=f"run{number}", **values)  # type: ignore[arg-type] # above
    result = run_result(run, number=number)
    if logs_seed:
        return result
    config = {key: value for key, value in result.run.config.items() if key != "random_seed"}
    return replace(result, run=replace(result.run, config=config))


def built(*runs: RunResult) -> Section:
    section = seeds.build(compare(runs))
    assert section is not None
    return section


def left_out(section: Section) -> tuple[str, ...]:
    (found,) = (b for b in section.blocks if isinstance(b, Callout) and b.level == "warning")
    return found.items


def test_repeats_of_one_seed_are_one_seed() -> None:
    """Three runs of seed 1 against two of seed 1 allow no p-value, however far apart."""
    first = [made("base", number, seed=1) for number in (1, 2, 3)]
    second = [made("other", number, seed=1) for number in (30, 31)]
    section = built(*first, *second)
    found = table(section, "seeds-groups")
    assert set(column(found, "n")) == {1}
    assert set(column(found, "sd")) == {None}
    values = [run.splits["test"].scores.overall["macro_f1"] for run in first]
    assert column(found, "mean")[0] == pytest.approx(np.mean(np.array(values, np.float64)))
    assert column(table(section, "seeds-differences"), "p") == [None] * 5
    assert left_out(section) == (
        "base (R1, R2, R3): 3 runs of one seed; R1, R2, R3 averaged first.",
        "other (R4, R5): 2 runs of one seed; R4, R5 averaged first.",
    )


def test_a_repeat_among_seeds_is_averaged() -> None:
    section = built(made("base", 1), made("base", 2), made("base", 3, seed=2))
    assert column(table(section, "seeds-groups"), "n")[0] == 2
    assert left_out(section) == (
        "base (R1, R2, R3): 3 runs of 2 logged seeds; R2, R3 averaged first.",
    )


def test_runs_without_a_seed_are_no_seeds() -> None:
    section = built(*(made("base", number, logs_seed=False) for number in (1, 2)))
    assert column(table(section, "seeds-groups"), "n")[0] == 0
    (item,) = left_out(section)
    assert "2 runs of one seed, as far as is known: none was logged" in item


def test_groups_on_other_labels_or_texts_are_not_compared() -> None:
    base = [made("base", number) for number in (1, 2)]
    for about, reason in (
        ({"exclude_neutral": True}, "do not have the same labels"),
        ({"texts": 100}, "were not judged on the same texts"),
    ):
        other = [made("base", number, **about) for number in (3, 4)]
        other = [replace(one, run=replace(one.run, config={**one.run.config, "other": 1}))
                 for one in other]  # fmt: skip
        found = table(built(*base, *other), "seeds-differences")
        assert column(found, "difference") == column(found, "p") == [None] * 5
        assert str(column(found, "note")[0]) == f"not compared: R1 and R3 {reason}"


def test_runs_of_one_group_on_other_texts_have_no_mean() -> None:
    runs = [made("base", 1), made("base", 2, texts=100)]
    config = runs[0].run.config
    runs[1] = replace(
        runs[1], run=replace(runs[1].run, config={**config, "random_seed": 2})
    )  # as if both had said the same of their data
    found = table(built(*runs), "seeds-groups")
    assert column(found, "n")[0] == 2
    assert column(found, "mean")[0] is None
    assert "not judged on the same texts" in str(column(found, "range")[0])


def test_the_cover_draws_recipes_for_other_seeds_and_texts() -> None:
    """The interval of a recipe's mean is that of its seeds and texts, not the mean of its runs'."""
    runs = [made("base", number, seed=number) for number in (1, 8, 15)]
    comparison = compare([*runs, made("other", 20, seed=1)])
    recipe, alone = (one.recipe for one in (comparison.runs[0], comparison.runs[-1]))
    drawn = [run.replicates("macro_f1") for run in recipe.runs]
    wide = [run.interval("macro_f1") for run in recipe.runs]
    known = np.square([(one.high - one.low) / (2 * norm.ppf(0.975)) for one in wide if one])
    wider = np.clip(known.mean() / np.var(drawn, axis=1).mean(), 1.0, 2.0)  # resamples vary little
    expected = seed_mean([run.macro_f1 for run in recipe.runs], np.cov(drawn) * wider)
    assert recipe.interval() == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert alone.interval() == comparison.runs[-1].interval("macro_f1")
    plot = next(one for one in summary.build(comparison).blocks if isinstance(one, Plot))
    assert recipe.interval() in [(*one.low, *one.high) for one in plot.series]
    assert "other seeds" in plot.caption

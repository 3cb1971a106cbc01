"""Differences of runs with other texts or labels add up on what both have."""

from __future__ import annotations

import pytest

from goemo_report.comparison import compare
from goemo_report.report.document import Cell, Plot
from goemo_report.report.sections import differences
from tests.offline_runs import OfflineRun
from tests.synthetic import run_result


def test_a_minus_b_adds_up_where_one_run_lacks_neutral() -> None:
    base = OfflineRun(model="base", seed=1, quality=0.7, texts=400, tags=("final", "baseline"))
    other = OfflineRun(
        model="base", seed=1, quality=0.75, texts=400, exclude_neutral=True, run_id="noneutral"
    )
    comparison = compare([run_result(base, number=0), run_result(other, number=1)])
    alignment = comparison.runs[1].alignment
    assert alignment is not None
    assert not alignment.same_labels
    section = differences.build(comparison)
    assert section is not None
    plot = next(block for block in section.blocks if isinstance(block, Plot))
    assert len(plot.table.rows) == 27
    for _, _, value, baseline, difference in plot.table.rows:
        assert isinstance(baseline, float)
        assert isinstance(value, float)
        assert isinstance(difference, Cell)
        assert difference.value == pytest.approx(value - baseline, abs=1e-12)

"""A new metric is one entry of the table, and everything has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest

from goemo_report.metrics import table

ROOT = Path(__file__).parents[2]

NEW = """
    Metric(key="specificity", title="specificity", counts=lambda c: ratio(c.tn, c.tn + c.fp)),
    Metric(
        key="precision_at_half",
        title="half precision",
        averages=("micro", "samples"),
        counts=lambda c: ratio(c.tp, 2 * c.predicted),
    ),
    Metric(key="cost", title="cost", low=-1.0, high=0.0, counts=lambda c: -c.fn / c.total),
    Metric(
        key="misses",
        title="misses",
        averages=("samples",),
        group="texts",
        high=28.0,
        lower_is_better=True,
        counts=lambda c: c.fn,
    ),
    Metric(key="gini", title="Gini", low=-1.0, ranking=lambda groups: 2 * groups.auc() - 1),
    Metric(
        key="squares",
        title="squares",
        low=1.5,
        high=50.0,
        lower_is_better=True,
        pairs=lambda truth, probabilities: 1.5 + 10 * (probabilities - truth) ** 2,
    ),
    Metric(
        key="surprise",
        title="surprise",
        averages=("macro",),
        low=float("-inf"),
        high=float("inf"),
        pairs=lambda truth, probabilities: 100 * (probabilities - truth),
    ),
)
\"\"\"Every metric, in"""

PROGRAM = """
import sys, types
from pathlib import Path
import goemo_report.metrics
name = "goemo_report.metrics.table"
module = sys.modules[name] = goemo_report.metrics.table = types.ModuleType(name)
source, new = sys.stdin.read().split("\\0")
exec(compile(source.replace(')\\n\"\"\"Every metric, in', new), name, "exec"), module.__dict__)

import numpy as np
from goemo_report.api.comparisons import ComparisonResult
from goemo_report.audit.limits import parse_limit, recomputed_key, resolve
from goemo_report.comparison import compare
from goemo_report.metrics.scores import metrics_document
from goemo_report.report.sections import build_report
from goemo_report.metrics.scores import score
from tests.synthetic import CREATED, run_result
from tests.offline_runs import OfflineRun

runs = [run_result(OfflineRun(seed=seed), number=seed) for seed in (1, 2)]
comparison = compare(runs)
scores = comparison.runs[0].scores
document = metrics_document(scores)
assert 0.5 < document["overall"]["macro_specificity"] < 1
assert 0 <= document["per_class"][0]["specificity"] <= 1
run, other = comparison.runs
assert recomputed_key("specificity_macro", ()) == "macro_specificity"
new = [one for key, one in module.OVERALL.items() if one.metric in module.METRICS[-7:]]
assert len(new) == 2 + 2 + 2 + 1 + 2 + 2 + 1
for one in new:
    value, (low, high) = scores.overall[one.key], run.intervals[one.key]
    assert one.metric.low <= low <= value <= high <= one.metric.high and low < high, one.key
    gap = other.differences[one.key]
    assert gap.low <= gap.value <= gap.high and 0 < gap.p <= 1, one.key
    assert np.isclose(gap.value, other.value(one.key) - run.value(one.key)), one.key
    low, high = run.recipe.interval(one.key)
    assert low <= run.recipe.mean(one.key) <= high, one.key
    if one.metric.of_classes:
        key = f"{one.metric.key}_joy"
        assert run.intervals[key] and other.differences[key].p > 0, key
        limit = parse_limit("fail-over", f"{key}={one.metric.clip(0)}")
        assert resolve(limit, "test", runs).key == key
def share(key, low, span):
    return [(end - low) / span for end in run.intervals[key]]
assert np.allclose(share("squares_joy", 1.5, 10), share("brier_joy", 0, 1), atol=0.002)
assert np.allclose(share("micro_gini", -1, 2), share("micro_auc", 0, 1), atol=0.001)
low, high = share("macro_gini", -1, 2)  # few positives make the jackknife careful
width = np.ptp(run.intervals["macro_auc"])
assert low < run.intervals["macro_auc"].low and width < high - low < 2 * width
gini, auc = (other.differences[f"micro_{key}"] for key in ("gini", "auc"))
assert np.allclose([gini.low / 2, gini.high / 2, gini.p], [auc.low, auc.high, auc.p], atol=0.005)
report = build_report(comparison, created_at=CREATED, command="")
titles = {c.title for s in report.sections for b in s.blocks for c in getattr(b, "columns", ())
          if not isinstance(c, str)}
assert {"macro specificity", "misses", "micro half precision"} <= titles, titles
against = {row[0] for s in report.sections for b in s.blocks for row in getattr(b, "rows", ())
           if b.id == "differences-overall"}
narrow = {"misses", "Jaccard (samples)", "micro half precision", "macro Gini", "macro surprise"}
assert narrow <= against, against
frame = ComparisonResult(comparison).per_label
assert set(frame["metric"]) == set(module.CLASS_METRICS)
print(module.FINGERPRINT)
"""


def test_a_metric_is_added_in_one_place() -> None:
    source = Path(str(table.__file__)).read_text("utf-8")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=f"{source}\0{NEW}",
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() != table.FINGERPRINT


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ({}, "one of counts, ranking and pairs"),
        ({"counts": len, "pairs": max}, "one of counts, ranking and pairs"),
        ({"counts": len, "averages": ()}, "some of macro, micro, weighted, samples"),
        ({"ranking": len, "averages": ("weighted",)}, "some of macro, micro"),
        ({"counts": len, "group": "texts"}, "some of samples"),
        ({"pairs": max, "group": "texts", "averages": ("samples",)}, "follows from counts"),
        ({"counts": len, "averages": ("micro",), "narrow": ("macro",)}, "narrow has an average"),
    ],
)
def test_an_entry_that_contradicts_itself_is_refused(entry: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        table.Metric(key="new", title="new", **entry)


def test_contributing_shows_an_entry_of_the_table() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    example = page.split("```python\n")[1].split("```")[0]
    assert indent(example.strip(), "    ") in Path(str(table.__file__)).read_text("utf-8")

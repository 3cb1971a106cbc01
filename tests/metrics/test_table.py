"""A new metric is one entry of the table, and everything has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import indent

from goemo_report.metrics import table

ROOT = Path(__file__).parents[2]

NEW = """
    Metric(
        key="specificity",
        title="specificity",
        averages=("macro", "micro"),
        group="scores",
        narrow=("macro",),
        counts=lambda c: ratio(c.tn, c.tn + c.fp),
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

import json
from goemo_report.audit.limits import parse_limit, recomputed_key
from goemo_report.comparison import compare
from goemo_report.metrics.scores import metrics_document
from goemo_report.report.sections import build_report
from goemo_report.metrics.scores import score
from tests.synthetic import CREATED, run_result
from tests.offline_runs import OfflineRun

runs = [run_result(OfflineRun(seed=seed), number=seed) for seed in (1, 2)]
comparison = compare(runs)
scores = comparison.runs[0].found.scores
document = metrics_document(scores)
assert 0.5 < document["overall"]["macro_specificity"] < 1
assert 0 <= document["per_class"][0]["specificity"] <= 1
assert list(comparison.runs[0].intervals["macro_specificity"])
assert comparison.runs[1].differences["specificity_joy"].p > 0
assert recomputed_key("specificity_macro", ()) == "macro_specificity"
report = build_report(comparison, created_at=CREATED, command="")
titles = {c.title for s in report.sections for b in s.blocks for c in getattr(b, "columns", ())
          if not isinstance(c, str)}
assert "macro specificity" in titles, titles
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


def test_contributing_shows_an_entry_of_the_table() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    example = page.split("```python\n")[1].split("```")[0]
    assert indent(example.strip(), "    ") in Path(str(table.__file__)).read_text("utf-8")

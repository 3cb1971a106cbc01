"""Runs judged: by the guide's rules, and by the conditions of a quality gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from goemo_report.api.arguments import (
    Bar,
    Labels,
    Names,
    check,
    chosen_labels,
    each,
    waivers,
    with_baseline,
)
from goemo_report.contract import DEFAULT_THRESHOLD, Split
from goemo_report.errors import ArgumentError, NotFoundError, argument
from goemo_report.formats import notebook
from goemo_report.formats.json_text import SCHEMA_VERSION
from goemo_report.formats.text import printable
from goemo_report.formats.wording import plural
from goemo_report.predictions import understood
from goemo_report.statistics.intervals import percent

if TYPE_CHECKING:
    import pandas as pd

    from goemo_report.analysis.label_choice import LabelChoice
    from goemo_report.api.runs import Runs
    from goemo_report.audit import Audit
    from goemo_report.audit.gate import Condition
    from goemo_report.audit.limits import Kind, Limit
    from goemo_report.report.document import Table
    from goemo_report.sources.model import RunRecord

Limits = Mapping[str, float] | Names
"""Values by metric, or one text METRIC=VALUE or several."""
_FINDING: Final = ("run", "id", "severity", "rule", "finding", "remedy", "waived")
_CONDITION: Final = ("run", "id", "condition", "metric", "limit", "value", "low", "high", "passed")


@dataclass(frozen=True, eq=False)
class Audits(Sequence["Audit"]):
    """What the audit found, run by run; `notes` say which waived rules every run keeps."""

    audits: tuple[Audit, ...]
    strict: bool
    notes: tuple[str, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.audits)

    def __getitem__(self, index: Any) -> Any:
        """The audit of one run, by position."""
        return self.audits[index]

    @property
    def passed(self) -> bool:
        """Whether there is no error and, where it is strict, no warning."""
        return not any(one.failed(strict=self.strict) for one in self.audits)

    def to_frame(self) -> pd.DataFrame:
        """One row a finding: `run`, `id`, `severity`, `rule`, `finding`, `remedy`, `waived`."""
        import pandas as pd

        return pd.DataFrame(self._rows(), columns=list(_FINDING))

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for one in self.audits:
            for f in one.findings:
                about = one.run.name, one.run.id, f.rule.severity
                yield *about, f.rule.id, f.detail, f.rule.remedy, f.waived

    def document(self) -> dict[str, Any]:
        """All of it as one JSON value."""
        from goemo_report.audit import present

        return present.document(self.audits, strict=self.strict)

    def tables(self) -> list[str | Table]:
        """A line a run, then its findings, the gravest first, for reading."""
        from goemo_report.audit import present

        found: list[str | Table] = []
        for one in self.audits:
            found += [printable(present.verdict(one)), *present.tables(one)]
        return found

    def render(self, form: str) -> str:
        """As Markdown (`md`) or as annotations of GitHub Actions (`github`)."""
        from goemo_report.audit import present

        if form == "github":
            quiet = f"{plural(len(self), 'run')} checked, nothing found"
            found = present.github_annotations(self.audits)
            return found or f"::notice::goemo-report audit: {quiet}\n"
        return present.markdown(self.audits)

    def __repr__(self) -> str:
        return f"<Audit of {plural(len(self), 'run')}: {_outcome(self.passed)}>"

    def _repr_html_(self) -> str:
        rows = ((row[0], *row[2:5]) for row in self._rows())
        return notebook.page(
            repr(self), notebook.table(("run", "severity", "rule", "finding"), rows)
        )


@dataclass(frozen=True, eq=False)
class Gate:
    """Conditions on runs, each with what was found. True where all are met."""

    conditions: tuple[Condition, ...]
    split: Split
    confidence: float | None
    baseline: RunRecord | None
    columns: tuple[str, ...] = field(default=(), repr=False)
    """How columns of files were understood."""

    @property
    def passed(self) -> bool:
        """Whether every run meets every condition."""
        return all(one.passed for one in self.conditions)

    def __bool__(self) -> bool:
        return self.passed

    @property
    def notes(self) -> tuple[str, ...]:
        """What is judged where that is not the point value, and how many conditions failed."""
        failed = sum(not one.passed for one in self.conditions)
        of = plural(len(self.conditions), "condition")
        return (f"{failed} of {of} failed",) if failed else ()

    @property
    def rule(self) -> str:
        """What is judged, in words."""
        if self.confidence is None:
            return "point values are judged"
        return (
            f"bounds of the {percent(self.confidence)} interval are judged: the lower one against "
            f"{argument('fail_under')}, the upper one against {argument('fail_over')}, the worse "
            f"end of the paired difference against {argument('max_drop')}"
        )

    def to_frame(self) -> pd.DataFrame:
        """One row a condition and run: `run`, `id`, `condition`, `metric`, `limit`, `value`, `low`,
        `high` (float64) and `passed`."""
        import pandas as pd

        rows = [
            (one.run.name, one.run.id, *(getattr(one, name) for name in _CONDITION[2:]))
            for one in self.conditions
        ]
        kinds = dict.fromkeys(_CONDITION[4:8], "float64")
        return pd.DataFrame(rows, columns=list(_CONDITION)).astype(kinds)

    def document(self) -> dict[str, Any]:
        """All of it as one JSON value."""
        about = self.baseline and {"id": self.baseline.id, "name": self.baseline.name}
        return {
            "schema_version": SCHEMA_VERSION,
            "passed": self.passed,
            "split": self.split,
            "threshold": DEFAULT_THRESHOLD,
            "rule": self.rule,
            "confidence": self.confidence,
            "baseline": about,
            "conditions": [
                {**vars(one), "run": {"id": one.run.id, "name": one.run.name}}
                for one in self.conditions
            ],
        }

    def lines(self) -> Iterator[str]:
        """A line a condition."""
        for one in self.conditions:
            result = "ok" if one.passed else "failed"
            yield f"{result:<7} {one.run.name} ({one.run.id}): {one.condition}: {one.detail}"

    def render(self, form: str) -> str:
        """As a table in Markdown (`md`), or as JUnit XML (`junit`)."""
        from goemo_report.audit import present
        from goemo_report.report.render import render_block

        if form == "junit":
            return present.junit_xml(self.conditions)
        return render_block(present.gate_table(self.conditions, self.rule), form)

    def __repr__(self) -> str:
        return f"<Gate of {plural(len(self.conditions), 'condition')}: {_outcome(self.passed)}>"

    def _repr_html_(self) -> str:
        rows = ((_outcome(c.passed), c.run.name, c.condition, c.detail) for c in self.conditions)
        return notebook.page(
            repr(self), notebook.table(("result", "run", "condition", "found"), rows)
        )


def _outcome(passed: bool) -> str:
    return "passed" if passed else "failed"


def audited(runs: Runs, strict: bool, labels: Labels) -> Audits:
    """Runs held against every rule."""
    from goemo_report.audit import audit, unread, unused_waivers
    from goemo_report.audit.evidence import collect

    _require_any(runs)
    waived, reading = waivers(), chosen_labels(labels).reading
    with Bar(runs.progress) as bar:
        collected = collect(runs.source, runs.records, bar, reading=reading)
        found = tuple(audit(one, waived) for one in collected)
    found += tuple(map(unread, runs.skipped))
    notes = understood(file for one in collected for file in one.result.files)
    notes += (
        f"{one.run.name} is predictions alone: nothing was logged that the rules could hold"
        for one in collected
        if one.result.artifacts and all(held.kind == "file" for held in one.result.artifacts)
    )
    notes += (f"every run keeps the waived rule {one}" for one in unused_waivers(found, waived))
    return Audits(found, strict, tuple(notes))


def judged(
    runs: Runs,
    limits: Mapping[Kind, Limits],
    baseline: str | None,
    split: Split,
    confidence: float | None,
    choice: LabelChoice,
    *,
    require_artifacts: bool,
    require_audit: bool,
) -> Gate:
    """Runs held against conditions."""
    from goemo_report.audit import gate
    from goemo_report.audit.evidence import collect
    from goemo_report.audit.limits import resolve
    from goemo_report.loading import require_same_labels

    _require_any(runs)
    check(split=split)
    if not any(limits.values()) and not (require_artifacts or require_audit):
        raise ArgumentError("there is no condition", 'Give one, as fail_under={"macro_f1": 0.45}')
    asked = [limit for kind, wanted in limits.items() for limit in _limits(kind, wanted)]
    check(confidence=confidence)
    waived = waivers()
    every, beside = with_baseline(runs, (baseline or None) if limits["max-drop"] else None)
    with Bar(runs.progress) as bar:
        thorough = require_artifacts or require_audit
        collected = collect(
            every.source, every.records, bar, whole=thorough, reading=choice.reading
        )
    for one in collected:
        require_same_labels(one.result)
    evidence = {one.run.id: one for one in collected}
    required = [gate.require_artifacts] * require_artifacts + [gate.require_audit] * require_audit
    own = [evidence[run.id] for run in runs.records]
    results = [one.result.changed(choice.on) for one in own]
    reference = evidence[beside].result.changed(choice.on) if beside else None
    known = [*results, *([reference] if reference else [])]
    metrics = [resolve(limit, split, known) for limit in asked]
    judge = gate.Judge(split, confidence=confidence, baseline=reference)
    met: list[Condition] = []
    for held, result in zip(own, results, strict=True):
        met += [judge.judge(result, *pair) for pair in zip(asked, metrics, strict=True)]
        met += [require(held, waived) for require in required]
    met += map(gate.unreadable, runs.skipped)
    columns = understood(file for one in collected for file in one.result.files)
    about = reference.run if reference else None
    return Gate(tuple(met), split, confidence, about, tuple(columns))


def _require_any(runs: Runs) -> None:
    if not runs.records:
        raise NotFoundError("there are no runs to judge", "Ask for other runs")


def _limits(kind: Kind, wanted: Limits) -> list[Limit]:
    from goemo_report.audit.limits import parse_limit

    if isinstance(wanted, Mapping):
        wanted = [f"{metric}={value}" for metric, value in wanted.items()]
    return [parse_limit(kind, text) for text in each(wanted)]

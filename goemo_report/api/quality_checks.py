"""Runs judged: by the guide's rules, and by the conditions of a quality gate."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET  # written only, nothing is parsed

from goemo_report.analysis.label_choice import LabelChoice
from goemo_report.api.arguments import (
    Labels,
    Names,
    at_position,
    check,
    chosen_labels,
    each,
    waivers,
    with_baseline,
)
from goemo_report.api.progress import Bar
from goemo_report.audit import Audit, audit, gate, unread, unused_waivers
from goemo_report.audit.evidence import collect
from goemo_report.audit.gate import Condition
from goemo_report.audit.limits import Kind, parse_limit, resolve
from goemo_report.audit.registry import SEVERITIES, Severity
from goemo_report.contract import DEFAULT_THRESHOLD, Split
from goemo_report.errors import ArgumentError, NotFoundError, argument
from goemo_report.formats import notebook
from goemo_report.formats.json_text import SCHEMA_VERSION
from goemo_report.formats.text import printable, visible
from goemo_report.formats.wording import plural
from goemo_report.predictions import understood
from goemo_report.report.document import Cell, Column, Mark, Table
from goemo_report.report.render import render_block
from goemo_report.report.render.text import markdown_text
from goemo_report.results.loading import require_same_labels
from goemo_report.sources.model import RunRecord
from goemo_report.statistics.intervals import percent

if TYPE_CHECKING:
    import pandas as pd

    from goemo_report.api.runs import Runs

Limits = Mapping[str, float] | Names
"""Values by metric, or one text METRIC=VALUE or several."""
_FINDING: Final = ("run", "id", "severity", "rule", "finding", "remedy", "waived")
_CONDITION: Final = ("run", "id", "condition", "metric", "limit", "value", "low", "high", "passed")


_MARKS: Final[dict[Severity, Mark]] = {"error": "bad", "warning": "warning", "note": "muted"}
_COMMANDS: Final[dict[Severity, str]] = {"error": "error", "warning": "warning", "note": "notice"}
_COLUMNS: Final = (
    Column("rule", "Rule", "code"),
    Column("finding", "Finding"),
    Column("remedy", "What to do"),
)


@dataclass(frozen=True, eq=False)
class Audits(Sequence[Audit]):
    """Findings of the audit, run by run; `notes` say which waived rules every run keeps."""

    audits: tuple[Audit, ...]
    strict: bool
    notes: tuple[str, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.audits)

    def __getitem__(self, index: Any) -> Any:
        """The audit of one run, by position; NotFoundError where there is none."""
        return at_position(self.audits, index, "run")

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
        return {
            "schema_version": SCHEMA_VERSION,
            "passed": self.passed,
            "strict": self.strict,
            "runs": [_document(one, self.strict) for one in self.audits],
        }

    def tables(self) -> list[str | Table]:
        """A line a run, then its findings, the gravest first, for reading."""
        found: list[str | Table] = []
        for one in self.audits:
            found += [printable(_verdict(one)), *_tables(one)]
        return found

    def render(self, form: str) -> str:
        """As Markdown (`md`) or as annotations of GitHub Actions (`github`)."""
        if form == "github":
            found = "".join(map(_annotations, self.audits))
            quiet = f"{plural(len(self), 'run')} checked, nothing found"
            return found or f"::notice::goemo-report audit: {quiet}\n"
        parts = []
        for one in self.audits:
            parts.append(f"## {markdown_text(one.run.name)}\n\n{markdown_text(_verdict(one))}\n")
            parts += [render_block(table, form) for table in _tables(one)]
        return "\n".join(parts)

    def __repr__(self) -> str:
        return f"<Audit of {plural(len(self), 'run')}: {_outcome(self.passed)}>"

    def _repr_html_(self) -> str:
        rows = ((row[0], *row[2:5]) for row in self._rows())
        return notebook.page(
            repr(self), notebook.table(("run", "severity", "rule", "finding"), rows)
        )


def _verdict(audit: Audit) -> str:
    """One line on a run: how many rules were asked and what they found."""
    counts = [
        plural(len(found), severity) for severity in SEVERITIES if (found := audit.of(severity))
    ]
    if audit.waived:
        counts.append(f"{len(audit.waived)} waived")
    kept = ", ".join(counts) or "all kept"
    return f"{audit.run.name} ({audit.run.id}): {audit.rules} rules, {kept}"


def _tables(audit: Audit) -> Iterator[Table]:
    """One table a severity, the gravest first, then the waived findings with their reasons."""
    for severity in SEVERITIES:
        found = audit.of(severity)
        if found:
            yield Table(
                id=f"{severity}s",
                title=f"{severity.capitalize()}s ({len(found)})",
                columns=_COLUMNS,
                rows=tuple(
                    (Cell(one.rule.id, mark=_MARKS[severity]), one.detail, one.rule.remedy)
                    for one in found
                ),
            )
    if audit.waived:
        yield Table(
            id="waived",
            title=f"Waived ({len(audit.waived)})",
            columns=(*_COLUMNS[:2], Column("reason", "Reason")),
            rows=tuple(
                (Cell(one.rule.id, mark="muted"), one.detail, one.waived) for one in audit.waived
            ),
        )


def _document(audit: Audit, strict: bool) -> dict[str, Any]:
    run = audit.run
    return {
        "run": {**run.about(), "state": run.state},
        "passed": not audit.failed(strict=strict),
        "rules": audit.rules,
        "left_out": audit.left_out,
        "counts": {
            **{severity: len(audit.of(severity)) for severity in SEVERITIES},
            "waived": len(audit.waived),
        },
        "findings": [
            {
                "rule": one.rule.id,
                "subject": one.rule.subject,
                "severity": one.rule.severity,
                "finding": one.detail,
                "requires": one.rule.requires,
                "remedy": one.rule.remedy,
                "waived": one.waived or None,
            }
            for one in audit.findings
        ],
    }


def _annotations(audit: Audit) -> str:
    """One workflow command of GitHub Actions a finding that is not waived."""
    lines = []
    for severity in SEVERITIES:
        for finding in audit.of(severity):
            title = _data(f"{finding.rule.id} ({audit.run.name})")
            title = title.replace(":", "%3A").replace(",", "%2C")  # as properties have them
            message = _data(f"{audit.run.name}: {finding.detail}. {finding.rule.remedy}")
            lines.append(f"::{_COMMANDS[severity]} title={title}::{message}\n")
    return "".join(lines)


def _data(text: str) -> str:
    """A message of a workflow command: what would end it, or begin another, is encoded."""
    for character in ("%", "\r", "\n"):
        text = text.replace(character, f"%{ord(character):02X}")
    return visible(text)


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
        """How many conditions failed; empty where none did."""
        failed = sum(not one.passed for one in self.conditions)
        of = plural(len(self.conditions), "condition")
        return (f"{failed} of {of} failed",) if failed else ()

    @property
    def rule(self) -> str:
        """The figure that is judged, in words."""
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
        if form == "junit":
            return _junit_xml(self.conditions)
        rows = (
            (
                Cell("ok", mark="good") if one.passed else Cell("failed", mark="bad"),
                f"{one.run.name} ({one.run.id})",
                one.condition,
                one.detail,
            )
            for one in self.conditions
        )
        failed, number = sum(not one.passed for one in self.conditions), len(self.conditions)
        outcome = f"{failed} of {number} failed" if failed else f"all {number} met"
        table = Table(
            id="conditions",
            title=f"Quality gate: {outcome}",
            columns=tuple(
                Column(name, name.capitalize()) for name in ("result", "run", "condition", "found")
            ),
            rows=tuple(rows),
            caption=f"Metrics are recomputed from the predictions at threshold 0.5; {self.rule}.",
        )
        return render_block(table, form)

    def __repr__(self) -> str:
        return f"<Gate of {plural(len(self.conditions), 'condition')}: {_outcome(self.passed)}>"

    def _repr_html_(self) -> str:
        rows = ((_outcome(c.passed), c.run.name, c.condition, c.detail) for c in self.conditions)
        return notebook.page(
            repr(self), notebook.table(("result", "run", "condition", "found"), rows)
        )


_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""


def _junit_xml(conditions: Sequence[Condition]) -> str:
    """One test suite a run, one test case a condition, in their order."""
    suites: dict[str, list[Condition]] = {}
    for one in conditions:
        suites.setdefault(one.run.id, []).append(one)
    root = ET.Element("testsuites", _xml_counts("goemo-report check", conditions))
    for members in suites.values():
        run = members[0].run
        name = _xml_text(f"{run.name} ({run.id})")
        suite = ET.SubElement(root, "testsuite", _xml_counts(name, members))
        for one in members:
            about = {"classname": name, "name": _xml_text(one.condition), "time": "0"}
            case = ET.SubElement(suite, "testcase", about)
            if one.passed:
                ET.SubElement(case, "system-out").text = _xml_text(one.detail)
            else:
                failure = {"message": _xml_text(f"{one.condition}: {one.detail}"), "type": one.kind}
                ET.SubElement(case, "failure", failure).text = _xml_text(one.detail)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _xml_counts(name: str, conditions: Sequence[Condition]) -> dict[str, str]:
    failures = sum(not one.passed for one in conditions)
    counts = {"tests": str(len(conditions)), "failures": str(failures)}
    return {"name": name, **counts, "errors": "0", "time": "0"}


def _xml_text(text: str) -> str:
    return _NOT_XML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _outcome(passed: bool) -> str:
    return "passed" if passed else "failed"


def audited(runs: Runs, strict: bool, labels: Labels) -> Audits:
    """Runs held against every rule."""
    _require_any(runs)
    waived, reading = waivers(), chosen_labels(labels).reading
    with Bar(runs.progress) as bar:
        collected = collect(runs.source, runs.records, bar, reading=reading)
        found = tuple(audit(one, waived) for one in collected)
    found += tuple(map(unread, runs.skipped))
    notes = understood(file for one in collected for file in one.result.files)
    notes += (
        f"{one.run.name} is predictions alone: {plural(one.left_out, 'rule')} left out that only "
        "a logged run can keep"
        for one in found
        if one.left_out
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
    _require_any(runs)
    check(split=split)
    if not any(limits.values()) and not (require_artifacts or require_audit):
        raise ArgumentError("there is no condition", 'Give one, as fail_under={"macro_f1": 0.45}')
    asked = []
    for kind, wanted in limits.items():
        if isinstance(wanted, Mapping):
            wanted = [f"{metric}={value}" for metric, value in wanted.items()]
        asked += [parse_limit(kind, text) for text in each(wanted)]
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
    asked = [resolve(limit, split, known) for limit in asked]
    judge = gate.Judge(confidence=confidence, baseline=reference)
    met: list[Condition] = []
    for held, result in zip(own, results, strict=True):
        met += [judge.judge(result, limit) for limit in asked]
        met += [require(held, waived) for require in required]
    met += map(gate.unreadable, runs.skipped)
    columns = understood(file for one in collected for file in one.result.files)
    about = reference.run if reference else None
    return Gate(tuple(met), split, confidence, about, tuple(columns))


def _require_any(runs: Runs) -> None:
    if not runs.records:
        raise NotFoundError("there are no runs to judge", "Ask for other runs")

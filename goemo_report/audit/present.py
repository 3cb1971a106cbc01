"""Findings as tables, as one JSON document and as annotations; conditions as JUnit XML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from xml.etree import ElementTree as ET  # written only, nothing is parsed

from goemo_report.audit import Audit
from goemo_report.audit.gate import Condition
from goemo_report.audit.registry import SEVERITIES, Severity
from goemo_report.formats.json_text import SCHEMA_VERSION
from goemo_report.formats.text import visible
from goemo_report.formats.wording import plural
from goemo_report.report.document import Cell, Column, Mark, Table
from goemo_report.report.render import render_block
from goemo_report.report.render.text import markdown_text

_MARKS: Final[dict[Severity, Mark]] = {"error": "bad", "warning": "warning", "note": "muted"}
_COMMANDS: Final[dict[Severity, str]] = {"error": "error", "warning": "warning", "note": "notice"}
_COLUMNS: Final = (
    Column("rule", "Rule", "code"),
    Column("finding", "Finding"),
    Column("remedy", "What to do"),
)


def verdict(audit: Audit) -> str:
    """One line on a run: how many rules were asked and what they found."""
    counts = [
        plural(len(found), severity) for severity in SEVERITIES if (found := audit.of(severity))
    ]
    if audit.waived:
        counts.append(f"{len(audit.waived)} waived")
    kept = ", ".join(counts) or "all kept"
    return f"{audit.run.name} ({audit.run.id}): {audit.rules} rules, {kept}"


def tables(audit: Audit) -> Iterator[Table]:
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


def document(audits: Sequence[Audit], *, strict: bool) -> dict[str, Any]:
    """What `audit --format json` prints."""
    return {
        "schema_version": SCHEMA_VERSION,
        "passed": not any(one.failed(strict=strict) for one in audits),
        "strict": strict,
        "runs": [_run(one, strict) for one in audits],
    }


def _run(audit: Audit, strict: bool) -> dict[str, Any]:
    run = audit.run
    return {
        "run": {**run.about(), "state": run.state},
        "passed": not audit.failed(strict=strict),
        "rules": audit.rules,
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


def markdown(audits: Iterable[Audit]) -> str:
    """What `audit --format md` prints."""
    parts = []
    for audit in audits:
        parts.append(f"## {markdown_text(audit.run.name)}\n\n{markdown_text(verdict(audit))}\n")
        parts += [render_block(table, "md") for table in tables(audit)]
    return "\n".join(parts)


# --- GitHub Actions -------------------------------------------------------------------


def github_annotations(audits: Iterable[Audit]) -> str:
    """One workflow command a finding that is not waived; an empty text without any."""
    lines = []
    for audit in audits:
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


# --- Conditions ----------------------------------------------------------------------


def gate_table(conditions: Sequence[Condition], rule: str) -> Table:
    """The conditions with what was found, for reading."""
    failed = sum(not one.passed for one in conditions)
    verdict = f"{failed} of {len(conditions)} failed" if failed else f"all {len(conditions)} met"
    return Table(
        id="conditions",
        title=f"Quality gate: {verdict}",
        columns=tuple(
            Column(name, name.capitalize()) for name in ("result", "run", "condition", "found")
        ),
        rows=tuple(
            (
                Cell("ok", mark="good") if one.passed else Cell("failed", mark="bad"),
                f"{one.run.name} ({one.run.id})",
                one.condition,
                one.detail,
            )
            for one in conditions
        ),
        caption=f"Metrics are recomputed from the predictions at threshold 0.5; {rule}.",
    )


# --- JUnit XML ------------------------------------------------------------------------

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""


def junit_xml(conditions: Sequence[Condition]) -> str:
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

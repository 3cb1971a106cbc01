"""Conditions as JUnit XML, which CI systems show as test results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as ET  # written only, nothing is parsed

from goemo_report.audit.gate import Condition

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""


def junit_xml(conditions: Sequence[Condition]) -> str:
    """One test suite a run, one test case a condition, in their order."""
    suites: dict[str, list[Condition]] = {}
    for one in conditions:
        suites.setdefault(one.run.id, []).append(one)
    root = ET.Element("testsuites", _counts("goemo-report check", conditions))
    for members in suites.values():
        run = members[0].run
        name = _text(f"{run.name} ({run.id})")
        suite = ET.SubElement(root, "testsuite", _counts(name, members))
        for one in members:
            about = {"classname": name, "name": _text(one.text), "time": "0"}
            case = ET.SubElement(suite, "testcase", about)
            if one.passed:
                ET.SubElement(case, "system-out").text = _text(one.detail)
            else:
                failure = {"message": _text(f"{one.text}: {one.detail}"), "type": one.kind}
                ET.SubElement(case, "failure", failure).text = _text(one.detail)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _counts(name: str, conditions: Sequence[Condition]) -> dict[str, str]:
    failures = sum(not one.passed for one in conditions)
    return {
        "name": name,
        "tests": str(len(conditions)),
        "failures": str(failures),
        "errors": "0",
        "time": "0",
    }


def _text(text: str) -> str:
    return _NOT_XML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)

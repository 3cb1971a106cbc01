"""Does a run keep the guide, and is what it logged true? Every requirement is one named rule."""

from __future__ import annotations

from goemo_report.audit.evidence import Evidence, collect
from goemo_report.audit.judge import RULES, Audit, Finding, audit, check_waivers, unused_waivers
from goemo_report.audit.registry import SEVERITIES, SEVERITY_MEANINGS, Rule, Severity

__all__ = [
    "RULES",
    "SEVERITIES",
    "SEVERITY_MEANINGS",
    "Audit",
    "Evidence",
    "Finding",
    "Rule",
    "Severity",
    "audit",
    "check_waivers",
    "collect",
    "unused_waivers",
]

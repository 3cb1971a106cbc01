"""Does a run keep the guide, and is what it logged true? Every requirement is one named rule.

Every rule is asked about the evidence; waived findings are kept with the reason.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from goemo_report.audit.artifact_rules import ARTIFACT, PER_CLASS, PREDICTIONS
from goemo_report.audit.checkpoint_rules import CHECKPOINT, CONTENTS
from goemo_report.audit.evidence import Evidence
from goemo_report.audit.log_rules import CONFIG, METRICS, RUN
from goemo_report.audit.registry import SEVERITIES, Rule, Severity
from goemo_report.audit.truth_rules import TRUTH
from goemo_report.errors import SettingsError, unexpected
from goemo_report.formats.text import shown
from goemo_report.sources.model import RunRecord, SkippedRun

RULES: Final[tuple[Rule, ...]] = (
    *RUN.rules,
    *CONFIG.rules,
    *METRICS.rules,
    *ARTIFACT.rules,
    *PREDICTIONS.rules,
    *PER_CLASS.rules,
    *CONTENTS.rules,
    *TRUTH.rules,
    *CHECKPOINT.rules,
)
"""Every rule, in the order of reports."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach of a rule; `waived` is the reason that the settings give, if they do."""

    rule: Rule
    detail: str
    waived: str = ""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found about one run, gravest first, waived findings included.

    `rules` were asked; `left_out` could not be: only a run with a log can keep them.
    """

    run: RunRecord
    findings: tuple[Finding, ...]
    rules: int
    left_out: int = 0

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """Findings of one severity that are not waived."""
        return tuple(f for f in self.findings if f.rule.severity == severity and not f.waived)

    @property
    def waived(self) -> tuple[Finding, ...]:
        """Findings that the settings waive."""
        return tuple(finding for finding in self.findings if finding.waived)

    def failed(self, *, strict: bool = False) -> bool:
        """Whether there is an error or, with `strict`, a warning."""
        return bool(self.of("error") or (strict and self.of("warning")))


def check_waivers(waivers: Mapping[str, str]) -> None:
    """Refuse waivers of rules that do not exist. Raises SettingsError."""
    known = [rule.id for rule in RULES]
    for name in waivers:
        if name not in known:
            close = difflib.get_close_matches(name, known, 3)
            hint = f"Did you mean {' or '.join(close)}?" if close else "See docs/audit.md"
            raise SettingsError(f"[tool.goemo] waives the unknown rule {shown(name)}", hint)


def audit(
    evidence: Evidence,
    waivers: Mapping[str, str] | None = None,
    rules: Sequence[Rule] | None = None,
) -> Audit:
    """Ask these rules about one run, or all that it can keep."""
    reasons = waivers or {}
    asked = [rule for rule in RULES if rule.can_be_kept(evidence)] if rules is None else rules
    found = [
        Finding(rule.worded(evidence.label_set), detail, reasons.get(rule.id, ""))
        for rule in asked
        for detail in _details(rule, evidence)
    ]
    found.sort(key=lambda finding: SEVERITIES.index(finding.rule.severity))
    left_out = len(RULES) - len(asked) if rules is None else 0
    return Audit(evidence.run, tuple(found), len(asked), left_out)


def unread(skipped: SkippedRun) -> Audit:
    """Make the audit of a run that cannot be read, of which only the name is known."""
    unknown = RunRecord(skipped.name, skipped.name, None, "", None, "", (), None, {}, {}, "")
    rule = replace(_READABLE, remedy=skipped.remedy or _READABLE.remedy)
    return Audit(unknown, (Finding(rule, skipped.reason),), 1)


_READABLE: Final = Rule(
    *("run-readable", "run", "error", "The run can be read whole."),
    *("Repair it, or choose the runs without it", lambda _: ()),
)


def _details(rule: Rule, evidence: Evidence) -> list[str]:
    try:
        return list(rule.check(evidence))
    except Exception as error:  # noqa: BLE001 - the other rules and runs are judged, whatever it is
        return [f"cannot be judged: {unexpected(error)}"]


def unused_waivers(audits: Iterable[Audit], waivers: Mapping[str, str]) -> list[str]:
    """Waivers of rules that no run breaks."""
    used = {finding.rule.id for one in audits for finding in one.waived}
    return [name for name in waivers if name not in used]

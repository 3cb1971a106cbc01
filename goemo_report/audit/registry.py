"""Rules as values: what each requires of a run, how grave a breach is and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from goemo_report.audit.evidence import Evidence
from goemo_report.labels import LabelSet

Severity = Literal["error", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
Subject = Literal["run", "config", "metrics", "artifacts", "truth"]
Check = Callable[[Evidence], Iterable[str]]

SEVERITY_MEANINGS: Final[dict[Severity, str]] = {
    "error": "the guide asks for it and it is missing or wrong, or a logged figure is not true",
    "warning": "the run can be read, but something about it is likely to mislead",
    "note": "the run spells it otherwise than the guide; goemo-report reads it all the same",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One requirement. `check` yields one line for every breach, nothing where it is kept.

    `{noun}` and `{nouns}` in the texts stand for what a run's labels are called.
    """

    id: str
    subject: Subject
    severity: Severity
    requires: str
    remedy: str
    check: Check

    def worded(self, label_set: LabelSet) -> Rule:
        """The rule as it is said of a run with these labels."""

        def said(text: str) -> str:
            return text.replace("{nouns}", label_set.nouns).replace("{noun}", label_set.noun)

        return replace(self, requires=said(self.requires), remedy=said(self.remedy))


class RuleSet:
    """The rules about one subject, in the order in which they are declared."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.rules: list[Rule] = []

    def rule(
        self, name: str, severity: Severity, requires: str, remedy: str
    ) -> Callable[[Check], Check]:
        """Declare the decorated function as a rule."""

        def declare(check: Check) -> Check:
            self.add(name, severity, requires, remedy, check)
            return check

        return declare

    def add(self, name: str, severity: Severity, requires: str, remedy: str, check: Check) -> None:
        """Declare a rule that was made from a table of the contract."""
        self.rules.append(Rule(name, self.subject, severity, requires, remedy, check))

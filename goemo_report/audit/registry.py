"""Rules as values: what each requires of a run, how grave a breach is and what to do.

Also what several rules ask of a logged value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Concatenate, Final, Literal, ParamSpec, get_args

from goemo_report.audit.evidence import Evidence
from goemo_report.contract import Key
from goemo_report.formats import wording
from goemo_report.labels import LabelSet

Severity = Literal["error", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
Subject = Literal["run", "config", "metrics", "artifacts", "truth"]
Check = Callable[[Evidence], Iterable[str]]
KeyCheck = Callable[[Evidence, Key], Iterable[str]]
Sane = tuple[Callable[[Any], bool], str]
"""Whether a value makes sense, and the sensible values in words."""
_Given = ParamSpec("_Given")


@dataclass(frozen=True, slots=True)
class Rule:
    """One requirement. `check` yields one line for every breach, nothing where it is kept.

    `{noun}` and `{nouns}` in the texts stand for what a run's labels are called; `{data}`,
    `{sizes}`, `{without_rest}` and `{project}` for what is known about their data set. `of_files`
    says that prediction files which no run logged can keep it, `config_key` which key of a config
    it is about.
    """

    id: str
    subject: Subject
    severity: Severity
    requires: str
    remedy: str
    check: Check
    of_files: bool = False
    config_key: str = ""

    def can_be_kept(self, evidence: Evidence) -> bool:
        """Whether the run, or the files that no run logged, can have what the rule asks for."""
        return self.of_files or not evidence.is_files or self.config_key in evidence.run.config

    def worded(self, label_set: LabelSet) -> Rule:
        """The rule as it is said of a run with these labels."""
        data, rest = label_set.data, label_set.rest
        sizes = data.split_samples.items() if data else ()
        known = {
            "nouns": label_set.nouns,
            "noun": label_set.noun,
            "data": data.name if data else "a known data set",
            "sizes": f": {', '.join(f'{n} {split}' for split, n in sizes)}" if sizes else "",
            "without_rest": f" without {rest}, or" if rest else "",
            "project": (data and data.project) or "of its data set",
        }

        def said(text: str) -> str:
            return re.sub(r"\{(\w+)\}", lambda part: known.get(part[1], part[0]), text)

        return replace(self, requires=said(self.requires), remedy=said(self.remedy))


class RuleSet:
    """The rules about one subject, in the order in which they are declared."""

    def __init__(self, subject: Subject, *, of_files: bool = False) -> None:
        """`of_files` says that prediction files which no run logged can keep the rules."""
        self.subject, self.of_files = subject, of_files
        self.rules: list[Rule] = []

    def rule(
        self, severity: Severity, remedy: str, *, requires: str = ""
    ) -> Callable[[Check], Check]:
        """Declare the decorated function as a rule: its name is the rule's id, and its docstring
        what the rule requires, where `requires` does not say it."""

        def declare(check: Check) -> Check:
            name = check.__name__.strip("_").replace("_", "-")
            required = requires or " ".join((check.__doc__ or "").split())
            self._append(name, severity, required, remedy, check)
            return check

        return declare

    def rule_of_keys(
        self, prefix: str, keys: Iterable[Key], remedy: str, sane: Mapping[str, Sane] | None = None
    ) -> Callable[[KeyCheck], KeyCheck]:
        """Declare the decorated function as a rule about each key: `{name}`, `{type}`, `{range}`
        and `{meaning}` in its docstring and in the remedy are the key's."""

        def declare(check: KeyCheck) -> KeyCheck:
            required = " ".join((check.__doc__ or "").split())
            for key in keys:
                name = key.name.removeprefix("system/").replace("/", "-").replace("_", "-")
                kind = key.type.__name__ + (", or null" if key.optional else "")
                range_ = f" ({sane[key.name][1]})" if sane and key.name in sane else ""
                about = {"name": key.name, "type": kind, "range": range_, "meaning": key.meaning}
                texts = required.format(**about), remedy.format(**about)
                in_config = key.name if self.subject == "config" else ""
                asked = partial(_of_key, check, key)
                self._append(f"{prefix}-{name}", "error", *texts, asked, in_config)
            return check

        return declare

    def add(
        self,
        name: str,
        severity: Severity,
        requires: str,
        remedy: str,
        check: Callable[Concatenate[Evidence, _Given], Iterable[str]],
        *given: _Given.args,
        **named: _Given.kwargs,
    ) -> None:
        """Declare a rule for one entry of a table; `check` gets what follows it as well."""

        def checked(evidence: Evidence) -> Iterable[str]:
            return check(evidence, *given, **named)

        self._append(name, severity, requires, remedy, checked)

    def _append(
        self,
        name: str,
        severity: Severity,
        requires: str,
        remedy: str,
        check: Check,
        config_key: str = "",
    ) -> None:
        given = (self.subject, severity, requires, remedy, check, self.of_files, config_key)
        self.rules.append(Rule(name, *given))


def _of_key(check: KeyCheck, key: Key, evidence: Evidence) -> Iterable[str]:
    return check(evidence, key)


# --- Logged values --------------------------------------------------------------------

SHARE: Final[Sane] = (lambda v: 0 <= v <= 1, "from 0 to 1")
NOT_NEGATIVE: Final[Sane] = (lambda v: v >= 0, "at least 0")
ABOVE_ZERO: Final[Sane] = (lambda v: v > 0, "above 0")
AT_LEAST_ONE: Final[Sane] = (lambda v: v >= 1, "at least 1")

_VERSION: Final = re.compile(r"v?\d+(\.\d+)*([-._]?(a|b|c|rc|alpha|beta|pre|post|dev)[-._]?\d*)*"
                             r"([+-][A-Za-z0-9.+_-]+)?")  # fmt: skip
_TYPE_NAMES: Final = {int: "a whole number", float: "a number", str: "text", bool: "true or false",
                      dict: "a mapping"}  # fmt: skip
_LONGEST: Final = 60
_LARGEST: Final = 1e300  # JSON whole numbers may be larger than any float


listed = partial(wording.listed, limit=6)


def is_version(text: str) -> bool:
    """Whether a text starts as version numbers do, `2.13.0+cpu` included."""
    return _VERSION.fullmatch(text.strip()) is not None


def shown(value: object) -> str:
    """A logged value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def has_type(value: object, kind: type) -> bool:
    """Whether a value that went through JSON is of a type: 16.0 is whole, 2 is a number."""
    if kind not in (int, float):
        return isinstance(value, Mapping if kind is dict else kind)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _LARGEST and (kind is float or float(value).is_integer())  # nan is not less


def fault(
    values: Mapping[str, Any], key: Key, sane: Sane | None = None, where: str = ""
) -> Iterator[str]:
    """Yield what is wrong with one key of a mapping; nothing where it is right."""
    value, what = values.get(key.name), f"{key.name}{where} is"
    if key.name not in values:
        yield f"{what} missing"
    elif value is None:
        if not key.optional:
            yield f"{what} null, not {_TYPE_NAMES[key.type]}"
    elif not has_type(value, key.type):
        yield f"{what} {shown(value)}, not {_TYPE_NAMES[key.type]}"
    elif key.type is str and not value.strip():
        yield f"{what} empty"
    elif sane is not None and not sane[0](value):
        yield f"{what} {shown(value)}, not {sane[1]}"

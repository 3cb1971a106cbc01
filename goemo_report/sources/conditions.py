"""Which runs: conditions as text, `config.learning_rate > 1e-5`, their order, and how many."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from operator import ge, gt, le, lt
from typing import Any, Final, TypeAlias

from goemo_report.contract import RUN_FIELDS
from goemo_report.errors import ArgumentError, argument
from goemo_report.formats.json_text import as_text, jsonable
from goemo_report.formats.text import shown
from goemo_report.sources.model import SUMMARIES, Listing, RunRecord, as_number, summarised

_ON_SERVER: Final = {
    "id": "name", "name": "display_name", "state": "state", "tags": "tags", "group": "group",
    "job_type": "jobType", "sweep": "sweep",
}  # fmt: skip
"""Fields whose equality a server may be asked for, by its name of them."""

_KEYS: Final = f"Keys: config.KEY, summary.KEY, {', '.join(RUN_FIELDS)}"
_SIGNS: Final = ("==", "!=", "<=", ">=", "<", ">", "~")
_OPERATORS: Final = f"Operators: {' '.join(_SIGNS)} in"
_FORM: Final = "Write KEY OPERATOR VALUE, as 'config.learning_rate > 1e-5'"
_PARTS: Final = re.compile(
    r"\s*(?P<key>(?:\"[^\"]*\"|[^\s<>=!~\"])+)\s*"
    r"(?P<operator>==|!=|<=|>=|<|>|~|(?<=\s)in(?![^\s\[('\"]))(?P<value>.*)",
    re.DOTALL,
)
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
_QUOTED: Final = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_ITEM: Final = re.compile(r"\s*(\"[^\"]*\"|'[^']*'|[^,\"']*[^,\"'\s])\s*(?:,|$)")
_JOINT: Final = re.compile(r"\s(and|or|&&|\|\|)\s", re.IGNORECASE)
_CONSTANTS: Final = {"true": True, "false": False, "null": None, "none": None}
_ORDERS: Final[Mapping[str, Any]] = {"<": lt, "<=": le, ">": gt, ">=": ge}
_MODELS: Final = ("config.model_name.value", "config._name_or_path.value", "display_name")
"""Where a server has the name of a run's model."""
_PLAIN: Final = re.compile(r"[\w./ -]+")
"""Names that mean themselves as a regular expression, or a little more."""
_METRIC: Final = re.compile("auc|(macro|micro|weighted|samples|f1|precision|recall|support)_.+")
"""How the guide's metrics are called after their split."""
_MONGO: Final = {"<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}

Scalar: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Key:
    """A value of a run: `config.KEY`, `summary.KEY` with nested keys joined by dots, or a field."""

    section: str
    name: str

    @classmethod
    def of(cls, text: str) -> Key:
        """Take a key apart. Raises ArgumentError for one that no run can have."""
        section, dot, name = text.replace('"', "").strip().partition(".")
        if section in {"config", "summary"} and name:
            return cls(section, name)
        if section in RUN_FIELDS and not dot:
            return cls("", section)
        if section in {"config", "summary"}:
            raise ArgumentError(f"{section} needs a key after a dot", f"As {section}.KEY")
        import difflib

        close = difflib.get_close_matches(text, [*RUN_FIELDS, "config", "summary"], n=1)
        if meant := difflib.get_close_matches(section, ["config", "summary"], n=1) if name else []:
            close = [f"{meant[0]}.{name}"]
        logged = f"summary.{text}" if "/" in text else f"config.{text}"
        if _METRIC.fullmatch(text):
            logged = f"summary.test/{text}"
        guess = close[0] if close else logged
        raise ArgumentError(f"there is no key {shown(text)}: did you mean {guess}?", _KEYS)

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.section}.{self.name}" if self.section else self.name

    def value(self, run: RunRecord) -> Any:
        """The value as logged, None where the run has none."""
        if not self.section:
            value = getattr(run, "model_name" if self.name == "model" else self.name)
            return None if value == "" else value
        return summarised(_found(run.logged(self.section), self.name))[0]

    def scalar(self, run: RunRecord) -> Any:
        """The value for comparing: a number, text, truth value or time; other values as JSON."""
        value = self.value(run)
        if value is None or isinstance(value, bool | int | datetime):
            return value
        if isinstance(value, tuple):
            return ", ".join(value)
        number = as_number(value)
        if number is not None:
            return number
        return as_text(value)


_TAGS: Final = Key("", "tags")
_MODEL: Final = Key("", "model")


def _found(values: Mapping[str, Any], name: str) -> Any:
    if name in values:
        return values[name]
    for at, character in enumerate(name):
        inner = values.get(name[:at]) if character == "." else None
        if isinstance(inner, Mapping) and (value := _found(inner, name[at + 1 :])) is not None:
            return value
    return None


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, such as `config.learning_rate > 1e-5` or `tags in [final, baseline]`.

    A run without the key fulfils only `!=` and `== null`. Tags are compared one by one, a model's
    name whole or what follows its last slash. With every operator a number means numbers, and one
    in quotes, `"5"`, what was logged as text; fields of a run, such as its name, are text. A time
    means all of its day, minute or second.
    """

    text: str
    key: Key
    operator: str
    operands: tuple[tuple[Scalar, str], ...]
    """Values, each as it is meant and as it was written."""

    @classmethod
    def of(cls, text: str) -> Condition:
        """Read a condition. Raises ArgumentError, which shows it and says what is wrong."""
        try:
            return cls._read(text)
        except ArgumentError as error:
            raise ArgumentError(f"{shown(text)}: {error.what}", error.remedy) from None

    @classmethod
    def given(cls, name: str, values: Sequence[str]) -> list[Condition]:
        """What an argument asks for by its name: all of `tag`, none of `not_tag`, one of the values
        of `any_tag`, `state`, `model` and other fields of a run."""
        key = Key("", "tags" if name.endswith("tag") else name)
        apart = name in {"tag", "not_tag"}
        return [
            cls(
                " ".join(argument(name, value) for value in group),
                key,
                "!=" if name == "not_tag" else "in",
                tuple((value, value) for value in group),
            )
            for group in ([[value] for value in values] if apart else [values])
            if group
        ]

    @classmethod
    def _read(cls, text: str) -> Condition:
        found = _PARTS.fullmatch(text)
        if found is None:
            if (wrong := re.search(r"[<>=!~]+", text)) is not None and wrong[0] not in _SIGNS:
                usual = {"=": "Write == for equal", "=~": "Write ~"}
                remedy = usual.get(wrong[0], _OPERATORS)
                raise ArgumentError(f"{wrong[0]} is not an operator", remedy)
            raise ArgumentError("there is no operator", f"{_FORM}; {_OPERATORS.lower()}")
        key, operator, value = Key.of(found["key"]), found["operator"], found["value"].strip()
        if operator == "~" and found["value"].startswith("="):
            raise ArgumentError("~= is not an operator", "Write ~")
        if not value:
            raise ArgumentError(f"there is no value after {operator}", _FORM)
        if value[0] in "=<>!~" and operator != "~":
            raise ArgumentError(f"{operator}{value[0]} is not an operator", _OPERATORS)
        operands = tuple(_items(value)) if operator == "in" else (_operand(value, operator),)
        condition = cls(argument("where", text), key, operator, operands)
        condition._check()
        return condition

    def _check(self) -> None:
        value, written = self.operands[0]
        if self.operator == "~":
            try:
                re.compile(written)
            except (re.error, OverflowError, RecursionError) as error:
                what = f"{shown(written)} is no regular expression: {error}"
                raise ArgumentError(what, "Escape special characters with a backslash") from (error)
        elif self.key == Key("", "created_at"):
            for meant, moment in self.operands:
                if meant is not None:
                    _span(moment)
        if self.operator in _ORDERS and not self.key.section and self.key.name != "created_at":
            raise ArgumentError(f"{self.key} has no order", "Use == != in or ~")
        if self.operator in _ORDERS and (value is None or isinstance(value, bool)):
            raise ArgumentError(f"{written} has no order", "Use == or !=")

    @property
    def wanted(self) -> list[str]:
        """The values that it asks for, as they were written."""
        return [] if self.operator == "!=" else [written for _, written in self.operands]

    def holds(self, run: RunRecord) -> bool:
        """Whether a run fulfils it."""
        value = self.key.scalar(run)
        if self.key == _TAGS:
            value = run.tags
        if self.operator in {"==", "in", "!="}:
            if self.key == _MODEL and value is not None:
                value = (value, value.rsplit("/", 1)[-1])
            return self._equal(value) != (self.operator == "!=")
        if value is None:
            return False
        wanted, written = self.operands[0]
        if self.operator == "~":
            texts = value if isinstance(value, tuple) else (_written(value),)
            return any(re.search(written, text) for text in texts)
        if isinstance(value, datetime):
            first, last = _span(written)
            if self.operator == "<=":
                return _aware(value) < last
            if self.operator == ">":
                return _aware(value) >= last
            return bool(_ORDERS[self.operator](_aware(value), first))
        numbers = isinstance(wanted, int | float)
        alike = isinstance(value, int | float) and not isinstance(value, bool)
        comparable = numbers == alike and not isinstance(value, bool)
        return comparable and bool(_ORDERS[self.operator](value, wanted))

    def _equal(self, value: Any) -> bool:
        if isinstance(value, tuple):
            return any(written in value for _, written in self.operands)
        return any(_same(value, wanted, written, self.key) for wanted, written in self.operands)

    def on_server(self) -> dict[str, Any] | None:
        """A server's filter that holds for these runs, and perhaps for some more; else None.

        Only what every server is known to do: equality of fields, and comparisons of plain keys
        with numbers. A run that was uploaded later was created there after it started.
        """
        if self.operator == "!=" and self.key == _TAGS:  # as the client's own generator writes it
            return {"$or": [{"tags": None}, {"tags": {"$ne": self.operands[0][1]}}]}
        if self.operator in {"!=", "~"} or any(v is None or v == "" for v, _ in self.operands):
            return None
        if any(written.startswith(("[", "{")) for _, written in self.operands):
            return None  # it may be meant for a list, which is compared as JSON
        if not self.key.section:
            if self.key.name == "created_at" and self.operator in {">", ">="}:
                start = _span(self.operands[0][1])[0]
                return {"created_at": {"$gte": f"{start:%Y-%m-%dT%H:%M:%S}"}}
            names = [written for _, written in self.operands]
            if self.key == _MODEL and all(map(_PLAIN.fullmatch, names)):
                parts = [_either(path, [{"$regex": name} for name in names]) for path in _MODELS]
                return {"$or": parts}
            field = _ON_SERVER.get(self.key.name)
            return _either(field, names) if field is not None else None
        if "." in self.key.name or '"' in self.key.name:
            return None
        if self.operator in _ORDERS:
            wanted = self.operands[0][0]
            if not isinstance(wanted, int | float) or not math.isfinite(wanted):
                return None
            beyond = "Infinity" if ">" in self.operator else "-Infinity"
            values: list[Any] = [{_MONGO[self.operator]: wanted}, beyond]
        else:
            values = [jsonable(value) for value, _ in self.operands]  # infinity is a string
        if self.key.section == "config":
            return _either(f"config.{self.key.name}.value", values)
        path = f"summary_metrics.{self.key.name}"
        paths = [path, *(f"{path}.{kind}" for kind in SUMMARIES)]
        return {"$or": [{one: value} for one in paths for value in values]}


def _either(field: str, values: Iterable[Any]) -> dict[str, Any]:
    """A server's filter: the field has one of the values. `$in` fails on lists of tags."""
    filters = [{field: value} for value in values]
    return filters[0] if len(filters) == 1 else {"$or": filters}


def _same(value: Any, wanted: Scalar, written: str, key: Key) -> bool:
    if wanted is None or value is None:
        return value is wanted or (value is None and written == "")
    if isinstance(value, datetime):
        first, last = _span(written)
        return first <= _aware(value) < last
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted or (not key.section and value == written)
    if isinstance(value, float) and math.isnan(value):
        return written.lower() == "nan"
    if isinstance(value, str):
        return value == (wanted if key.section else written)
    return bool(value == wanted)


def _written(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{_aware(value):%Y-%m-%dT%H:%M:%S}"
    return as_text(value)


def _operand(text: str, operator: str) -> tuple[Scalar, str]:
    """A value as it is meant, and without its quotes. In quotes it is text."""
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        inner = quoted[1] if quoted[1] is not None else quoted[2]
        return inner, inner
    if operator == "~":
        return text, text
    if text[0] in "\"'":
        raise ArgumentError(f"the quotes of {shown(text)} do not match", "Close them")
    if (joint := _JOINT.search(text)) is not None:
        if joint[1].lower() in {"and", "&&"}:
            raise ArgumentError(
                "two conditions in one", f"Give each its own {argument('where')}: all must hold"
            )
        raise ArgumentError(f"{joint[1]} is not an operator", "Use in, as 'group in [a, b]'")
    if text.startswith(("[", "(")):
        raise ArgumentError(f"{operator} takes one value", "Use in for a list")
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()], text
    if _NUMBER.fullmatch(text):
        number = float(text)
        if math.isinf(number) and "inf" not in text.lower():
            raise ArgumentError(f"{shown(text)} is out of range", "Write inf for infinity")
        return (int(text) if re.fullmatch(r"[+-]?\d+", text) else number), text
    return text, text


def _items(text: str) -> Iterable[tuple[Scalar, str]]:
    opened, closed = text.startswith(("[", "(")), text.endswith(("]", ")"))
    if opened != closed:
        raise ArgumentError("the brackets of the list do not match", "Write in [a, b]")
    inner = text[1:-1].strip() if opened else text
    at, found = 0, []
    while at < len(inner):
        item = _ITEM.match(inner, at)
        if item is None:
            raise ArgumentError(f"the list {shown(text)} is not whole", "Write in [a, b]")
        found.append(_operand(item[1], "=="))
        at = item.end()
    if not found:
        raise ArgumentError("the list is empty", "Write in [a, b]")
    return found


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _span(text: str) -> tuple[datetime, datetime]:
    """First moment and the one after the last: of a day, an hour, a minute or a second, as far as
    it is written. UTC unless it says more."""
    try:
        start = _aware(datetime.fromisoformat(text))
        clock = re.sub(r"(Z|[+-][\d:.]+)$", "", text[10 if text[4] == "-" else 8 :])
        units = {0: "days", 2: "hours", 4: "minutes", 6: "seconds"}
        unit = units.get(sum(map(str.isdecimal, clock)), "microseconds")
        return start, start + timedelta(**{unit: 1})
    except (ValueError, OverflowError):
        raise ArgumentError(
            f"{shown(text)} is no time", "Write 2024-12-10 or 2024-12-10T14:30, in UTC"
        ) from None


@dataclass(frozen=True, slots=True)
class Order:
    """What runs are sorted by: the smallest first, or with `-` before the key the largest.

    Numbers come before texts, and runs without the key last.
    """

    key: Key
    descending: bool = False

    @classmethod
    def of(cls, text: str) -> Order:
        """Read `KEY` or `-KEY`. Raises ArgumentError for one that no run can have."""
        try:
            return cls(Key.of(text.removeprefix("-").removeprefix("+")), text.startswith("-"))
        except ArgumentError as error:
            raise ArgumentError(f"{shown(text)}: {error.what}", error.remedy) from None

    def sort(self, runs: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
        """The runs in this order; equal ones stay as they were."""
        keyed = [(self._rank(run), run) for run in runs]
        present = [item for item in keyed if item[0] is not None]
        missing = [run for rank, run in keyed if rank is None]
        present.sort(key=lambda item: item[0], reverse=self.descending)  # type: ignore[arg-type, return-value]  # no None is left
        return (*(run for _, run in present), *missing)

    def _rank(self, run: RunRecord) -> tuple[int, Any] | None:
        value = self.key.scalar(run)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if isinstance(value, datetime):
            return 0, _aware(value)
        return (1, value) if isinstance(value, str) else (0, value)


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which runs: those that fulfil all conditions `where`, in the order `sort`, at most `limit`.

    `sort` None is the order of creation; `limit` takes the first runs of `sort`, without it the
    newest.
    """

    where: Sequence[Condition] = ()
    sort: Order | None = None
    limit: int | None = None

    @classmethod
    def of(
        cls,
        *,
        where: Sequence[str] = (),
        sort: str | None = None,
        limit: int | None = None,
        **given: Sequence[str],
    ) -> RunQuery:
        """From the arguments of `runs`; `given` are `tag` to `group`. Raises ArgumentError for a
        condition or an order that is none."""
        conditions = [*(Condition.given(*one) for one in given.items()), map(Condition.of, where)]
        return cls(tuple(chain(*conditions)), None if sort is None else Order.of(sort), limit)

    @property
    def selects(self) -> bool:
        """Whether it asks for some of the runs, in whatever order."""
        return bool(self.where) or self.limit is not None

    def matches(self, run: RunRecord) -> bool:
        """Whether a run fulfils every condition."""
        return all(condition.holds(run) for condition in self.where)

    @property
    def newest(self) -> int | None:
        """How many of the newest runs are asked for; None where all have to be looked at."""
        by_time = self.sort is None or self.sort == Order.of("-created_at")
        return self.limit if by_time else None

    def is_settled(self, matching: Sequence[RunRecord], at: datetime | None) -> bool:
        """Whether none of the newest runs asked for started at `at` or before, for as many of
        those that match started later. Reports do not count: they may be left out yet."""
        if self.newest is None or at is None or len(matching) < self.newest:
            return False
        later = (
            run.created_at is not None and run.created_at > at
            for run in matching
            if not run.is_report
        )
        return sum(later) >= self.newest

    def arranged(self, listing: Listing) -> Listing:
        """Runs that match, sorted and as many as were asked for."""
        runs = listing.runs if self.sort is None else self.sort.sort(listing.runs)
        if self.limit is not None:
            first = 0 if self.sort is not None else max(0, len(runs) - self.limit)
            runs = runs[first : first + self.limit]
        return replace(listing, runs=runs)

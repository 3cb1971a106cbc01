"""What a user says about the labels of predictions: which they are, and what they are rolled up to.

Metrics and thresholds follow from the labels as chosen; logged figures are about those of the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

from goemo_report.errors import DataError, SettingsError, argument
from goemo_report.formats.text import shown
from goemo_report.formats.wording import listed, plural
from goemo_report.labels import Grouping, LabelSet, check_label, known_groupings, named_sets
from goemo_report.predictions import Predictions
from goemo_report.reading.names import AS_FOUND, Reading

OWN: Final = "own"
"""Name of the grouping that `[tool.goemo.groups]` gives, where it gives only one."""


@dataclass(frozen=True, slots=True)
class LabelChoice:
    """How files are read, own groupings, and the one to roll up by."""

    reading: Reading = AS_FOUND
    groupings: tuple[Grouping, ...] = ()
    map_to: str = ""

    def on(self, predictions: Predictions) -> Predictions:
        """Predictions in the order of the labels that are expected, with own groupings or rolled
        up.

        Raises DataError naming the file where that cannot be, or where it has other labels.
        """
        present, expected = set(predictions.labels), self.reading.expected
        fitting = next((one for one in expected if set(one.labels) == present), None)
        if fitting is not None:
            predictions = predictions.on_labels(fitting.labels)
        elif expected:
            raise DataError(
                f"{predictions.source} has other labels: {listed(predictions.labels, 4)}",
                f"Leave {argument('labels')} out, or name its own",
            )
        own = [g for g in self.groupings if present.intersection(chain(*g.groups.values()))]
        label_set = predictions.label_set
        if own:
            label_set = replace(label_set, groupings=(*label_set.groupings, *own))
            predictions = replace(predictions, label_set=label_set)
        if not self.map_to or label_set.name.lower() == self.map_to:
            return predictions
        grouping = label_set.grouping(self.map_to)
        if grouping is not None:
            return predictions.rolled_up(grouping)
        if any(set(g.groups) == set(predictions.labels) for g in self._named(self.map_to)):
            return predictions
        names = listed(one.name for one in label_set.groupings)
        raise DataError(
            f"{predictions.source}: its {len(predictions.labels)} {label_set.nouns} have no "
            f"grouping {shown(self.map_to)}",
            f"Groupings: {names}" if names else "Write one in [tool.goemo.groups]",
        )

    def _named(self, name: str) -> list[Grouping]:
        return [g for g in (*known_groupings(), *self.groupings) if g.name == name]


def expected_sets(labels: str | Iterable[str]) -> tuple[LabelSet, ...]:
    """The sets of labels that a set's name, a file of names, or names mean; none of an empty text.

    Raises GoemoError for a file of labels that cannot be used.
    """
    if not isinstance(labels, str):
        return (LabelSet.of(map(str, labels)),)
    return named_sets().get(labels.lower()) or ((_from_file(Path(labels)),) if labels else ())


def _from_file(path: Path) -> LabelSet:
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        known = listed(named_sets())
        raise SettingsError(
            f"{argument('labels', str(path))} cannot be read: {reason}",
            f"Give a file of names, or {known}",
        ) from error
    names = [line for line in lines if line]
    for name in names:
        check_label(name, str(path))
    if len(set(names)) < max(2, len(names)):
        what = f"{path} names {plural(len(names), 'label')}, {len(set(names))} of them different"
        raise SettingsError(what, "Write two different labels or more, one a line")
    return LabelSet.of(names)


def own_groupings(table: Mapping[str, Any]) -> tuple[Grouping, ...]:
    """The groupings of `[tool.goemo.groups]`: lists of labels by group, or tables of such lists.

    Raises SettingsError naming the key that is wrong.
    """
    nested = {name: held for name, held in table.items() if isinstance(held, Mapping)}
    flat = {name: held for name, held in table.items() if name not in nested}
    found = {**({OWN: flat} if flat else {}), **nested}
    for name, groups in found.items():
        problem = _problem(name, groups)
        if problem:
            raise SettingsError(f"[tool.goemo.groups]: {problem}", _EXAMPLE)
    return tuple(
        Grouping(name, name.capitalize(), {g: tuple(held) for g, held in groups.items()}, _SOURCE)
        for name, groups in found.items()
    )


_EXAMPLE: Final = 'Write each group as mild = ["joy", "love"]'
_SOURCE: Final = "[tool.goemo.groups]"


def _problem(name: str, groups: Mapping[str, Any]) -> str:
    if name in named_sets() or not name.isidentifier():
        return f"a grouping cannot be called {shown(name)}"
    if len(groups) < 2:
        return f"{shown(name)} has {plural(len(groups), 'group')}"
    seen: dict[str, str] = {}
    for group, labels in groups.items():
        if not (isinstance(labels, list) and labels and all(isinstance(x, str) for x in labels)):
            return f"{shown(group)} is not a list of labels"
        for label in labels:
            if label in seen:
                return f"{shown(label)} is in {shown(seen[label])} and in {shown(group)}"
            seen[label] = group
    return ""

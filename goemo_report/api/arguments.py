"""What arguments mean that many functions of the API share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, SupportsIndex, TypeAlias, TypeVar, get_args

from goemo_report.contract import ROLES, SPLITS, Role, Tuning
from goemo_report.errors import ArgumentError, NotFoundError, PositionError
from goemo_report.formats.files import named_path
from goemo_report.formats.text import shown
from goemo_report.formats.wording import plural
from goemo_report.settings import (
    NUMBERS,
    SourceChoice,
    check_numbers,
    load_settings,
    read_project_file,
)

if TYPE_CHECKING:  # a prediction file needs none of the sources
    from goemo_report.analysis.label_choice import LabelChoice
    from goemo_report.api.runs import Runs
    from goemo_report.sources.conditions import RunQuery

Names: TypeAlias = str | Sequence[str]
Place: TypeAlias = str | os.PathLike[str]
Labels: TypeAlias = "Place | Sequence[str] | LabelChoice | None"
"""The labels that files must have: a set's name, a file of names, or the names."""
Only: TypeAlias = Names | None
"""Roles of artifacts, one or several; None means all."""
_SHORTHANDS: Final = {"predictions": ("val-predictions", "test-predictions")}
ONLY: Final = (*_SHORTHANDS, *ROLES)
"""Arguments that choose among the artifacts of a run."""
_WIDTH: Final = 30
_Item = TypeVar("_Item")


def at_position(items: Sequence[_Item], position: SupportsIndex, noun: str) -> _Item:
    """The item at a position, from the end where it is negative. Raises PositionError."""
    try:
        return items[position.__index__()]
    except IndexError:
        what = f"there is no {noun} {position.__index__()}: there {_are(len(items), noun)}"
        raise PositionError(what, "Positions count from 0") from None


def _are(number: int, noun: str) -> str:
    return f"{'is' if number == 1 else 'are'} {plural(number, noun)}"


def settled(
    wandb_dir: Place | None,
    entity: str | None,
    project: str | None,
    val: Place | Sequence[Place] = (),
    predictions: Names = (),
    alias: str | None = None,
    source: str | None = None,
) -> SourceChoice:
    """Where runs are read from: arguments, then environment, then pyproject.toml.

    `source` is NAME or NAME:PLACE, as `mlflow:mlruns`.
    `val` are files of validation predictions, FILE or NAME=FILE; `predictions` and `alias` name
    the artifacts that hold predictions. Raises SettingsError for names that are none.
    """
    from goemo_report.sources.gathered import NamedPredictions

    check(entity=entity, project=project, alias=alias, source=source)
    directory = None if wandb_dir is None else Path(place(wandb_dir, "wandb_dir"))
    found = load_settings(
        entity=entity,
        project=project,
        wandb_dir=directory,
        source=source,
        environ=os.environ,
        directory=Path(),
    )
    for name in each(predictions):
        NamedPredictions.of(name)
    return replace(
        found,
        validation=tuple(map(named_path, places(val, "val"))),
        predictions=each(predictions),
        alias=alias or "",
    )


def conditions(
    *, where: Names = (), sort: str | None = None, limit: int | None = None, **names: Names
) -> RunQuery:
    """Which runs are meant; `names` are the arguments `tag` to `group` of `runs`."""
    from goemo_report.sources.conditions import RunQuery

    check(sort=sort, limit=limit)
    given = {name: each(values) for name, values in names.items()}
    return RunQuery.of(where=each(where), sort=sort, limit=limit, **given)


def chosen_labels(
    labels: Labels = None,
    map_to: str | None = None,
    *,
    true: str | None = None,
    pred: str | None = None,
    prob: str | None = None,
) -> LabelChoice:
    """What is said about labels and columns of files, with `[tool.goemo.groups]` and
    `[tool.goemo.columns]`."""
    from goemo_report.analysis.label_choice import LabelChoice, expected_sets, own_groupings
    from goemo_report.reading.names import Reading

    if isinstance(labels, LabelChoice):
        return labels
    check(map_to=map_to, true=true, pred=pred, prob=prob)
    file = read_project_file(Path())
    given = {"true": true, "pred": pred, "prob": prob}
    set_ones = file.get("columns", {})
    columns = set_ones | {name: one for name, one in given.items() if one}
    columns["settings"] = tuple(name for name in set_ones if not given[name])
    if isinstance(labels, os.PathLike):
        labels = os.fspath(labels)
    elif labels is not None and not isinstance(labels, Iterable):
        raise ArgumentError(f"labels is {labels!r}", "Give names, a file of them, or a set's name")
    reading = Reading(expected_sets("" if labels is None else labels), **columns)
    return LabelChoice(reading, own_groupings(file.get("groups", {})), map_to or "")


def waivers() -> Mapping[str, str]:
    """Rules of the audit that `[tool.goemo]` waives, with the reason; checked."""
    from goemo_report.audit import check_waivers

    found: Mapping[str, str] = read_project_file(Path()).get("waive", {})
    check_waivers(found)
    return found


_WORDS: Final = {"split": SPLITS, "protocol": get_args(Tuning)}


def check(**given: object) -> None:
    """Raise ArgumentError for what an argument of its name cannot be: a split or protocol that is
    none, a number out of its bounds, and of all others what is no text; None is unset."""
    for name, value in given.items():
        if name in _WORDS and value not in _WORDS[name]:
            known = ", ".join(_WORDS[name])
            raise ArgumentError(f"there is no {name} {value!r}", f"{name.capitalize()}s: {known}")
        if name in NUMBERS:
            check_numbers(**{name: value})
        elif value is not None and not isinstance(value, str):
            raise ArgumentError(f"{name} is {value!r}", "Give a text")


def roles(only: Only) -> tuple[Role, ...]:
    """Roles of the artifacts that are meant. Raises ArgumentError for another word."""
    words = [word for one in each(only or ()) for word in _SHORTHANDS.get(one, (one,))]
    unknown = next((word for word in words if word not in ROLES), None)
    if unknown is not None:
        raise ArgumentError(f"there are no {shown(unknown)}", f"Artifacts: {', '.join(ONLY)}")
    return tuple(role for role in ROLES if role in words)


def each(value: Names | None) -> tuple[str, ...]:
    """One name or several; none of None."""
    if value is None:
        return ()
    found = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    for wrong in (one for one in found if not isinstance(one, str)):
        raise ArgumentError(f"{wrong!r} is no text", "Give one text, or several")
    return found


def place(value: Place, name: str) -> str:
    """A path, or what names a run, as text. Raises ArgumentError for what is neither."""
    found = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(found, str):
        raise ArgumentError(f"{name} is of type {type(value).__name__}", "Give a path or a name")
    return found


def places(value: Place | Sequence[Place] | None, name: str) -> list[str]:
    """One path or several, as texts; none of None."""
    several: Any = value
    if isinstance(value, str | os.PathLike) or not isinstance(value, Iterable):
        several = [value]
    return [place(one, name) for one in several if one is not None]


def with_baseline(runs: Runs, baseline: str | None) -> tuple[Runs, str | None]:
    """Runs and a baseline, which joins them if it is not among them; its id.

    Raises NotFoundError where there are no runs.
    """
    from goemo_report.sources.model import Listing
    from goemo_report.sources.resolve import with_run

    if baseline is None:
        return runs, None
    if not runs.records:
        raise NotFoundError("there are no runs to compare with a baseline", "Ask for other runs")
    source, listing, one = with_run(runs.choice, runs.source, Listing(runs.records), baseline)
    return replace(runs, records=listing.runs, source=source), one.id

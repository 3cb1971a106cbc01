"""Which runs were meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from goemo_report.errors import NotFoundError
from goemo_report.sources.base import RunSource
from goemo_report.sources.model import Listing, RunQuery

_MOST_TAGS_NAMED: Final = 20


def find_runs(source: RunSource, references: Sequence[str], query: RunQuery) -> Listing:
    """The runs named, in the order named, and those that match; no run twice.

    Without references every run that matches. Raises NotFoundError when a reference names
    no run, when no run fulfils the conditions, and when there are no runs at all.
    """
    found = {run.id: run for run in (source.find_run(reference) for reference in references)}
    if references and query == RunQuery():
        return Listing(tuple(found.values()))
    listed = source.list_runs(query)
    if not listed.runs:
        raise _nothing_matches(source, query, listed)
    for run in listed.runs:
        found.setdefault(run.id, run)
    return Listing(tuple(found.values()), listed.skipped)


def _nothing_matches(source: RunSource, query: RunQuery, listed: Listing) -> NotFoundError:
    if query != RunQuery():
        listed = source.list_runs(RunQuery())
    runs, where = listed.runs, source.description
    if not runs:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in listed.skipped)
        return NotFoundError(
            f"no run in {where} can be read ({reasons})" if reasons else f"no runs in {where}",
            "Check --wandb-dir, --project and --entity",
        )
    tags = Counter(tag for run in runs for tag in run.tags)
    conditions = _conditions(query)
    for wanted in query.tags:
        if wanted not in tags:
            return NotFoundError(
                f"no run in {where} has the tag {wanted!r}", _meant(wanted, tags) + _existing(tags)
            )
    if query.any_tags and not tags.keys() & set(query.any_tags):
        meant = _meant(query.any_tags[0], tags)
        return NotFoundError(f"no run in {where} matches {conditions}", meant + _existing(tags))
    return NotFoundError(
        f"no run in {where} matches {conditions}",
        "`goemo-report runs` lists the runs with their tags, states and models",
    )


def _conditions(query: RunQuery) -> str:
    named = (
        ("tag", query.tags),
        ("any-tag", query.any_tags),
        ("not-tag", query.not_tags),
        ("state", query.states),
        ("model", query.models),
    )
    return " ".join(f"--{option} {value}" for option, values in named for value in values)


def _meant(wanted: str, tags: Counter[str]) -> str:
    """A question after the tags most like a mistyped one, empty where none is like it."""
    import difflib

    close = difflib.get_close_matches(wanted, tags, n=2)
    return f"Did you mean {' or '.join(map(repr, close))}? " if close else ""


def _existing(tags: Counter[str]) -> str:
    if not tags:
        return "No run has any tag"
    named = [f"{tag} ({count})" for tag, count in tags.most_common(_MOST_TAGS_NAMED)]
    more = len(tags) - len(named)
    return f"Tags that exist: {', '.join(named)}{f' and {more} more' if more else ''}"

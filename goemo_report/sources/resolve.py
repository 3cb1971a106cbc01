"""From RUN arguments and filters to runs and the source that they came from."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Final

from goemo_report.errors import GoemoError, NotFoundError, SettingsError, argument
from goemo_report.formats.files import user_path
from goemo_report.formats.text import shown
from goemo_report.formats.wording import listed, plural
from goemo_report.settings import SOURCES, SourceChoice
from goemo_report.sources import files, offline_logs
from goemo_report.sources.base import RunSource, readable
from goemo_report.sources.conditions import Condition, Key, RunQuery
from goemo_report.sources.gathered import GatheredSource, NamedPredictions
from goemo_report.sources.model import ArtifactRef, Listing, RunRecord
from goemo_report.sources.references import ambiguous, named_among, parse_artifact

CLAIMS: Final[tuple[Callable[[str], tuple[RunSource | None, str] | None], ...]] = (
    files.claim,
    offline_logs.claim,
)
"""What each source makes of a RUN argument by its look: the source to ask, None for the one
that was chosen, and what to ask it for. The first that does not answer None counts."""

CHECKED_AT_ONCE: Final = 500
"""Most runs whose artifacts and history are looked at when they are listed."""

_MOST_VALUES_NAMED: Final = 12
_LONGEST_VALUE: Final = 40


def open_source(choice: SourceChoice) -> RunSource:
    """The source that was chosen; what it reads is read when it is needed."""
    module = import_module(f"goemo_report.sources.{SOURCES[choice.kind].module}")
    source: RunSource = module.open_source(choice)
    return source


def find_one(choice: SourceChoice, reference: str) -> tuple[RunSource, RunRecord]:
    """The one run that a RUN argument names, and its source."""
    source, listing = gather(choice, [reference], RunQuery(), everything=True)
    return source, listing.runs[0]


def find_artifact(
    choice: SourceChoice, text: str
) -> tuple[RunSource, RunRecord, ArtifactRef] | None:
    """The artifact that `name:version` names, its run and its source; None where it names a run.

    Raises NotFoundError where it looks like an artifact and is neither.
    """
    reference = parse_artifact(text)
    if reference is None or user_path(text).exists():
        return None
    source = open_source(choice)
    try:
        return source, *source.find_artifact(reference)
    except NotFoundError as error:
        try:
            source.find_run(text)
        except GoemoError:
            raise error from None
    return None


def gather(
    choice: SourceChoice,
    references: Sequence[str],
    query: RunQuery,
    *,
    everything: bool = False,
    reports: bool = False,
) -> tuple[RunSource, Listing]:
    """Every run that was named, in that order, or matches, from whatever source has it.

    Runs that publishing made are left out unless they are named or `reports` is set, as are those
    that cannot be read whole, unless `everything` is or there are more than CHECKED_AT_ONCE.
    """
    claimed = _claim_all(choice, references)
    others = {reference: asked for reference, (own, asked) in claimed.items() if own is None}
    named: dict[str, RunRecord] = {}
    parts: list[tuple[RunSource, Listing]] = []
    if others or not references or query.selects:
        source = open_source(choice)
        try:
            named = {reference: source.find_run(asked) for reference, asked in others.items()}
            reports = reports or bool(others)
            listing = find_runs(source, list(named.values()), query, reports=reports)
        except GoemoError as error:
            raise _about_paths(list(others.values()), choice, error) or error from None
        parts.append((source, listing))
    for reference, (own, asked) in claimed.items():
        if own is not None:
            try:
                named[reference] = own.find_run(asked)
            except GoemoError as error:
                raise _about_paths([reference], choice, error) or error from None
            parts.append((own, Listing((named[reference],))))
    source, listing = _as_one(choice, parts)
    places = {named[reference].id: place for place, reference in enumerate(claimed)}
    in_order = tuple(sorted(listing.runs, key=lambda run: places.get(run.id, len(places))))
    listing = replace(listing, runs=in_order if query.sort is None else query.sort.sort(in_order))
    if everything or len(listing.runs) > CHECKED_AT_ONCE:  # whoever reads some checks those
        return source, listing
    return source, readable(source, listing)


def _as_one(
    choice: SourceChoice, parts: Sequence[tuple[RunSource, Listing]]
) -> tuple[RunSource, Listing]:
    """Sources and their runs as one, no run twice, with the predictions that were named."""
    distinct: dict[str, tuple[RunSource, RunRecord]] = {}
    for source, listing in parts:
        for run in listing.runs:
            distinct.setdefault(run.id, (source, run))
    owned = [(one, [run for own, run in distinct.values() if own is one]) for one, _ in parts]
    runs = tuple(run for _, run in distinct.values())
    found = Listing(runs, tuple(item for _, listing in parts for item in listing.skipped))
    if all(isinstance(source, files.FileSource) for source, _ in parts):
        choice.check_files()
    named = tuple(map(NamedPredictions.of, choice.predictions))
    if len(parts) == 1 and not named and not choice.alias:
        return parts[0][0], found
    return GatheredSource(owned, named, choice.alias), found


def with_run(
    choice: SourceChoice, source: RunSource, listing: Listing, reference: str
) -> tuple[RunSource, Listing, RunRecord]:
    """Add one more run to those that were gathered, unless it is among them."""
    known = named_among(reference, listing.runs)
    if len(known) > 1:
        raise ambiguous(reference, known, source.description)
    if known:
        return source, listing, known[0]
    only_files = all(run.is_files for run in listing.runs)
    if only_files and files.is_bare(reference) and _claimed(choice, reference)[0] is None:
        names = listed((run.name for run in listing.runs), 8)
        raise NotFoundError(f"no run is called {reference}", f"The files compared are {names}")
    other, run = find_one(choice, reference)
    if run.id not in {one.id for one in listing.runs}:
        source = GatheredSource([(other, [run]), (source, listing.runs)])
        listing = replace(listing, runs=(run, *listing.runs))
    return source, listing, run


def find_runs(
    source: RunSource, named: Sequence[RunRecord], query: RunQuery, *, reports: bool = True
) -> Listing:
    """The runs of one source that were named, in that order, and those that match; none twice.

    Without named ones every run that matches; without `reports` those that publishing itself made
    are left out, unless there is nothing else. Raises NotFoundError when no run fulfils the
    conditions, and when there are no runs at all.
    """
    found = {run.id: run for run in named}
    if named and not query.selects:
        return query.arranged(Listing(tuple(found.values())))
    listed = source.list_runs(query)
    listed = query.arranged(listed if reports else _without_reports(listed))
    if not listed.runs:
        raise _nothing_matches(source, query, listed)
    for run in listed.runs:
        found.setdefault(run.id, run)
    return Listing(tuple(found.values()), listed.skipped)


def _claim_all(
    choice: SourceChoice, references: Sequence[str]
) -> dict[str, tuple[RunSource | None, str]]:
    """Find the source of each RUN argument, files with their validation files."""
    claimed = {reference: _claimed(choice, reference) for reference in references}
    _tell_apart(claimed)
    given: dict[str, str] = {}
    for name, file in choice.validation:
        named = {
            reference: source
            for reference, (source, _) in claimed.items()
            if isinstance(source, files.FileSource)
            and name in {"", reference, source.find_run(reference).name}
        }
        if len(named) != 1:
            called = f" called {name}" if name else ""
            given_as = argument("val", f"{name}{'=' if name else ''}{file}")
            what = f"{given_as}: {len(named)} prediction files{called}"
            raise NotFoundError(
                what, f"Write {argument('val', 'NAME=FILE')}, and the run itself as NAME=FILE"
            )
        [(reference, source)] = named.items()
        if reference in given:
            raise SettingsError(
                f"{reference} has two files of {argument('val')}: {given[reference]} and {file}",
                "Give one",
            )
        given[reference] = file
        claimed[reference] = source.with_validation(file), reference
    return claimed


def _tell_apart(claimed: dict[str, tuple[RunSource | None, str]]) -> None:
    """Give files of one name, such as `predictions.csv`, those of their directories."""
    named: dict[str, list[tuple[str, files.FileSource]]] = {}
    for reference, (source, _) in claimed.items():
        if isinstance(source, files.FileSource):
            named.setdefault(source.find_run(reference).name, []).append((reference, source))
    for name, alike in named.items():
        if len(alike) > 1 and any(source.is_named for _, source in alike):
            raise SettingsError(f"two runs are called {name}", "Write NAME=FILE with other names")
        for reference, source in alike if len(alike) > 1 else ():
            others = [other for _, other in alike if other is not source]
            claimed[reference] = source.told_apart(others), reference


def _claimed(choice: SourceChoice, reference: str) -> tuple[RunSource | None, str]:
    if not reference.strip():
        raise NotFoundError("an empty text names no run", "Name a RUN, or leave it out")
    answers = (claim(reference) for claim in CLAIMS)
    source, asked = next((one for one in answers if one is not None), (None, reference))
    if isinstance(source, files.FileSource) and files.is_bare(reference):
        try:
            run = open_source(choice).find_run(reference)
        except GoemoError:
            return source, asked
        raise NotFoundError(
            f"{reference} is a file or directory here and the run {run.path}",
            f"Write ./{reference} for the file, {run.path} for the run",
        )
    return source, asked


def _without_reports(listing: Listing) -> Listing:
    """Leave out the runs that publishing itself made, unless there is nothing else."""
    runs = tuple(run for run in listing.runs if not run.is_report)
    return replace(listing, runs=runs) if runs else listing


# --- What is wrong where nothing is found ---------------------------------------------


def _about_paths(
    references: Sequence[str], choice: SourceChoice, error: GoemoError
) -> NotFoundError | None:
    """A clearer error where a RUN that was not found is a path, None where it is not."""
    from goemo_report.sources.offline_logs.folders import scan

    online = choice.kind == "wandb"
    for text in references:
        path = user_path(text)
        if path.is_dir() and (count := len(scan(path).logs)) > 1:
            remedy = (
                f"Give {argument('wandb_dir', text)} to read them all, or name one by its directory"
            )
            return NotFoundError(f"{text} is a directory that holds {count} runs, not one", remedy)
        if path.is_dir() and online and (held := files.tables_in(path)):
            return NotFoundError(
                f"{text} is a directory of {plural(len(held), 'table')}, none of them called "
                "test_predictions.* or val_predictions.*",
                f"Name the files: {listed([str(one) for one in held], 2)}",
            )
        if path.is_dir() and online:
            return NotFoundError(
                f"there is no run log in the directory {text}, and no test_predictions.* or "
                "val_predictions.*",
                "Give the directory of an offline run, or as "
                f"{argument('wandb_dir')} a directory with runs below it",
            )
        if text.startswith("/") or ("/" in text and "://" not in text and online):
            return NotFoundError(
                f"there is no directory {text}, and as ENTITY/PROJECT/ID: {error.what}",
                error.remedy,
            )
    return None


def _nothing_matches(source: RunSource, query: RunQuery, listed: Listing) -> NotFoundError:
    if query.selects:
        listed = source.list_runs(RunQuery())
    runs, where = listed.runs, source.description
    if not runs:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in listed.skipped)
        return NotFoundError(
            f"no run in {where} can be read ({reasons})" if reasons else f"no runs in {where}",
            f"Check {argument('source')}, {argument('wandb_dir')}, {argument('project')} and "
            f"{argument('entity')}",
        )
    for condition in query.where:
        if not any(map(condition.holds, runs)):
            what = f"no run in {where} matches {condition.text}"
            return NotFoundError(what, _alternatives(condition, runs))
    return NotFoundError(
        f"no run in {where} matches {' '.join(condition.text for condition in query.where)}",
        "`goemo-report runs` lists the runs with their tags, states and models",
    )


def _alternatives(condition: Condition, runs: Sequence[RunRecord]) -> str:
    """The values in the runs of what a condition is on, the most frequent and the newest first,
    after those most like a mistyped one."""
    key = condition.key
    values = [key.value(run) for run in runs]
    known = Counter(
        str(one)
        for value in values
        if value is not None
        for one in (value if isinstance(value, tuple) else (value,))
    )
    if not known:
        return f"N{lacking(key, runs)[1:]}"
    meant = ""
    for wanted in condition.wanted:
        each = wanted.split(",")
        close = difflib.get_close_matches(wanted, known, n=2)
        if len(condition.wanted) == 1 < len(each) and all(one in known for one in each):
            alone = " ".join(condition.text.replace(wanted, one) for one in each)
            meant = f"Give each alone: {alone}. "
        elif close:
            meant = f"Did you mean {' or '.join(map(repr, close))}? "
    counted = [
        (shown(one) if ", " in one or len(one) > _LONGEST_VALUE else one)
        + (f" ({count})" if count > 1 else "")
        for one, count in Counter(dict(reversed(known.items()))).most_common()
    ]
    return f"{meant}Values of {key}: {listed(counted, _MOST_VALUES_NAMED)}"


def lacking(key: Key, runs: Sequence[RunRecord]) -> str:
    """Say that no run has a key, and name the most similar keys."""
    known = {f"{s}.{k}" for run in runs for s in ("config", "summary") for k in run.logged(s)}
    own = sorted(known, key=lambda one: one.startswith(f"{key.section}."))
    names = {one.partition(".")[2]: one for one in own}
    close = [names[one] for one in difflib.get_close_matches(key.name, sorted(names), n=3)]
    wanted = key.name.lower()
    close = [one for name, one in names.items() if _initials(name) == wanted] or close
    meant = f": did you mean {' or '.join(close)}?" if close else ""
    return f"no run has {key}{meant}"


def _initials(name: str) -> str:
    """What a name of several words is shortened to: `learning_rate` to lr."""
    return "".join(word[:1] for word in re.split(r"[\W_]+", name.lower()))

"""What the columns of a prediction table mean.

Understood are the guide's columns, one column a label (`true_joy` and `prob_joy`, `joy` and
`joy_prob`), and lists in a cell. What was taken for what is said in notes; what could be taken in
two ways is refused with the option that settles it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from goemo_report.contract import PROBABILITY_PREFIX, PROBABILITY_PREFIXES
from goemo_report.errors import DataError, argument
from goemo_report.formats.table import Table
from goemo_report.formats.text import shown
from goemo_report.formats.wording import listed as in_words
from goemo_report.formats.wording import plural
from goemo_report.labels import LabelSet, check_label, guess, known_sets, named_sets, set_of
from goemo_report.reading import cells
from goemo_report.reading.cells import Places
from goemo_report.reading.lists import is_nothing, listed
from goemo_report.reading.names import (
    AFTER,
    AS_FOUND,
    BEFORE,
    GUIDES,
    IDS,
    LABEL,
    LISTS,
    PREDICTED,
    STEMS,
    TEXTS,
    TRUE,
    WORDS,
    Reading,
)


def understand(table: Table, reading: Reading) -> Header:
    """What the columns of a table mean.

    Raises DataError where columns lack, could mean several things, or where nothing names labels.
    """
    try:
        columns = table.columns
    except DataError as error:
        Header(table, [()] * len(table.header), reading).understood()
        raise error from None
    return Header(table, columns, reading).understood()


def seen(header: Sequence[str]) -> str:
    """What a header has, with columns that begin alike (`true_joy`, `true_fear`) counted."""
    alike: dict[str, list[str]] = {}
    for name in header:
        stem, mark, _ = name.partition("_")
        alike.setdefault(stem + mark if mark and name not in GUIDES else name, []).append(name)
    parts = [
        shown(names[0]) if len(names) == 1 else f"{len(names)} columns such as {shown(names[0])}"
        for names in alike.values()
    ]
    return in_words(parts, 4) or "no columns"


class Header:
    """The header of a table with its columns, and what a user says of it.

    Once it is understood, `label_set` has the labels, `order` those as lists in cells have them;
    `truth`, `predicted` and `probabilities` are in the order of the set. `notes` say what columns
    that are not the guide's were taken for.
    """

    label_set: LabelSet
    order: tuple[str, ...]

    def __init__(
        self, table: Table, columns: Sequence[Sequence[Any]], reading: Reading = AS_FOUND
    ) -> None:
        self.table, self.columns, self.reading = table, columns, reading
        self.header, self.source = table.header, table.source
        self.notes: list[str] = []
        self.absent: list[str] = []
        self.plain = [re.sub(r"[\s.-]+", "_", name.strip()).lower() for name in self.header]

    def understood(self) -> Header:
        """Itself, with everything that is understood."""
        self.text, self.id = self.first(TEXTS), self.first(IDS)
        cluster = self.reading.cluster
        self.cluster = self.header.index(cluster) if cluster in self.header else None
        self._require()
        self.label_set, self.order = self._label_set()
        if self.text is None:
            how = f"column {self.header[self.id]}" if self.id is not None else "their number"
            self.notes.insert(0, f"no texts: rows are told by {how}")
        kinds = {kind: self._kind(getattr(self, kind)) for kind in ("truth", "predicted")}
        self._say(kinds)
        self.truth = self._ordered(self.truth, kinds["truth"])
        self.predicted = self._ordered(self.predicted, kinds["predicted"] or kinds["truth"])
        self.probabilities = self._ordered(self.probabilities, None)
        return self

    def _ordered(self, found: Places | None, kind: cells.Kind | None) -> Places | None:
        """Columns in the order of the labels, and what they hold."""
        if found is None or not found.named:
            return found and found._replace(kind=kind or "names")
        return Places.of({label: found.by_label[label] for label in self.label_set.labels})

    # --- Which columns there are ----------------------------------------------------------

    def first(self, names: Sequence[str]) -> int | None:
        """The column with the first of the names that is there, however it is spelled."""
        for name in names:
            if name in self.plain:
                place = self.plain.index(name)
                if self.header.count(self.header[place]) > 1:
                    raise self._twice(self.header[place])
                return place
        return None

    def _twice(self, column: str) -> DataError:
        what = f"{self.source}: column {shown(column)} is there twice"
        return DataError(what, "Keep one of the two")

    @property
    def groups(self) -> dict[tuple[str, str], dict[str, int]]:
        """Columns for each label, by what they hold and the form of their names."""
        return {key: group for key, group in self._by_form.items() if len(group) >= 2}

    @cached_property
    def _by_form(self) -> dict[tuple[str, str], dict[str, int]]:
        found: dict[tuple[str, str], dict[str, int]] = {}
        for place, name in enumerate(self.header):
            if self.plain[place] in WORDS:
                continue
            before, after = BEFORE.fullmatch(name), AFTER.fullmatch(name)
            if before:
                form = f"{name[: before.start(2)]}{LABEL}"
                found.setdefault((STEMS[before[1].lower()], form), {})[before[2]] = place
            if after and not before:
                form = f"{LABEL}{name[after.end(1) :]}"
                found.setdefault((STEMS[after[2].lower()], form), {})[after[1]] = place
        return found

    @cached_property
    def guides(self) -> dict[str, int]:
        """The guide's columns of probabilities, by label."""
        found: dict[str, int] = {}
        for place, name in enumerate(self.header):
            prefix = next((one for one in PROBABILITY_PREFIXES if name.startswith(one)), None)
            if prefix is not None:
                label = name.removeprefix(prefix)
                check_label(label, f"{self.source}: column {shown(name)}")
                if found.setdefault(label, place) != place:
                    raise self._twice(f"{PROBABILITY_PREFIX}{label}")
        return found

    def _asked(self, kind: str) -> str:
        """The column or pattern that a user named; of settings only where the file has it."""
        asked: str = getattr(self.reading, kind)
        if not asked or kind not in self.reading.settings:
            return asked
        if asked in self.header or (LABEL in asked and len(self.matches(asked)) > 1):
            return asked
        self.absent.append(f"tool.goemo.columns.{kind} names {shown(asked)}, which is not there")
        guides = f"{kind}_labels" in self.header if kind != "prob" else len(self.guides) > 1
        self.notes += [] if guides else self.absent[-1:]
        return ""

    def matches(self, pattern: str) -> dict[str, int]:
        """The columns that a pattern with `{label}` names, by label."""
        before, _, after = pattern.partition(LABEL)
        form = re.compile(f"{re.escape(before)}(.+){re.escape(after)}")
        matched = ((form.fullmatch(name), place) for place, name in enumerate(self.header))
        found = {one[1]: place for one, place in matched if one}
        if not (before or after):  # every column is a label, but for those of other things
            known = {self.first(TEXTS), self.first(IDS)}
            found = {name: place for name, place in found.items() if place not in known}
        return found

    def named(self, column: str, option: str) -> int:
        """The column of a name. Raises DataError that names the option where it is not there."""
        if column not in self.header:
            raise self._no_column(column, option)
        return self.header.index(column)

    def _no_column(self, column: str, option: str) -> DataError:
        what = f"{self.source} has no column{'s' if LABEL in column else ''} {shown(column)}"
        return DataError(f"{what}; it has {seen(self.header)}", f"Correct {argument(option)}")

    def _kind(self, found: Places | None) -> cells.Kind | None:
        if found is None or found.named:
            return "marks" if found else None
        own, number = self.columns[found.places[0]], len(self.order)
        kind = cells.kind_of(own, self.order, number)
        if kind != "ids" or number != 2 or cells.list_length(own) != 2:
            return kind
        # [0, 1] alone may be both labels or the second one: as the other column has them
        lists = (one for one in (self.truth, self.predicted) if one is not None and not one.named)
        kinds = [cells.kind_of(self.columns[one.places[0]], self.order, number) for one in lists]
        return "marks" if "marks" in kinds else kind

    def _are_marks(self, group: Mapping[str, int]) -> bool:
        return all(cells.are_marks(self.columns[place]) for place in group.values())

    # --- What is where --------------------------------------------------------------------

    def _place(self, kind: str, what: str, found: Iterator[tuple[str, Places]]) -> Places | None:
        """Where something is: where a user says so, else in the one place that was found."""
        asked = self._asked(kind)
        if asked and LABEL not in asked:
            return Places((self.named(asked, kind),))
        if asked:
            if len(group := self.matches(asked)) < 2:
                raise self._no_column(asked, kind)
            if known := self._known(kind):
                self._paired(Places.of(group), known, asked=True)
            return Places.of(group)
        places = dict(found)
        if len(places) > 1:
            columns, first = in_words(map(shown, places), 4), next(iter(places))
            remedy = f"Say which, such as {argument(kind, first)}"
            raise DataError(f"{self.source}: {columns} may all hold the {what}", remedy)
        return next(iter(places.values()), None)

    @cached_property
    def probabilities(self) -> Places | None:
        """Where probabilities are."""
        return self._place("prob", "probabilities", self._probable())

    def _probable(self) -> Iterator[tuple[str, Places]]:
        if len(self.guides) >= 2:
            yield PROBABILITY_PREFIX, Places.of(self.guides)
            return
        for (kind, form), group in self.groups.items():
            fractions = kind == "pred" and not self._are_marks(group)
            if kind == "prob" or fractions:
                yield form, Places.of(group)
        for name in (*LISTS, *PREDICTED):
            place = self.plain.index(name) if name in self.plain else None
            if place is None or not len(self.columns[place]):
                continue
            held = self.columns[place][:50]
            lists = [one for one in map(listed, held) if one is not None]
            numeric = len(lists) == len(held) and cells.kind_of(held) == "numbers"
            if numeric or (lists and all(isinstance(one, Mapping) for one in lists)):
                yield self.header[place], Places((place,))
        bare = self._bare()
        if bare and not self._are_marks(bare):
            yield LABEL, Places.of(bare)

    def _bare(self, labels: Sequence[str] = ()) -> dict[str, int]:
        """Columns whose names are labels: those given, else the largest set that all is there."""
        taken = {place for group in self.groups.values() for place in group.values()}
        free = {name: i for i, name in enumerate(self.header) if i not in taken}
        sets = [labels] if labels else [one.labels for one in self._sets]
        for names in sets:
            if set(names) <= set(free):
                return {name: free[name] for name in names}
        return {}

    @property
    def _sets(self) -> Sequence[LabelSet]:
        return self.reading.expected or known_sets()

    @cached_property
    def truth(self) -> Places | None:
        """Where true labels are."""
        return self._place("true", "true labels", self._labelled("true", TRUE))

    @cached_property
    def predicted(self) -> Places | None:
        """Where predicted labels are."""
        return self._place("pred", "predicted labels", self._labelled("pred", PREDICTED))

    def _labelled(self, kind: str, names: Sequence[str]) -> Iterator[tuple[str, Places]]:
        guides = self.first(names[:1])
        if guides is not None:
            yield names[0], Places((guides,))
            return
        known = self._known(kind)
        labels = known.named if known else ()
        used = set(self.probabilities.places) if self.probabilities else set()
        for place, name in enumerate(self.plain):
            if name in names and place not in used:
                yield self.header[place], Places((place,))
        for (of, form), group in self.groups.items():
            if of != kind or used & set(group.values()):
                continue
            if set(labels) <= set(group):
                yield form, Places.of({k: v for k, v in group.items() if not labels or k in labels})
            if known and set(labels) != set(group):
                self._paired(Places.of(group), known)
        bare = self._bare(labels) if kind == "true" else {}
        if bare and not used & set(bare.values()):
            yield LABEL, Places.of(bare)

    def _known(self, kind: str) -> Places | None:
        """Columns of other things that name the labels, which those of this kind must have too."""
        others = {"true": ("probabilities",), "pred": ("probabilities", "truth")}.get(kind, ())
        found = (getattr(self, other) for other in others)
        return next((one for one in found if one is not None and one.named), None)

    def _paired(self, marks: Places, known: Places, *, asked: bool = False) -> None:
        """Raises DataError where a column of 0 and 1 or of probabilities lacks its partner. Columns
        of other things may begin alike, unless a user `asked` for these; who names the labels
        chooses among them."""
        named, group = known.by_label, marks.by_label
        shared = named.keys() & group.keys()
        are_marks = self._are_marks({one: group[one] for one in shared})
        if not asked and (len(shared) < 2 or not are_marks):
            return
        alone = [place for one, place in named.items() if one not in shared]
        likely = known is self.probabilities
        both = f"labels and one of {'probabilities' if likely else 'predicted labels'}"
        keep = f"name the labels to keep with {argument('labels')}"
        remedy = "remove it from the file" if alone else keep
        if not self.reading.expected:
            others = ((one, at) for one, at in group.items() if one not in shared)
            alone += [at for one, at in others if self._are_marks({one: at})]
        if alone:
            columns = in_words([shown(self.header[place]) for place in sorted(alone)], 4)
            raise DataError(
                f"{self.source}: {plural(len(alone), 'column')} without partner: {columns}",
                f"Give every label a column of {both}, or {remedy}",
            )

    def _require(self) -> None:
        """Raises DataError where the columns do not make predictions."""
        probabilities, truth, predicted = self.probabilities, self.truth, self.predicted
        missing = [] if truth else ["true_labels"]
        if not probabilities:
            each = f"{PROBABILITY_PREFIX}{LABEL}"
            if self.guides:
                missing.append(f"{each} of a second label")
            elif not predicted:
                missing.append(f"either pred_labels or {each} of two labels or more")
        if not missing:
            return
        if not truth and self.text is None and self.id is None:
            missing.insert(0, "text")
        what = f"{self.source} lacks {plural(len(missing), 'column')}: {in_words(missing, 4)}"
        cause, remedy = self._cause()
        what = "; ".join((what, *self.absent, *([cause] if cause else [])))
        raise DataError(f"{what}; it has {seen(self.header)}", remedy)

    def _cause(self) -> tuple[str, str]:
        """Why columns may not have been found, empty where nothing tells, and the remedy."""
        for name in self.header:
            if name != name.strip():
                what = f"the name {shown(name)} begins or ends with a space"
                return what, "Remove the spaces around the names of columns"
            if (count := self.header.count(name)) > 1:
                return f"{count} columns are named {shown(name)}", "Give each a name of its own"
        for kind, found in (("prob", self.probabilities), ("pred", self.predicted)):
            asked = getattr(self.reading, kind)
            if found and found.named and LABEL in asked and not self.truth:
                made = in_words(list(map(shown, found.named)), 3)
                what = (
                    f"no true labels have columns for {made}, which {argument(kind, asked)} makes"
                )
                return (
                    what,
                    f"Correct {argument(kind)}, or name the true labels with {argument('true')}",
                )
        labels = [label for group in self._by_form.values() for label in group]
        if len(labels) > 1 and len(set(labels)) == 1:
            what = f"only one label, {shown(labels[0])}, has columns"
            return what, "Add the columns of a second label"
        return "", (
            f"Name columns with {argument('true')}, {argument('pred')} and "
            f"{argument('prob', 'PATTERN_{label}')}, or write the guide's: "
            "text, true_labels, pred_labels and one pred_probs_ column for each label"
        )

    # --- Which labels -----------------------------------------------------------------------

    def _label_set(self) -> tuple[LabelSet, tuple[str, ...]]:
        """The labels, and their order in lists."""
        probabilities = self.probabilities
        parts = (probabilities, self.truth, self.predicted)
        named = next((one.named for one in parts if one is not None and one.named), ())
        if not named and probabilities:
            found = listed(next(iter(self.columns[probabilities.places[0]]), None))
            named = tuple(map(str, found)) if isinstance(found, Mapping) else ()
        if named:
            for label in named:
                check_label(label, f"{self.source}: its columns")
            label_set = set_of(named, self.reading.expected)
            if self.reading.expected and label_set not in self.reading.expected:
                raise self._other_labels(label_set.labels)
            return label_set, label_set.labels if self.reading.expected else tuple(named)
        label_set = self._unnamed()
        self.notes.append(f"labels: {label_set.name} ({', '.join(label_set.labels[:3])}, ...)")
        return label_set, label_set.labels

    def _other_labels(self, found: Sequence[str]) -> DataError:
        wanted = self.reading.expected[0].labels
        lacking = [label for label in wanted if label not in found]
        more = [label for label in found if label not in wanted]
        faults = [f"lacks {in_words(lacking, 4)}"] if lacking else []
        faults += [f"has {in_words(more, 4)} besides"] if more else []
        return DataError(
            f"{self.source} does not have the {len(wanted)} labels asked for: it "
            f"{' and '.join(faults)}",
            f"Leave {argument('labels')} out, or name the set that the file has",
        )

    def _unnamed(self) -> LabelSet:
        """The labels where no column names them: those of a known set that fits for certain."""
        places = [one.places[0] for one in (self.truth, self.predicted) if one is not None]
        likely = self.columns[self.probabilities.places[0]] if self.probabilities else ()
        count = cells.list_length(likely)
        kinds = {place: cells.kind_of(self.columns[place], (), count) for place in places}
        if "marks" in kinds.values() and not count:
            count = max(cells.list_length(self.columns[place]) for place in places)
        names: dict[str, None] = {}
        for place in places:
            if kinds[place] == "names":
                names |= cells.names_in(self.table, place)
        known = [label for one in self._sets for label in one.labels]
        spelled = {label.lower(): label for label in known}
        names = {name if name in known else spelled.get(name.lower(), name): None for name in names}
        if not self.reading.expected:
            meant = guess(names, count)
        else:
            fitting = [one for one in self.reading.expected if set(names) <= set(one.labels)]
            if count:
                fitting = [one for one in fitting if len(one.labels) == count]
            elif names:
                fitting.sort(key=lambda one: len(one.labels))
            meant = next(iter(fitting), None)
        if meant is not None:
            return meant
        if self.reading.expected and names:
            raise self._other_labels(tuple(names))
        has = f"lists of {count}" if count else ""
        seen_names = f"the names {in_words(map(shown, names), 4)}" if names else "ids"
        what = f"{self.source}: nothing names all labels in order: it has {has or seen_names}"
        remedy = f"{argument('labels', 'FILE')} (or {', '.join(named_sets())})"
        raise DataError(what, f"Name them in order with {remedy}")

    # --- What is said -----------------------------------------------------------------------

    def _say(self, kinds: Mapping[str, cells.Kind | None]) -> None:
        probabilities = self.probabilities
        first, of_ids = (f"{', '.join(x[:3])}, ..." for x in (self.order, self.label_set.labels))
        if probabilities and probabilities.named and probabilities.named != tuple(self.guides):
            self.notes.append(f"probabilities: columns {self.header[probabilities.places[0]]}, ...")
        elif probabilities and not probabilities.named:
            name = self.header[probabilities.places[0]]
            self.notes.append(f"column {name}: probabilities of {first}")
        for kind, found, guides in (
            ("true", self.truth, "true_labels"),
            ("predicted", self.predicted, "pred_labels"),
        ):
            if found is None:
                self.notes.append("predicted labels: probability of at least 0.5")
                continue
            name, held = self.header[found.places[0]], self.columns[found.places[0]]
            if found.named:
                self.notes.append(f"columns {name}, ...: {kind} labels, 0 or 1")
                continue
            how = kinds["truth" if kind == "true" else kind] or ""
            by = {"ids": f"ids in the order {of_ids}", "marks": f"0 or 1 in the order {first}"}
            if how in by or name != guides:
                self.notes.append(f"column {name}: {by.get(how, f'{kind} labels')}")
            different = cells.distinct(held).values()
            words = {cell for cell in different if isinstance(cell, str) and is_nothing(cell)}
            nothing = words - {"", *self.order}
            if nothing:
                self.notes.append(f"column {name}: {shown(min(nothing))} is no label")
        if not probabilities:
            self.notes.append("no probabilities: what needs them is left out")

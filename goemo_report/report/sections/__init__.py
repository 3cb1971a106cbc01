"""The report's sections, one module each: a new analysis is one new file here.

A section module has `ORDER`, an integer, `CHAPTER`, the title of the chapter that it is a part
of, and `build(comparison) -> Section | None`; None where it has nothing to say. Its id is the
module's name. Names with `_` are helpers.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache, partial
from typing import Final, Protocol, cast

from goemo_report import __version__
from goemo_report.comparison import Comparison
from goemo_report.errors import ArgumentError, GoemoError, NotFoundError, unexpected
from goemo_report.formats.text import shown
from goemo_report.formats.wording import plural
from goemo_report.report.data import logged_data, report_data, signature
from goemo_report.report.document import Callout, Report, Section
from goemo_report.report.sections._explore import explored
from goemo_report.report.sections._tables import firsts
from goemo_report.report.sections._words import texts_range
from goemo_report.report.sections.thresholds import deciding

APPENDIX: Final = "Appendix"
"""The chapter that a page folds."""
MOST_RUNS: Final = 10
"""A page with more runs has columns of the best one of each recipe that figures show."""


class SectionModule(Protocol):
    """What a module in this package offers."""

    ORDER: int
    CHAPTER: str

    def build(self, comparison: Comparison) -> Section | None:
        """The section of a comparison, None where it has nothing to say."""
        ...


@cache
def _modules() -> dict[str, SectionModule]:
    names = [
        module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")
    ]
    modules = {
        name: cast("SectionModule", importlib.import_module(f"{__name__}.{name}")) for name in names
    }
    ordered = sorted(modules.items(), key=lambda item: (item[1].ORDER, item[0]))
    return {name.replace("_", "-"): module for name, module in ordered}


def section_ids() -> tuple[str, ...]:
    """Ids of all sections in the order of the report."""
    return tuple(_modules())


def check_sections(wanted: Sequence[str]) -> None:
    """Raise ArgumentError for the id of a section that does not exist."""
    unknown = next((one for one in wanted if one not in section_ids()), None)
    if unknown is not None:
        raise ArgumentError(
            f"there is no section {shown(unknown)}", f"Sections: {', '.join(section_ids())}"
        )


def build_report(
    comparison: Comparison, *, created_at: datetime, command: str, only: Sequence[str] | None = None
) -> Report:
    """The report of a comparison; `only` limits it to sections with these ids.

    Raises ArgumentError for an id that no section has.
    """
    modules = _modules()
    check_sections(only or ())
    if not comparison.runs:
        if only and "logged" not in only:
            what = f"no run has predictions, so that there is no section {shown(only[0])}"
            raise NotFoundError(what, "There is only the section logged")
        return logged_report(comparison, created_at=created_at, command=command)
    faults: list[str] = []
    sections = tuple(
        replace(section, chapter=_chapter(module, comparison), folded=module.CHAPTER == APPENDIX)
        for name, module in modules.items()
        if (only is None or name in only)
        and (comparison.with_probabilities or not getattr(module, "NEEDS_PROBABILITIES", False))
        and (section := _built(name, module, comparison, faults, alone=only is not None))
    )
    texts = texts_range(comparison, comparison.split)
    where = "" if comparison.same_texts else " (not the same ones for all)"
    return Report(
        title=f"{comparison.label_set.title} report",
        subtitle=f"{plural(len(comparison.runs), 'run')} on {texts}{where}, "
        "recomputed from the predictions",
        created_at=created_at,
        sections=sections,
        signature=signature(comparison),
        command=command,
        brief=tuple(filter(None, [deciding(comparison)])),
        palette_names=tuple(run.short for run in comparison.runs),
        featured=_featured(comparison),
        data=report_data(
            comparison, created_at=created_at, command=command, statistics=only is None
        ),
        explore=partial(explored, comparison, only),
        faults=tuple(faults),
    )


def _built(
    name: str, module: SectionModule, comparison: Comparison, faults: list[str], *, alone: bool
) -> Section | None:
    """A section; where it is not asked for `alone`, it says of itself that it cannot be made,
    whatever the reason, and the others go on."""
    try:
        return module.build(comparison)
    except (GoemoError, MemoryError):
        raise
    except Exception as error:
        if alone:
            raise
        faults.append(f"the section {name} cannot be made: {unexpected(error)}")
        title, why = name.replace("-", " ").capitalize(), f"{faults[-1].capitalize()}."
        return Section.of(name, title, Callout("warning", why))


def _chapter(module: SectionModule, comparison: Comparison) -> str:
    """The chapter of a section; one run differs from nothing."""
    alone = len(comparison.runs) == 1 and module.CHAPTER == "Where it differs"
    return f"By {comparison.noun}" if alone else module.CHAPTER


def logged_report(comparison: Comparison, *, created_at: datetime, command: str) -> Report:
    """The report of runs none of which has predictions: what they logged."""
    section = _modules()["logged"].build(comparison)
    runs = plural(len(comparison.logged), "run")
    return Report(
        title="Logged figures",
        subtitle=f"{runs} without predictions: as logged, not recomputed",
        created_at=created_at,
        sections=() if section is None else (section,),
        signature=f"goemo:{__version__}|split:{comparison.split}|logged",
        command=command,
        data=logged_data(comparison, created_at=created_at, command=command),
    )


def _featured(comparison: Comparison) -> frozenset[int]:
    """The best run of each recipe that figures show, and the baseline that was chosen, where there
    are too many for a page."""
    if len(comparison.runs) <= MOST_RUNS:
        return frozenset()
    runs = firsts(comparison)
    if comparison.baseline_is_chosen:
        own = comparison.baseline
        runs = [*(run for run in runs if run.recipe is not own.recipe), own]
    return frozenset(run.colour for run in runs)

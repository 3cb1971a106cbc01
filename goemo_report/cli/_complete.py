"""Shell completion of RUN: ids of the offline runs that a command would read, and paths."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

_Command = TypeVar("_Command", bound=Callable[..., Any])


def complete_runs(ctx: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
    """Ids below the directory of offline runs, from file names alone; W&B is not asked."""
    from goemo_report.api.setup import offline_ids

    found = [CompletionItem(typed, type="file")]
    try:
        found += map(CompletionItem, offline_ids(ctx.params.get("wandb_dir")))
    except Exception:  # noqa: BLE001 - a completion that fails would print into the line typed
        return found
    return [item for item in found if item.type == "file" or _fits(item.value, typed)]


def _fits(run: str, typed: str) -> bool:
    """Whether an id continues what was typed, and may stand in a command line as it is."""
    return run.startswith(typed) and bool(re.fullmatch(r"[\w.-]+", run))


def run_argument(metavar: str = "RUN", **options: Any) -> Callable[[_Command], _Command]:
    """The argument that names a run, or several with `nargs=-1`."""
    name = "runs" if options.get("nargs") == -1 else "run"
    return click.argument(name, metavar=metavar, shell_complete=complete_runs, **options)

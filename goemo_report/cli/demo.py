"""`goemo-report demo`: from nothing to a report, without an account."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import click

import goemo_report as gr
from goemo_report.api import demo
from goemo_report.cli import _options as takes
from goemo_report.cli._group import debug_option
from goemo_report.cli._output import note, note_skipped, progress
from goemo_report.cli.compare import DEFAULT_FORMATS, build, write_all
from goemo_report.errors import missing_packages

ORDER = 120


@takes.command(
    "Train four small runs offline and compare them.",
    "goemo-report demo",
    "goemo-report demo --runs-dir scratch/runs --output scratch --open",
)
@takes.directory("--runs-dir", default="runs/demo", meaning="Where the runs are written.")
@takes.directory(
    "--output", "-o", "reports", default="reports", meaning="Where the report is written."
)
@takes.open_report
@debug_option
def command(runs_dir: Path, reports: Path, open_report: bool) -> None:
    """Train four small runs offline and compare them.

    Two tiny models with two seeds each learn a corpus that goemo generates, tracked as
    offline W&B runs. Needs no account and no network. Without the [train] extra it compares
    made-up predictions of the same corpus.
    """
    began = time.monotonic()
    if missing_packages():
        note("these predictions are made up: goemo[train], which trains models, is not installed")
        _compare(list(map(str, demo.make_up(runs_dir))), [], reports, open_report)
    else:
        runs = demo.plan(runs_dir)
        note(f"training {len(runs)} small runs offline into {runs_dir} (no account, no network)")
        _follow(runs, runs_dir)
        note(f"all trained in {time.monotonic() - began:.0f} s; comparing them")
        place = ["--wandb-dir", str(runs_dir)]
        _compare([run.id for run in runs], place, reports, open_report)
    note(f"done in {time.monotonic() - began:.0f} s")


def _compare(names: list[str], place: list[str], reports: Path, open_report: bool) -> None:
    with progress() as bar:
        wandb_dir = place[-1] if place else None
        comparison = gr.compare(*names, wandb_dir=wandb_dir, progress=bar).prepare()
    note_skipped(comparison.skipped)
    typed = shlex.join(("goemo-report", "compare", *names, *place))
    _, documents = build(comparison, DEFAULT_FORMATS, typed, stem="demo")
    written = write_all(documents, reports)
    note(f"open {written[0]} in a browser")
    note(f"compare them again with: {typed}")
    if open_report:
        click.launch(written[0].resolve().as_uri())


def _follow(runs: Sequence[demo.DemoRun], directory: Path) -> None:
    """Say run by run what is trained, on a terminal with a line that moves."""
    done = 0
    with progress() as bar:
        for run, seconds in demo.train(runs, directory):
            title = f"run {run.number} of {len(runs)}: {run.model}, seed {run.seed}"
            if seconds is None:
                note(f"  {title}, started")
            else:
                done += 1
                note(f"  {title}, trained in {seconds:.0f} s")
            bar("training", done, len(runs))

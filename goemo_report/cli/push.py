"""`goemo-report push`: a run as a model repository on the Hugging Face hub."""

from __future__ import annotations

from typing import Any

import click

import goemo_report as gr
from goemo_report.cli import _options as takes
from goemo_report.cli._output import progress, write_answer
from goemo_report.cli.card import card_options

ORDER = 67


@takes.command(
    "Send a run to the Hugging Face hub as one commit.",
    "goemo-report push abc123 my-team/roberta-goemotions --wandb-dir runs --dry-run",
    "goemo-report push abc123 my-team/roberta-goemotions --wandb-dir runs --license mit",
)
@takes.run()
@click.argument("repo")
@click.option("--dry-run", is_flag=True, help="List files and sizes, and send nothing.")
@takes.no("--public", "private", "Make, or push to, a public repository.")
@click.option(
    "--force", is_flag=True, help="Push to a repository that holds other files, which stay."
)
@takes.no("--no-text", "texts", "Leave predictions and all texts of reports out.")
@card_options
@takes.form("text", "json")
@takes.source(filters=False)
@takes.artifact
@takes.validation
@takes.labels(rolls_up=False)
def command(run: str, repo: str, form: str, asked: dict[str, Any], **options: Any) -> None:
    """Send a run's checkpoint, thresholds, model card, predictions and report to the model
    repository REPO on the Hugging Face hub, all of it as one commit or none of it.

    REPO is NAMESPACE/NAME, or NAME in your own namespace; it is made where there is none, and
    private. The checkpoint is checked first, as `verify` checks it: digests, weights, vocabulary;
    weights in a pickle become safetensors. What an earlier push left and the run does not have is
    removed. HF_TOKEN or `hf auth login` gives the token, HF_ENDPOINT another hub.
    Needs the extra goemo[hub].
    """
    with progress() as bar:
        found = gr.run(run, **asked, progress=bar).push(repo, **options)
    write_answer(found, form, notes=found.notes)

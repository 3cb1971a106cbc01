"""`goemo-report thresholds`: what turns probabilities into labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import goemo_report as gr
from goemo_report.cli import _options as takes
from goemo_report.cli._output import note_all, progress, write_json

ORDER = 68


@takes.command(
    "Write a run's thresholds, tuned on validation, as JSON.",
    "goemo-report thresholds roberta-large-20241210-143022 -o thresholds.json",
    "goemo-report thresholds abc123 --wandb-dir runs --protocol global",
)
@takes.run()
@takes.protocol(help="One threshold per class, one for all classes, or 0.5.")
@takes.source(filters=False)
@takes.artifact
@takes.validation
@takes.labels(rolls_up=True)
@takes.output
def command(run: str, asked: dict[str, Any], output: Path, **options: Any) -> None:
    """Write a run's thresholds as JSON, to apply elsewhere: a label is predicted at p >= its
    threshold.

    They are tuned on the validation predictions: per class for the best F1 of the class (a
    class with fewer than 10 positives keeps the global one), global for the best macro F1.
    """
    with progress() as bar:
        found = gr.run(run, **asked, progress=bar).thresholds(**options)
    write_json(found.document(), output)
    note_all(found.notes)
    if found.fallback:
        note_all([f"the global threshold, for lack of positives: {', '.join(found.fallback)}"])

"""Honest reports from runs of multi-label emotion classification: W&B, offline logs, files.

    import goemo_report as gr

    runs = gr.runs(tag="final")
    comparison = gr.compare(runs)
    comparison.save("report.html")

Names are loaded when they are used: importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goemo_report.api.comparisons import ComparisonResult as ComparisonResult
    from goemo_report.api.comparisons import Verdict as Verdict
    from goemo_report.api.comparisons import compare as compare
    from goemo_report.api.inputs import ensemble as ensemble
    from goemo_report.api.one_run import Run as Run
    from goemo_report.api.recording import log_evaluation as log_evaluation
    from goemo_report.api.recording import log_predictions as log_predictions
    from goemo_report.api.recording import predictions_of as predictions_of
    from goemo_report.api.recording import trainer_metrics as trainer_metrics
    from goemo_report.api.runs import Runs as Runs
    from goemo_report.api.runs import run as run
    from goemo_report.api.runs import runs as runs
    from goemo_report.api.scores import Evaluation as Evaluation
    from goemo_report.api.scores import read_predictions as read_predictions
    from goemo_report.api.scores import score as score
    from goemo_report.errors import ArgumentError as ArgumentError
    from goemo_report.errors import DataError as DataError
    from goemo_report.errors import GoemoError as GoemoError
    from goemo_report.errors import NotFoundError as NotFoundError
    from goemo_report.errors import SettingsError as SettingsError
    from goemo_report.errors import SourceError as SourceError
    from goemo_report.predictions import Predictions as Predictions

__version__ = "0.2.0"

_HOME = {
    "api.comparisons": ("ComparisonResult", "Verdict", "compare"),
    "api.inputs": ("ensemble",),
    "api.recording": ("log_evaluation", "log_predictions", "predictions_of", "trainer_metrics"),
    "api.one_run": ("Run",),
    "api.runs": ("Runs", "run", "runs"),
    "api.scores": ("Evaluation", "read_predictions", "score"),
    "errors": (
        *("ArgumentError", "DataError", "GoemoError"),
        *("NotFoundError", "SettingsError", "SourceError"),
    ),
    "predictions": ("Predictions",),
}
_MODULES = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_MODULES)  # a list of names


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

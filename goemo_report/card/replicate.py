"""The `goemo-train` command that trains a run again, from the run's own config."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final

from goemo_report.contract import DATASET_NAME, EMOTIONS_WITHOUT_NEUTRAL, PHASE_TAGS, STATUS_TAGS
from goemo_report.model import RunRecord

# Options of goemo-train that decide the result, in the order of its help. A test holds
# that the trainer takes them and that none is left out.
SETTINGS: Final = (
    "model", "model_name", "dataset", "exclude_neutral", "limit", "learning_rate", "batch_size",
    "num_epochs", "dropout", "max_seq_length", "warmup_steps", "weight_decay", "max_grad_norm",
    "random_seed", "pooling", "bias_start", "embedding_updates", "threshold", "precision",
    "eval_precision", "patience", "phase", "status",
)  # fmt: skip
HUB_NAMES: Final[Mapping[str, str]] = {
    "roberta-large": "FacebookAI/roberta-large",
    "roberta-base": "FacebookAI/roberta-base",
    "distilbert-base": "distilbert/distilbert-base-uncased",
    "distilbert-base-uncased": "distilbert/distilbert-base-uncased",
    "distilbert-base-cased": "distilbert/distilbert-base-cased",
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "bert-base-cased": "google-bert/bert-base-cased",
    "bert-large-uncased": "google-bert/bert-large-uncased",
    "deberta-v3-base": "microsoft/deberta-v3-base",
    "deberta-v3-large": "microsoft/deberta-v3-large",
    "ModernBERT-base": "answerdotai/ModernBERT-base",
}
"""Where the hub keeps the models that the guide's short names mean."""
_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_OTHER_TAGS: Final = frozenset((*PHASE_TAGS, *STATUS_TAGS))


def by_goemo_train(run: RunRecord) -> bool:
    """Whether the run's config holds the trainer's own settings, not the guide's alone."""
    return "model" in run.config and "dataset" in run.config


def base_model(run: RunRecord) -> str | None:
    """The hub name of the model that was fine-tuned, None where it is none or not known."""
    stated = str(run.config.get("model") or run.model_name)
    named = HUB_NAMES.get(stated, stated)
    return named if _HUB_NAME.fullmatch(named) else None


def replicate_command(run: RunRecord) -> str:
    """The command line, quoted for a POSIX shell; values that are no settings are left out.

    A run of another trainer gets what the guide's config keys say.
    """
    return " ".join(map(_quoted, replicate_arguments(run)))


def replicate_arguments(run: RunRecord) -> list[str]:
    """The command as a list of arguments, `goemo-train` first."""
    known = {key: run.config[key] for key in SETTINGS if key in run.config}
    if not by_goemo_train(run):
        known["model"] = base_model(run) or run.model_name
        known["dataset"] = run.config.get("dataset_name") or DATASET_NAME
        known["exclude_neutral"] = run.config.get("num_labels") == len(EMOTIONS_WITHOUT_NEUTRAL)
    for key, tags in (("phase", PHASE_TAGS), ("status", STATUS_TAGS)):
        known.setdefault(key, next((tag for tag in run.tags if tag in tags), None))
    arguments = ["goemo-train"]
    for key in SETTINGS:
        arguments += _option(key, known.get(key))
    for tag in run.tags:
        if tag not in _OTHER_TAGS and tag != run.model_name:
            arguments += _option("tag", tag)
    return arguments


def _option(key: str, value: Any) -> Iterator[str]:
    flag = "--" + key.replace("_", "-")
    if value is True:
        yield flag
    elif isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        return
    elif str(value).startswith("-"):
        yield f"{flag}={value}"
    else:
        yield from (flag, str(value))


def _quoted(text: str) -> str:
    """One shell word. What a terminal would obey is written as an escape, in `$'...'`."""
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))

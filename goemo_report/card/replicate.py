"""The `goemo-train` command that trains a run again, from the run's own settings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Final

from goemo_report.analysis.configs import MEMBERS
from goemo_report.contract import PHASE_TAGS, STATUS_TAGS
from goemo_report.labels import configured_set, known_data
from goemo_report.sources.model import ArtifactRef, RunRecord

GUIDE_SETTINGS: Final = (
    "learning_rate", "batch_size", "num_epochs", "dropout", "max_seq_length", "warmup_steps",
    "weight_decay", "random_seed",
)  # fmt: skip
"""The config keys of the guide that say how to train; its others say what was found."""
SETTINGS: Final = frozenset((
    *GUIDE_SETTINGS, "model", "dataset", "text_column", "label_column", "taxonomy",
    "exclude_neutral", "limit", "micro_batch_size", "auto_batch_size", "loss", "teacher",
    "soft_labels", "layer_decay", "max_grad_norm", "pooling", "bias_start", "head_start",
    "embedding_updates", "threshold", "precision", "eval_precision", "compile", "patience",
))  # fmt: skip
"""What `goemo-train` can be told of how to train; an older run may hold more."""
LOSSES: Final = ("bce", "balanced-bce", "weighted-bce")
"""What its `--loss` can be."""
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_FIRST: Final = ("model", "model_name", "dataset")
_LAST: Final = ("phase", "status")
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
    return bool(members_of(run)) or ("model" in run.config and "dataset" in run.config)


def base_model(run: RunRecord) -> str | None:
    """The hub name of the model that was fine-tuned, None where it is none or not known."""
    known = (run.config.get(key) for key in ("model", "model_name", "_name_or_path"))
    stated = str(next(filter(None, known), ""))
    named = HUB_NAMES.get(stated, stated)
    return named if _HUB_NAME.fullmatch(named) else None


def members_of(run: RunRecord) -> list[str]:
    """The runs that an ensemble averages; empty for any other run."""
    found = run.config.get(MEMBERS)
    return list(map(str, found)) if isinstance(found, list) and len(found) > 1 else []


def replicate_command(
    run: RunRecord, artifacts: Sequence[ArtifactRef] = (), instead: Mapping[str, Any] = _NOTHING
) -> str:
    """The command line, quoted for a POSIX shell; what the trainer does not take is left out.

    Settings are the hyperparameters that the run's checkpoint among `artifacts` carries, else
    what its config holds beside measured values. A run of another trainer gets what the guide's
    config keys say, an ensemble the command that made it. `instead` replaces settings.
    """
    if members := members_of(run):
        shown = members if instead is _NOTHING else [PurePath(one).name for one in members]
        return " ".join(map(_quoted, ("goemo-report", "ensemble", *shown, "-o", run.name)))
    told = _settings(run, artifacts).items()
    known = {key: value for key, value in told if _is_taken(key, value)}
    known = {**known, "model_name": run.config.get("model_name")}
    for key, tags in (("phase", PHASE_TAGS), ("status", STATUS_TAGS)):
        tagged = next((tag for tag in run.tags if tag in tags), None)
        known[key] = run.config.get(key, tagged)
    known |= instead
    arguments = ["goemo-train"]
    for key in (*_FIRST, *sorted(set(known).difference(_FIRST, _LAST)), *_LAST):
        arguments += _option(key, known.get(key))
    for tag in run.tags:
        if tag not in _OTHER_TAGS and tag != run.model_name:
            arguments += _option("tag", tag)
    if is_offline(run):
        arguments += _option("wandb_mode", "offline")
    return " ".join(map(_quoted, arguments))


def is_offline(run: RunRecord) -> bool:
    """Whether the run was logged to disk, and is read from there."""
    return run.url is None and any(
        PurePath(place).name.startswith("offline-run-") for place in run.origin.split(", ")
    )


def without_private_paths(
    run: RunRecord, artifacts: Sequence[ArtifactRef] = (), base: str | None = None
) -> dict[str, Any]:
    """What to print instead of the paths among the settings where others can read it."""
    settings = _settings(run, artifacts)
    given = {key: str(settings.get(key) or "") for key in ("model", "dataset")}
    # A directory of the official splits holds what the hub has under the data set's name.
    data = known_data(run.config.get("dataset_name"))
    dataset = data.name if data else PurePath(given["dataset"]).name or "DIRECTORY"
    names = {"model": base or run.model_name, "dataset": dataset}
    public = {key: names[key] for key, value in given.items() if _is_path(value)}
    teachers = [PurePath(str(one)).name for one in settings.get("teacher") or ()]
    return {**public, "teacher": teachers} if teachers else public


def _is_path(value: str) -> bool:
    return bool(re.search(r"[/\\]|^[.~]", value)) and not _HUB_NAME.fullmatch(value)


def _settings(run: RunRecord, artifacts: Sequence[ArtifactRef]) -> Mapping[str, Any]:
    if not by_goemo_train(run):
        number, stated = run.config.get("num_labels"), run.config.get("dataset_name")
        known = configured_set(number, stated)
        meant = known.own_data if known else None
        data = stated or (meant.name if meant else None)
        plain = meant is not None and meant.is_named(data)
        return {
            "model": base_model(run) or run.model_name,
            "dataset": data,
            "exclude_neutral": plain and known is not None and bool(known.left_out),
            **{key: run.config[key] for key in GUIDE_SETTINGS if key in run.config},
        }
    return _stated(artifacts) or {k: v for k, v in run.config.items() if k in SETTINGS}


def _stated(artifacts: Sequence[ArtifactRef]) -> Mapping[str, Any]:
    """The settings that the newest checkpoint carries, if it does."""
    for artifact in reversed(artifacts):
        stated = artifact.metadata.get("hyperparameters")
        if artifact.role == "checkpoint" and isinstance(stated, Mapping) and "model" in stated:
            return stated
    return {}


def _is_taken(key: str, value: Any) -> bool:
    return key in SETTINGS and (key != "loss" or value is None or value in LOSSES)


def not_taken(run: RunRecord, artifacts: Sequence[ArtifactRef] = ()) -> list[str]:
    """What a run of an older `goemo-train` was told that it no longer takes, with its values."""
    if not by_goemo_train(run) or members_of(run):
        return []
    told = _settings(run, artifacts).items()
    return [f"{key} {value}" for key, value in told if value and not _is_taken(key, value)]


def _option(key: str, value: Any) -> Iterator[str]:
    """No flag for False: it is the trainer's default of every switch, which a test holds."""
    flag = "--" + key.replace("_", "-")
    if value is True:
        yield flag
    elif key == "teacher" and isinstance(value, list | tuple):
        for one in value:
            yield from _option(key, one)
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

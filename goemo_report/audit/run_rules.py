"""Rules about the run itself, its config and its system keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from goemo_report.audit.evidence import Evidence, listed
from goemo_report.audit.registry import Check, RuleSet
from goemo_report.audit.values import Sane, fault, has_type, is_version, shown
from goemo_report.contract import (
    CONFIG_KEYS,
    DATASET_NAME,
    PHASE_TAGS,
    PROJECT,
    RUN_NAME_PATTERN,
    STATUS_TAGS,
    SYSTEM_KEYS,
    Key,
)
from goemo_report.labels import SPLIT_SAMPLES, WITHOUT_NEUTRAL

RUN = RuleSet("run")
CONFIG = RuleSet("config")

# --- The run --------------------------------------------------------------------------


@RUN.rule(
    "run-name",
    "error",
    "The run is called {model_name}-{YYYYMMDD}-{HHMMSS}.",
    "Give wandb.init that name, or rename the run in W&B",
)
def run_name(evidence: Evidence) -> Iterator[str]:
    """Pattern of the name, and a date that exists."""
    match = RUN_NAME_PATTERN.fullmatch(evidence.run.name)
    if match is None:
        yield f"the run is called {shown(evidence.run.name)}"
        return
    try:
        datetime.strptime(match["date"] + match["time"], "%Y%m%d%H%M%S")  # noqa: DTZ007, RUF100 # local
    except ValueError:
        yield f"{match['date']}-{match['time']} in the run's name is no date and time"


@RUN.rule(
    "run-name-model",
    "warning",
    "The run's name starts with the config's model_name.",
    "Make the name from config['model_name']",
)
def run_name_model(evidence: Evidence) -> Iterator[str]:
    """Only where both are there."""
    match, names = RUN_NAME_PATTERN.fullmatch(evidence.run.name), evidence.model_names
    if match and names and match["model_name"] not in names:
        yield f"the name says {shown(match['model_name'])}, model_name is {shown(names[0])}"


@RUN.rule(
    "run-project",
    "note",
    f"The run is in the project {PROJECT}.",
    "Give wandb.init the project, or move the run",
)
def run_project(evidence: Evidence) -> Iterator[str]:
    """Another project is read with --project."""
    if evidence.label_set.own_data and evidence.run.project not in ("", None, PROJECT):
        yield f"the run is in the project {shown(evidence.run.project)}"


@RUN.rule(
    "run-finished",
    "error",
    "The run is finished.",
    "Let it end with wandb.finish(); leave runs that failed out of results",
)
def run_finished(evidence: Evidence) -> Iterator[str]:
    """The state as W&B or the end of the offline log has it."""
    if evidence.run.state != "finished":
        yield f"the run is {evidence.run.state}"


def _tag_rule(allowed: tuple[str, ...]) -> Check:
    def check(evidence: Evidence) -> Iterator[str]:
        if not set(evidence.run.tags) & set(allowed):
            yield f"none of the tags is {' or '.join(allowed)} (tags: {_tags(evidence)})"

    return check


def _tags(evidence: Evidence) -> str:
    return listed(map(shown, evidence.run.tags)) or "none"


@RUN.rule(
    "tags-model",
    "error",
    "A tag names the model type, as model_name does.",
    "Tag the run with config['model_name']",
)
def tags_model(evidence: Evidence) -> Iterator[str]:
    """Without a model_name, any tag that the run's name starts with."""
    tags, names = evidence.run.tags, evidence.model_names
    if names and not set(tags) & set(names):
        yield f"no tag is {shown(names[-1])} (tags: {_tags(evidence)})"
    elif not names and not any(tag and evidence.run.name.startswith(tag) for tag in tags):
        yield f"no tag names the model (tags: {_tags(evidence)})"


for _kind, _allowed in (("phase", PHASE_TAGS), ("status", STATUS_TAGS)):
    RUN.add(
        f"tags-{_kind}",
        "error",
        f"A tag tells the {_kind}: {', '.join(_allowed)}.",
        f"Tag the run with its {_kind}",
        _tag_rule(_allowed),
    )


@RUN.rule(
    "tags-one-status",
    "warning",
    "No more than one tag tells the status.",
    "Remove the tags that hold no longer, or the run is selected with the wrong ones",
)
def tags_one_status(evidence: Evidence) -> Iterator[str]:
    """A run may be of two phases, but hardly experimental and final."""
    found = [tag for tag in evidence.run.tags if tag in STATUS_TAGS]
    if len(found) > 1:
        yield f"the run has {len(found)} of them: {', '.join(found)}"


# --- Config ---------------------------------------------------------------------------

_SANE: Final[dict[str, tuple[Sane, str]]] = {
    "model_params": (lambda v: v > 0, "above 0"),
    "num_labels": (
        lambda v: v >= 2,
        "at least 2",
    ),
    "learning_rate": (lambda v: 0 < v < 1, "between 0 and 1"),
    "batch_size": (lambda v: v >= 1, "at least 1"),
    "num_epochs": (lambda v: v >= 1, "at least 1"),
    "dropout": (lambda v: 0 <= v < 1, "from 0 to below 1"),
    "max_seq_length": (lambda v: v >= 1, "at least 1"),
    "warmup_steps": (lambda v: v >= 0, "at least 0"),
    "weight_decay": (lambda v: 0 <= v <= 10, "from 0 to 10"),
    "random_seed": (lambda v: v >= 0, "at least 0"),
    "train_samples": (lambda v: v > 0, "above 0"),
    "val_samples": (lambda v: v > 0, "above 0"),
    "test_samples": (lambda v: v > 0, "above 0"),
    "cuda_version": (
        lambda v: is_version(v) or v.strip().lower() in {"none", "n/a", "cpu"},
        "a version, or none",
    ),
    "pytorch_version": (is_version, "a version"),
    "transformers_version": (is_version, "a version"),
    "system/python_version": (is_version, "a version"),
    "system/pytorch_version": (is_version, "a version"),
    "system/cuda_version": (is_version, "a version"),
    "system/gpu_count": (lambda v: v >= 0, "at least 0"),
    "system/transformers_version": (is_version, "a version"),
}


def _config_rule(key: Key) -> Check:
    sane, range_ = _SANE.get(key.name, (None, ""))

    def check(evidence: Evidence) -> Iterator[str]:
        found = fault(evidence.run.config, key, sane, range_)
        if found:
            yield found

    return check


def _add_key(prefix: str, key: Key, how: str) -> None:
    name = key.name.removeprefix("system/").replace("_", "-")
    optional = ", or null" if key.optional else ""
    range_ = f" ({_SANE[key.name][1]})" if key.name in _SANE else ""
    CONFIG.add(
        f"{prefix}-{name}",
        "error",
        f"The config has {key.name}, {key.type.__name__}{optional}{range_}: {key.meaning}.",
        how,
        _config_rule(key),
    )


for _key in CONFIG_KEYS:
    _add_key("config", _key, f"Log {_key.name} in the run's config")
for _key in SYSTEM_KEYS:
    _add_key("system", _key, f"wandb.config.update({{'{_key.name}': ...}}) when the run starts")


@CONFIG.rule(
    "versions-agree",
    "warning",
    "The versions in the config and under system/ are the same.",
    "Log both from the same place",
)
def versions_agree(evidence: Evidence) -> Iterator[str]:
    """Only where both are texts."""
    config = evidence.run.config
    for name in ("pytorch_version", "transformers_version", "cuda_version"):
        one, other = config.get(name), config.get(f"system/{name}")
        if isinstance(one, str) and isinstance(other, str) and one != other:
            yield f"{name} is {shown(one)}, system/{name} is {shown(other)}"


@CONFIG.rule(
    "dataset-size",
    "warning",
    f"A run on {DATASET_NAME} uses its official splits: "
    + ", ".join(f"{size} {split}" for split, size in SPLIT_SAMPLES.items())
    + " (fewer without neutral, or with a logged `limit`).",
    "Train on the official splits, or say in the config what was left out",
)
def dataset_size(evidence: Evidence) -> Iterator[str]:
    """Runs on a part of the data are not comparable with published results."""
    config = evidence.run.config
    data = evidence.label_set.data
    if data is None or not data.is_named(config.get("dataset_name")):
        return
    if evidence.label_set == WITHOUT_NEUTRAL or _positive(config.get("limit")):
        return
    odd = [
        f"{split}_samples is {logged}, not {size}"
        for split, size in data.split_samples.items()
        if has_type(logged := config.get(f"{split}_samples"), int) and logged != size
    ]
    if odd:
        yield listed(odd)


def _positive(value: Any) -> bool:
    return has_type(value, float) and value > 0

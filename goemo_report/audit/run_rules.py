"""Rules about the run itself, its config and its system keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from goemo_report.audit.evidence import Evidence
from goemo_report.audit.registry import (
    ABOVE_ZERO,
    AT_LEAST_ONE,
    NOT_NEGATIVE,
    RuleSet,
    Sane,
    fault,
    has_type,
    is_version,
    listed,
    shown,
)
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


@RUN.rule("error", "Give wandb.init that name, or rename the run in W&B")
def _run_name(evidence: Evidence) -> Iterator[str]:
    """The run is called {model_name}-{YYYYMMDD}-{HHMMSS}."""
    match = RUN_NAME_PATTERN.fullmatch(evidence.run.name)
    if match is None:
        yield f"the run is called {shown(evidence.run.name)}"
        return
    try:
        datetime.strptime(match["date"] + match["time"], "%Y%m%d%H%M%S")  # noqa: DTZ007, RUF100 # local
    except ValueError:
        yield f"{match['date']}-{match['time']} in the run's name is no date and time"


@RUN.rule("warning", "Make the name from config['model_name']")
def _run_name_model(evidence: Evidence) -> Iterator[str]:
    """The run's name starts with the config's model_name."""
    match, names = RUN_NAME_PATTERN.fullmatch(evidence.run.name), evidence.model_names
    if match and names and match["model_name"] not in names:
        yield f"the name says {shown(match['model_name'])}, model_name is {shown(names[0])}"


@RUN.rule(
    "note",
    "Give wandb.init the project, or move the run",
    requires=f"The run is in the project {PROJECT}.",
)
def _run_project(evidence: Evidence) -> Iterator[str]:
    if evidence.label_set.own_data and evidence.run.project not in ("", None, PROJECT):
        yield f"the run is in the project {shown(evidence.run.project)}"


@RUN.rule("error", "Let it end with wandb.finish(); leave runs that failed out of results")
def _run_finished(evidence: Evidence) -> Iterator[str]:
    """The run is finished."""
    if evidence.run.state != "finished":
        yield f"the run is {evidence.run.state}"


def _tags(evidence: Evidence) -> str:
    return listed(map(shown, evidence.run.tags)) or "none"


@RUN.rule("error", "Tag the run with config['model_name']")
def _tags_model(evidence: Evidence) -> Iterator[str]:
    """A tag names the model type, as model_name does."""
    tags, names = evidence.run.tags, evidence.model_names
    if names and not set(tags) & set(names):
        yield f"no tag is {shown(names[-1])} (tags: {_tags(evidence)})"
    elif not names and not any(tag and evidence.run.name.startswith(tag) for tag in tags):
        yield f"no tag names the model (tags: {_tags(evidence)})"


def _tag_of(evidence: Evidence, allowed: tuple[str, ...]) -> Iterator[str]:
    if not set(evidence.run.tags) & set(allowed):
        yield f"none of the tags is {' or '.join(allowed)} (tags: {_tags(evidence)})"


for _kind, _allowed in (("phase", PHASE_TAGS), ("status", STATUS_TAGS)):
    _requires = f"A tag tells the {_kind}: {', '.join(_allowed)}."
    _remedy = f"Tag the run with its {_kind}"
    RUN.add(f"tags-{_kind}", "error", _requires, _remedy, _tag_of, _allowed)


@RUN.rule(
    "warning", "Remove the tags that hold no longer, or the run is selected with the wrong ones"
)
def _tags_one_status(evidence: Evidence) -> Iterator[str]:
    """No more than one tag tells the status."""
    # A run may be of two phases, but hardly experimental and final.
    found = [tag for tag in evidence.run.tags if tag in STATUS_TAGS]
    if len(found) > 1:
        yield f"the run has {len(found)} of them: {', '.join(found)}"


# --- Config ---------------------------------------------------------------------------

_VERSION: Final[Sane] = (is_version, "a version")
_VERSIONED: Final = ("python_version", "pytorch_version", "cuda_version", "transformers_version")
_SANE: Final[dict[str, Sane]] = {
    **dict.fromkeys(("model_params", "train_samples", "val_samples", "test_samples"), ABOVE_ZERO),
    **dict.fromkeys(("batch_size", "num_epochs", "max_seq_length"), AT_LEAST_ONE),
    **dict.fromkeys(("warmup_steps", "random_seed", "system/gpu_count"), NOT_NEGATIVE),
    **{key.name: _VERSION for key in (*CONFIG_KEYS, *SYSTEM_KEYS) if key.name.endswith(_VERSIONED)},
    "num_labels": (lambda v: v >= 2, "at least 2"),
    "learning_rate": (lambda v: 0 < v < 1, "between 0 and 1"),
    "dropout": (lambda v: 0 <= v < 1, "from 0 to below 1"),
    "weight_decay": (lambda v: 0 <= v <= 10, "from 0 to 10"),
    "cuda_version": (
        lambda v: is_version(v) or v.strip().lower() in {"none", "n/a", "cpu"},
        "a version, or none",
    ),
}


@CONFIG.rule_of_keys(
    "system", SYSTEM_KEYS, "wandb.config.update({{'{name}': ...}}) when the run starts", _SANE
)
@CONFIG.rule_of_keys("config", CONFIG_KEYS, "Log {name} in the run's config", _SANE)
def _key_of_config(evidence: Evidence, key: Key) -> Iterator[str]:
    """The config has {name}, {type}{range}: {meaning}."""
    return fault(evidence.run.config, key, _SANE.get(key.name))


@CONFIG.rule("warning", "Log both from the same place")
def _versions_agree(evidence: Evidence) -> Iterator[str]:
    """The versions in the config and under system/ are the same."""
    config = evidence.run.config
    for name in ("pytorch_version", "transformers_version", "cuda_version"):
        one, other = config.get(name), config.get(f"system/{name}")
        if isinstance(one, str) and isinstance(other, str) and one != other:
            yield f"{name} is {shown(one)}, system/{name} is {shown(other)}"


@CONFIG.rule(
    "warning",
    "Train on the official splits, or say in the config what was left out",
    requires=f"A run on {DATASET_NAME} uses its official splits: "
    + ", ".join(f"{size} {split}" for split, size in SPLIT_SAMPLES.items())
    + " (fewer without neutral, or with a logged `limit`).",
)
def _dataset_size(evidence: Evidence) -> Iterator[str]:
    config = evidence.run.config
    data = evidence.label_set.data
    if data is None or not data.is_named(config.get("dataset_name")):
        return
    limit: Any = config.get("limit")
    if evidence.label_set == WITHOUT_NEUTRAL or (has_type(limit, float) and limit > 0):
        return
    odd = [
        f"{split}_samples is {logged}, not {size}"
        for split, size in data.split_samples.items()
        if has_type(logged := config.get(f"{split}_samples"), int) and logged != size
    ]
    if odd:
        yield listed(odd)

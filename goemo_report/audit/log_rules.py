"""Rules about what was logged: the run itself, its config and system keys, each metric in each
epoch, and each one after training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from goemo_report.audit.evidence import EPOCH_KEYS, Evidence
from goemo_report.audit.registry import (
    ABOVE_ZERO,
    AT_LEAST_ONE,
    NOT_NEGATIVE,
    SHARE,
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
    MACRO_AUC_METRICS,
    OVERALL_METRICS,
    PER_CLASS_STATISTICS,
    PHASE_TAGS,
    RUN_NAME_PATTERN,
    STATUS_TAGS,
    SUMMARY_METRICS,
    SYSTEM_KEYS,
    Key,
    per_class_metric,
)
from goemo_report.formats.wording import plural
from goemo_report.metrics.table import canonical_metric
from goemo_report.sources.model import as_number

RUN = RuleSet("run")
CONFIG = RuleSet("config")
METRICS = RuleSet("metrics")

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
    requires="The run is in the project {project}.",
)
def _run_project(evidence: Evidence) -> Iterator[str]:
    data = evidence.label_set.own_data
    if data and data.project and evidence.run.project not in ("", None, data.project):
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
    requires="A run on {data} uses its official splits{sizes} (fewer{without_rest} with a logged "
    "`limit`).",
)
def _dataset_size(evidence: Evidence) -> Iterator[str]:
    config = evidence.run.config
    data = evidence.label_set.data
    if data is None or not data.is_named(config.get("dataset_name")):
        return
    limit: Any = config.get("limit")
    if evidence.label_set.left_out or (has_type(limit, float) and limit > 0):
        return
    odd = [
        f"{split}_samples is {logged}, not {size}"
        for split, size in data.split_samples.items()
        if has_type(logged := config.get(f"{split}_samples"), int) and logged != size
    ]
    if odd:
        yield listed(odd)


_ONE_LOG: Final = "Log it with the others at the end of each epoch: wandb.log({...}, step=epoch)"
_SANE_EPOCH: Final[dict[str, Sane]] = {
    **dict.fromkeys(("train/auc", "val/auc"), SHARE),
    **dict.fromkeys(("train/epoch_time", "train/samples_per_sec"), ABOVE_ZERO),
}
"""Other keys may be any number that is not negative."""


# --- Per epoch ------------------------------------------------------------------------


@METRICS.rule("error", _ONE_LOG)
def _epoch_history(evidence: Evidence) -> Iterator[str]:
    """Training metrics are logged at the end of each epoch."""
    # A history without a single one gets this finding alone.
    if not evidence.training.logged:
        yield "the history holds no training metric"


@METRICS.rule("error", "Call wandb.log once an epoch, with step=epoch")
def _epoch_step(evidence: Evidence) -> Iterator[str]:
    """There is one step an epoch, and its number is the epoch's."""
    found, epochs = evidence.training, evidence.expected_epochs()
    if not found.logged:
        return
    if found.logged > len(epochs):
        steps, of = plural(found.logged, "step"), plural(len(epochs), "epoch")
        yield f"training metrics are logged at {steps} in {of}"
        return
    apart = [
        f"epoch {epoch:g} at step {step:g}"
        for epoch, row in found.rows.items()
        if (step := as_number(row.get("_step"))) is not None and epoch != step
    ]
    if apart:
        yield listed(apart)
    odd = sorted(set(found.rows) - set(epochs))
    if odd:
        yield f"there are metrics of epoch {listed(f'{epoch:g}' for epoch in odd)}, after the last"


@METRICS.rule_of_keys("epoch", EPOCH_KEYS, _ONE_LOG.replace("{", "{{").replace("}", "}}"))
def _in_every_epoch(evidence: Evidence, key: Key) -> Iterator[str]:
    """{name} is logged in every epoch: {meaning}."""
    logged = [row[key.name] for row in evidence.training.rows.values() if key.name in row]
    rows = evidence.epoch_rows()
    if not evidence.training.rows or (logged and not rows):
        return  # steps that are no epochs have a finding of their own
    values = {
        epoch: rows.get(float(epoch), {}).get(key.name) for epoch in evidence.expected_epochs()
    }
    missing = [str(epoch) for epoch, value in values.items() if value is None]
    if len(missing) == len(values):
        yield f"{key.name} is in no epoch"
    elif missing:
        yield f"{key.name} is missing in epoch {listed(missing)}"
    sane = _SANE_EPOCH.get(key.name, NOT_NEGATIVE)
    for epoch, value in values.items():
        number = as_number(value)
        given = {key.name: value if number is None else number}
        if value is not None and (found := [*fault(given, key, sane, f" of epoch {epoch}")]):
            yield from found
            return


# --- After training -------------------------------------------------------------------


@METRICS.rule_of_keys("metric", OVERALL_METRICS, "Log it after the evaluation on the test split")
def _overall_metric(evidence: Evidence, key: Key) -> Iterator[str]:
    """{name} is logged after training: {meaning}."""
    logged = evidence.result.logged
    if not (key.name.endswith("auc") and math.isnan(logged.get(key.name, 0.0))):
        yield from fault(logged, key, SHARE)  # an AUC without positives is not defined


@METRICS.rule(
    "note",
    "Log "
    + ", ".join(key.name for key in MACRO_AUC_METRICS)
    + " too; reports recompute the macro AUC of what was predicted",
)
def _metric_macro_auc(evidence: Evidence) -> Iterator[str]:
    """A macro AUC is logged beside every AUC, because a bare `auc` is the micro average."""
    # Not the guide's demand: its numbers can be told apart only with it.
    logged = evidence.result.logged
    missing = [
        key.name
        for key in MACRO_AUC_METRICS
        if key.name not in logged and key.name.replace("macro_auc", "auc") in logged
    ]
    if missing:
        yield f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} missing"


def _per_class_metric(evidence: Evidence, statistic: str, kind: type) -> Iterator[str]:
    values = {
        label: evidence.result.logged.get(per_class_metric(statistic, label))
        for label in evidence.labels
    }
    missing = [label for label, value in values.items() if value is None]
    if len(missing) == len(values):
        number, noun = len(values), evidence.label_set.nouns
        yield f"test/{statistic}_* is missing" + (f" for all {number} {noun}" if number else "")
    elif missing:
        yield f"test/{statistic}_* is missing for {listed(missing)}"
    for label, value in values.items():
        top = math.inf if kind is int else 1
        if value is not None and not (0 <= value <= top and has_type(value, kind)):
            name = per_class_metric(statistic, label)
            yield f"{name} is {value:g}, not {'a count' if kind is int else 'from 0 to 1'}"
            return


for _statistic, _type in PER_CLASS_STATISTICS.items():
    METRICS.add(
        f"metric-{_statistic}-per-class",
        "error",
        f"test/{_statistic}_{{{{noun}}}} is logged after training for every {{noun}}.",
        "Log it for each of the run's {nouns} after the evaluation on the test split",
        _per_class_metric,
        _statistic,
        _type,
    )


@METRICS.rule_of_keys("summary", SUMMARY_METRICS, "Log it with the evaluation metrics")
def _summary_metric(evidence: Evidence, key: Key) -> Iterator[str]:
    """{name} is logged after training, {type}: {meaning}."""
    return fault(evidence.result.logged, key, NOT_NEGATIVE)


# --- Other spellings ------------------------------------------------------------------


@METRICS.rule("note", "Log the guide's keys; goemo-report reads the others as well")
def _dialect_metric_keys(evidence: Evidence) -> Iterator[str]:
    """Metric keys name the average before the metric: test/macro_f1, and a bare auc for micro."""
    keys = dict.fromkeys(evidence.run.summary)
    keys.update((key, None) for row in evidence.result.history for key in row)
    odd = [key for key in keys if canonical_metric(key) not in keys]
    if odd:
        yield "written as " + listed(f"{key} for {canonical_metric(key)}" for key in odd)

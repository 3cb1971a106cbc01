"""Rules about what was logged: each metric in each epoch, and each one after training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from goemo_report.audit.evidence import EPOCH_KEYS, Evidence
from goemo_report.audit.registry import (
    ABOVE_ZERO,
    NOT_NEGATIVE,
    SHARE,
    RuleSet,
    Sane,
    fault,
    has_type,
    listed,
)
from goemo_report.contract import (
    MACRO_AUC_METRICS,
    OVERALL_METRICS,
    PER_CLASS_STATISTICS,
    SUMMARY_METRICS,
    Key,
    per_class_metric,
)
from goemo_report.formats.wording import plural
from goemo_report.metrics.table import canonical_metric
from goemo_report.sources.model import as_number

METRICS = RuleSet("metrics")

_ONE_LOG: Final = "Log it with the others at the end of each epoch: wandb.log({...}, step=epoch)"
_SANE_EPOCH: Final[dict[str, Sane]] = {
    **dict.fromkeys(("train/auc", "val/auc"), SHARE),
    **dict.fromkeys(("train/epoch_time", "train/samples_per_sec"), ABOVE_ZERO),
}
"""Of other keys any number that is not negative."""


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


for _statistic, _kind in PER_CLASS_STATISTICS.items():
    METRICS.add(
        f"metric-{_statistic}-per-class",
        "error",
        f"test/{_statistic}_{{{{noun}}}} is logged after training for every {{noun}}.",
        "Log it for each of the run's {nouns} after the evaluation on the test split",
        _per_class_metric,
        _statistic,
        _kind,
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

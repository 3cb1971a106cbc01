"""Rules about whether it is true: what was logged beside what the predictions say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from goemo_report.analysis.truth import LEAK_LIMIT, TUNED, LoggedCheck, check_logged, leaks, same
from goemo_report.audit.evidence import Evidence
from goemo_report.audit.registry import Check, RuleSet, Severity
from goemo_report.audit.values import has_type, shown
from goemo_report.contract import (
    OVERALL_METRICS,
    PER_CLASS_STATISTICS,
    SPLITS,
    Split,
)
from goemo_report.formats.csv_table import Table
from goemo_report.formats.wording import plural
from goemo_report.metrics.scores import Scores, per_class_rows
from goemo_report.sources.logged import as_number

TRUTH = RuleSet("truth")

_RELOG: Final = "Log what the exported predictions give, or export the predictions again"
_TIME_TOLERANCE: Final = 0.02  # of the training time: hours are often rounded
_PRECISION_TOLERANCE: Final = 0.01  # of an AUC computed in another precision
_LARGEST: Final = 3  # differences that a finding spells out

# --- Metrics --------------------------------------------------------------------------


def _of_log(split: Split, per_class: bool) -> Callable[[LoggedCheck], bool]:
    prefixes = tuple(f"{split}/{statistic}_" for statistic in PER_CLASS_STATISTICS)
    overall = {key.name for key in OVERALL_METRICS}

    def wanted(check: LoggedCheck) -> bool:
        if check.place != "log" or not check.key.startswith(f"{split}/"):
            return False
        if check.key.endswith(TUNED):
            return False
        return (check.key.startswith(prefixes) and check.key not in overall) == per_class

    return wanted


def _metrics_rule(split: Split, per_class: bool) -> Check:
    wanted = _of_log(split, per_class)

    def check(evidence: Evidence) -> Iterator[str]:
        checks = [one for one in check_logged(evidence.result) if wanted(one)]
        wrong = [one for one in checks if not one.agrees]
        wrong.sort(key=lambda one: -abs(one.difference or math.inf))
        shown_ones = wrong if not per_class else wrong[:_LARGEST]
        for one in shown_ones:
            yield _disagreement(evidence, one)
        if len(wrong) > len(shown_ones):
            yield f"{len(wrong) - len(shown_ones)} more of {len(checks)} differ"

    return check


def _disagreement(evidence: Evidence, check: LoggedCheck) -> str:
    recomputed = "not defined" if check.recomputed is None else f"{check.recomputed:.4f}"
    text = f"{check.key} was logged as {check.logged:.4f}, the predictions give {recomputed}"
    why = check.explanation or _other_epoch(evidence, check)
    return f"{text}; the logged figure {why}" if why else text


def _other_epoch(evidence: Evidence, check: LoggedCheck) -> str:
    """The epoch whose logged value the predictions give, where it is not the best one."""
    for epoch, row in sorted(evidence.epoch_rows().items()):
        value = as_number(row.get(check.key))
        if value is not None and check.recomputed is not None and same(value, check.recomputed):
            return f"is another epoch's: the predictions are those of epoch {epoch:g}"
    return ""


_GRAVE: Final[dict[Split, Severity]] = {"val": "warning", "test": "error"}
"""Validation figures come from within training, perhaps in another precision: a hint only."""

_WHAT: Final[dict[Split, str]] = {"val": "validation (of the best epoch)", "test": "test"}
for _split, _what in _WHAT.items():
    TRUTH.add(
        f"true-{_split}-metrics",
        _GRAVE[_split],
        f"Logged {_what} metrics are those of the exported predictions.",
        _RELOG,
        _metrics_rule(_split, per_class=False),
    )
    TRUTH.add(
        f"true-{_split}-per-class",
        _GRAVE[_split],
        f"Logged per-class {_split} metrics are those of the exported predictions.",
        _RELOG,
        _metrics_rule(_split, per_class=True),
    )


@TRUTH.rule(
    "true-val-auc",
    "error",
    f"val/auc of the best epoch is within {_PRECISION_TOLERANCE} of the validation predictions'.",
    "Export the validation predictions of the best epoch, each beside its own text",
)
def true_val_auc(evidence: Evidence) -> Iterator[str]:
    """Half precision moves an AUC by a few thousandths, another epoch or order by more."""
    for check in check_logged(evidence.result):
        far = abs(check.difference or 0.0) > max(_PRECISION_TOLERANCE, check.allowed)
        if check.place == "log" and check.key == "val/auc" and far:
            yield _disagreement(evidence, check)


@TRUTH.rule(
    "true-tuned-f1",
    "warning",
    "Macro F1 logged at tuned thresholds is what thresholds tuned on validation give.",
    "Tune on the exported validation predictions, as `goemo-report thresholds` does",
)
def true_tuned_f1(evidence: Evidence) -> Iterator[str]:
    """Not a key of the guide, and rounded probabilities tune a little otherwise."""
    for check in check_logged(evidence.result):
        if check.place == "log" and check.key.endswith(TUNED) and not check.agrees:
            yield _disagreement(evidence, check)


@TRUTH.rule(
    "true-per-class-csv",
    "error",
    "The per-class CSV holds what the test predictions give.",
    "Write the CSV and the predictions from the same outputs",
)
def true_per_class_csv(evidence: Evidence) -> Iterator[str]:
    """Counts exactly, ratios within rounding."""
    table, test = evidence.per_class, evidence.result.splits.get("test")
    if not isinstance(table, Table) or "emotion" not in table.header or test is None:
        return
    wrong = _csv_differences(table, test.as_logged)
    for cell, logged, expected in wrong[:_LARGEST]:
        yield f"{cell} is {shown(logged)}, the predictions give {expected:g}"
    if wrong and test.scores is not test.as_logged and not _csv_differences(table, test.scores):
        yield "the CSV holds the figures at threshold 0.5, pred_labels were made otherwise"
    elif len(wrong) > _LARGEST:
        yield f"cells that differ besides: {len(wrong) - _LARGEST}"


def _csv_differences(table: Table, scores: Scores) -> list[tuple[str, str, float]]:
    expected = {row["emotion"]: row for row in per_class_rows(scores)}
    columns = ("f1_score", "precision", "recall", "support", "tp", "fp", "fn", "tn")
    present = [name for name in columns if name in table.header]
    at = table.header.index("emotion")
    found = []
    for row in table.rows:
        known = expected.get(row[at].strip())
        for name in present if known else ():
            text, value = row[table.header.index(name)], known[name] if known else 0
            if not _cell_agrees(text, value):
                found.append((f"{name} of {row[at].strip()}", text, float(value)))
    return found


def _cell_agrees(text: str, value: float) -> bool:
    try:
        number = float(text)
    except ValueError:
        return False
    return number == value if isinstance(value, int) else same(number, value)


# --- Metadata -------------------------------------------------------------------------


@TRUTH.rule(
    "true-metadata",
    "error",
    "The checkpoint's final_test_auc, final_test_f1 and best_epoch are those of the predictions "
    "(micro AUC, macro F1) and of the log.",
    "Fill the metadata from the final evaluation",
)
def true_metadata(evidence: Evidence) -> Iterator[str]:
    """A micro F1 is not wrong by the guide's words; it gets a note of its own."""
    for check in check_logged(evidence.result):
        if check.place == "log" or check.agrees:
            continue
        if check.key == "final_test_f1" and _is_micro_f1(evidence, check.logged):
            continue
        expected = "not defined" if check.recomputed is None else f"{check.recomputed:.4g}"
        yield f"{check.key} is {check.logged:.4g} in the metadata, but it is {expected}"


@TRUTH.rule(
    "metadata-f1-average",
    "note",
    "final_test_f1 in the checkpoint's metadata is the macro F1.",
    "Write the macro F1, or name the average in another key",
)
def metadata_f1_average(evidence: Evidence) -> Iterator[str]:
    """The guide names no average."""
    for check in check_logged(evidence.result):
        differs = check.key == "final_test_f1" and not check.agrees
        if differs and _is_micro_f1(evidence, check.logged):
            yield f"final_test_f1 is {check.logged:.4g}, which is the micro F1"


def _is_micro_f1(evidence: Evidence, value: float) -> bool:
    test = evidence.result.splits.get("test")
    if test is None:
        return same(value, evidence.result.logged.get("test/micro_f1"))
    return same(value, test.as_logged.overall["micro_f1"])


@TRUTH.rule(
    "metadata-agrees",
    "error",
    "The checkpoint's metadata agrees with summary and config: figures, training time, model "
    "and seed.",
    "Fill the metadata from the same values that are logged",
)
def metadata_agrees(evidence: Evidence) -> Iterator[str]:
    """Metadata against what the run itself says, whatever the predictions say."""
    checkpoint = evidence.artifacts.get("checkpoint")
    if checkpoint is None:
        return
    metadata, logged = checkpoint.reference.metadata, evidence.result.logged
    keys = (("final_test_auc", "test/auc"), ("best_epoch", "best_epoch"))
    for name, key in keys:
        value = as_number(metadata.get(name))
        if value is not None and key in logged and not same(value, _defined(logged[key])):
            yield f"{name} is {value:.4g}, the summary's {key} {logged[key]:.4g}"
    hours, seconds = (
        as_number(metadata.get("training_time_hours")),
        logged.get("total_training_time"),
    )
    if hours is not None and seconds is not None:
        allowed = max(_TIME_TOLERANCE * seconds / 3600, 0.005)
        if not abs(hours - seconds / 3600) <= allowed:
            yield f"training_time_hours is {hours:.4g}, total_training_time {seconds:.4g} seconds"
    config = evidence.run.config
    for name in ("model_name", "random_seed"):
        if name in metadata and name in config and metadata[name] != config[name]:
            yield f"{name} is {shown(metadata[name])}, the config's {shown(config[name])}"


@TRUTH.rule(
    "metadata-hyperparameters-agree",
    "warning",
    "The hyperparameters in the checkpoint's metadata are those of the config.",
    "Fill the metadata from the run's config",
)
def metadata_hyperparameters_agree(evidence: Evidence) -> Iterator[str]:
    """Those that both name."""
    checkpoint, config = evidence.artifacts.get("checkpoint"), evidence.run.config
    given = checkpoint.reference.metadata.get("hyperparameters") if checkpoint else None
    if isinstance(given, Mapping):
        for name, value in given.items():
            if name in config and not _equal(config[name], value):
                yield f"{name} is {shown(value)}, the config's {shown(config[name])}"


def _equal(one: object, other: object) -> bool:
    if has_type(one, float) and has_type(other, float):
        return math.isclose(float(one), float(other), rel_tol=1e-9)  # type: ignore[arg-type] # numbers
    return one == other or (one in ((), []) and other in ((), []))


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


# --- Config ---------------------------------------------------------------------------


@TRUTH.rule(
    "true-num-labels",
    "error",
    "num_labels is the number of {nouns} in the predictions.",
    "Log the size of the model's output",
)
def true_num_labels(evidence: Evidence) -> Iterator[str]:
    """Any number is valid, if both places say so."""
    number = evidence.run.config.get("num_labels")
    for split, found in evidence.result.splits.items():
        if has_type(number, int) and number != len(found.labels):
            yield f"num_labels is {number}, the {split} predictions have {len(found.labels)}"


def _samples_rule(split: Split) -> Check:
    def check(evidence: Evidence) -> Iterator[str]:
        found = evidence.result.splits.get(split)
        logged = evidence.run.config.get(f"{split}_samples")
        if found is not None and has_type(logged, int) and logged != found.rows:
            yield f"{split}_samples is {logged}, the predictions hold {plural(found.rows, 'text')}"

    return check


for _split in SPLITS:
    TRUTH.add(
        f"true-{_split}-samples",
        "error",
        f"{_split}_samples is the number of texts in the {_split} predictions.",
        "Predict every text of the split, and log how many there are",
        _samples_rule(_split),
    )


@TRUTH.rule(
    "true-splits",
    "warning",
    f"At most {LEAK_LIMIT:.0%} of the texts of a split also stand in another, as far as is known.",
    "Split the data so that no text is in two splits, and train again",
)
def true_splits(evidence: Evidence) -> Iterator[str]:
    """Overlap with training is known only where the run logged it."""
    yield from (str(leak) for leak in leaks(evidence.result) if leak.large)


# --- Epochs ---------------------------------------------------------------------------


@TRUTH.rule(
    "true-best-epoch",
    "error",
    "best_epoch is the epoch with the highest val/auc.",
    "Keep and log the epoch with the best validation AUC",
)
def true_best_epoch(evidence: Evidence) -> Iterator[str]:
    """Any of several epochs with the same AUC will do."""
    best = evidence.result.logged.get("best_epoch")
    values = {
        epoch: value
        for epoch, row in evidence.epoch_rows().items()
        if (value := as_number(row.get("val/auc"))) is not None and math.isfinite(value)
    }
    if best is None or not values:
        return
    highest = max(values.values())
    if best not in values:
        yield f"best_epoch is {best:g}, for which no val/auc was logged"
    elif values[best] < highest - 1e-9:
        epoch = next(epoch for epoch, value in values.items() if value == highest)
        yield (
            f"best_epoch is {best:g} with val/auc {values[best]:.4f}, "
            f"epoch {epoch:g} has {highest:.4f}"
        )


@TRUTH.rule(
    "true-final-epoch",
    "error",
    "final_epoch is the last epoch in the history.",
    "Log the number of the last epoch that was trained",
)
def true_final_epoch(evidence: Evidence) -> Iterator[str]:
    """Fewer than num_epochs is early stopping; more is a mistake."""
    final, epochs = evidence.result.logged.get("final_epoch"), evidence.epoch_rows()
    if final is None or not epochs:
        return
    if final != max(epochs):
        yield f"final_epoch is {final:g}, the history ends with epoch {max(epochs):g}"
    planned = evidence.run.config.get("num_epochs")
    if isinstance(planned, int) and final > planned:
        yield f"final_epoch is {final:g}, num_epochs {planned}"

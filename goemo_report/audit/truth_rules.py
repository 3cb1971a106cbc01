"""Rules about whether it is true: what was logged beside what the predictions say."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from goemo_report.analysis.truth import TUNED, LoggedCheck, check_logged, same
from goemo_report.audit.evidence import Evidence
from goemo_report.audit.registry import RuleSet, Severity, has_type, shown
from goemo_report.contract import LEAK_LIMIT, OVERALL_METRICS, PER_CLASS_STATISTICS, SPLITS, Split
from goemo_report.formats.table import Table
from goemo_report.formats.wording import plural
from goemo_report.metrics.scores import Scores, per_class_rows
from goemo_report.results.overlap import leaks
from goemo_report.sources.model import as_number

TRUTH = RuleSet("truth", of_files=True)

_RELOG: Final = "Log what the exported predictions give, or export the predictions again"
_PRECISION_TOLERANCE: Final = 0.01  # of an AUC computed in another precision
_LARGEST: Final = 3  # differences that a finding spells out

# --- Metrics --------------------------------------------------------------------------


def _overall_metrics(evidence: Evidence, split: Split) -> Iterator[str]:
    for check in _differing(_logged_on(evidence, split, per_class=False)):
        yield _disagreement(evidence, check)


def _per_class_metrics(evidence: Evidence, split: Split) -> Iterator[str]:
    checks = _logged_on(evidence, split, per_class=True)
    wrong = _differing(checks)
    for check in wrong[:_LARGEST]:
        yield _disagreement(evidence, check)
    if len(wrong) > _LARGEST:
        yield f"{len(wrong) - _LARGEST} more of {len(checks)} differ"


def _logged_on(evidence: Evidence, split: Split, *, per_class: bool) -> list[LoggedCheck]:
    prefixes = tuple(f"{split}/{statistic}_" for statistic in PER_CLASS_STATISTICS)
    overall = {key.name for key in OVERALL_METRICS}
    return [
        check
        for check in check_logged(evidence.result)
        if check.place == "log"
        and check.key.startswith(f"{split}/")
        and not check.key.endswith(TUNED)
        and (check.key.startswith(prefixes) and check.key not in overall) == per_class
    ]


def _differing(checks: Sequence[LoggedCheck]) -> list[LoggedCheck]:
    """Those that do not agree, the largest difference first."""
    wrong = [check for check in checks if not check.agrees]
    return sorted(wrong, key=lambda check: -abs(check.difference or math.inf))


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
    for _id, _figures, _check in (
        ("metrics", f"{_what} metrics", _overall_metrics),
        ("per-class", f"per-class {_split} metrics", _per_class_metrics),
    ):
        _requires = f"Logged {_figures} are those of the exported predictions."
        TRUTH.add(f"true-{_split}-{_id}", _GRAVE[_split], _requires, _RELOG, _check, _split)


@TRUTH.rule(
    "error",
    "Export the validation predictions of the best epoch, each beside its own text",
    requires=f"val/auc of the best epoch is within {_PRECISION_TOLERANCE} of the validation "
    "predictions'.",
)
def _true_val_auc(evidence: Evidence) -> Iterator[str]:
    # Half precision moves an AUC by a few thousandths, another epoch or order by more.
    for check in check_logged(evidence.result):
        far = abs(check.difference or 0.0) > max(_PRECISION_TOLERANCE, check.allowed)
        if check.place == "log" and check.key == "val/auc" and far:
            yield _disagreement(evidence, check)


@TRUTH.rule(
    "warning", "Tune on the exported validation predictions, as `goemo-report thresholds` does"
)
def _true_tuned_f1(evidence: Evidence) -> Iterator[str]:
    """Macro F1 logged at tuned thresholds is what thresholds tuned on validation give."""
    # Not a key of the guide, and rounded probabilities tune a little otherwise.
    for check in check_logged(evidence.result):
        if check.place == "log" and check.key.endswith(TUNED) and not check.agrees:
            yield _disagreement(evidence, check)


@TRUTH.rule("error", "Write the CSV and the predictions from the same outputs")
def _true_per_class_csv(evidence: Evidence) -> Iterator[str]:
    """The per-class CSV holds what the test predictions give."""
    # Counts exactly, ratios within rounding.
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


# --- Config ---------------------------------------------------------------------------


@TRUTH.rule("error", "Log the size of the model's output")
def _true_num_labels(evidence: Evidence) -> Iterator[str]:
    """num_labels is the number of {nouns} in the predictions."""
    number = evidence.run.config.get("num_labels")
    for split, found in evidence.result.splits.items():
        if has_type(number, int) and number != len(found.labels):
            yield f"num_labels is {number}, the {split} predictions have {len(found.labels)}"


def _samples(evidence: Evidence, split: Split) -> Iterator[str]:
    found, logged = evidence.result.splits.get(split), evidence.run.config.get(f"{split}_samples")
    if found is not None and has_type(logged, int) and logged != found.rows:
        yield f"{split}_samples is {logged}, the predictions hold {plural(found.rows, 'text')}"


_PREDICT_ALL: Final = "Predict every text of the split, and log how many there are"
for _split in SPLITS:
    _requires = f"{_split}_samples is the number of texts in the {_split} predictions."
    TRUTH.add(f"true-{_split}-samples", "error", _requires, _PREDICT_ALL, _samples, _split)


@TRUTH.rule(
    "warning",
    "Split the data so that no text is in two splits, and train again",
    requires=f"At most {LEAK_LIMIT:.0%} of the texts of a split also stand in another, as far "
    "as is known.",
)
def _true_splits(evidence: Evidence) -> Iterator[str]:
    # Overlap with training is known only where the run logged it.
    yield from (str(leak) for leak in leaks(evidence.result) if leak.large)


# --- Epochs ---------------------------------------------------------------------------


@TRUTH.rule("error", "Keep and log the epoch with the best validation AUC")
def _true_best_epoch(evidence: Evidence) -> Iterator[str]:
    """best_epoch is the epoch with the highest val/auc."""
    # Any of several epochs with the same AUC will do.
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


@TRUTH.rule("error", "Log the number of the last epoch that was trained")
def _true_final_epoch(evidence: Evidence) -> Iterator[str]:
    """final_epoch is the last epoch in the history."""
    # Fewer than num_epochs is early stopping; more is a mistake.
    final, epochs = evidence.result.logged.get("final_epoch"), evidence.epoch_rows()
    if final is None or not epochs:
        return
    if final != max(epochs):
        yield f"final_epoch is {final:g}, the history ends with epoch {max(epochs):g}"
    planned = evidence.run.config.get("num_epochs")
    if isinstance(planned, int) and final > planned:
        yield f"final_epoch is {final:g}, num_epochs {planned}"

"""Every rule is kept by a run of the trainer, and broken by the change that it is there for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from goemo_report.audit import RULES, audit
from goemo_report.audit.evidence import Evidence
from goemo_report.audit.registry import SEVERITIES
from goemo_report.contract import (
    ARTIFACTS,
    CHECKPOINT_METADATA,
    CONFIG_KEYS,
    EPOCH_METRICS,
    OVERALL_METRICS,
    PER_CLASS_STATISTICS,
    SPLITS,
    SUMMARY_METRICS,
    SYSTEM_KEYS,
    Role,
    Split,
)
from goemo_report.results import PREDICTION_ROLES, SplitResult
from goemo_report.results.score_cache import score_both
from tests.audit import changes
from tests.audit.changes import GONE

Breach = Callable[[Evidence], Evidence]


def _config(**values: Any) -> Breach:
    return lambda e: changes.config(e, values)


def _logged(values: dict[str, Any]) -> Breach:
    return lambda e: changes.logged(e, values)


def _metadata(**values: Any) -> Breach:
    return lambda e: changes.metadata(e, values)


def _epoch_without(name: str) -> Breach:
    return lambda e: changes.epoch(e, 1, {name: GONE})


def _without(role: Role) -> Breach:
    return lambda e: changes.without_artifact(e, role)


def _reference(role: Role, **fields: str) -> Breach:
    return lambda e: changes.artifact(e, role, **fields)


def _file_renamed(role: Role, name: str) -> Breach:
    return lambda e: changes.files(e, role, name, "out.csv")


def _twice(evidence: Evidence) -> Evidence:
    """A second row of metrics, half an epoch later."""
    row = dict(evidence.result.history[0])
    rows = (*evidence.result.history, {**row, "_step": 99, "epoch": None})
    return dataclasses.replace(evidence, result=dataclasses.replace(evidence.result, history=rows))


def _run_files(evidence: Evidence) -> Evidence:
    return changes.artifact(evidence, "test-predictions", kind="run-files")


def _by_reference(evidence: Evidence) -> Evidence:
    checkpoint = evidence.artifacts["checkpoint"]
    files = [dataclasses.replace(f, reference=f"s3://b/{f.path}") for f in checkpoint.files]
    elsewhere = dataclasses.replace(checkpoint, files=tuple(files))
    return dataclasses.replace(evidence, artifacts={**evidence.artifacts, "checkpoint": elsewhere})


def _unreadable(split: Split) -> Breach:
    def breach(evidence: Evidence) -> Evidence:
        splits = {one: found for one, found in evidence.result.splits.items() if one != split}
        problems = {split: "test.csv, line 2: 'joyy' is no emotion"}
        result = dataclasses.replace(evidence.result, splits=splits, problems=problems)
        return dataclasses.replace(evidence, result=result)

    return breach


def _predictions(split: Split, change: Callable[[Any], Any]) -> Breach:
    """Change the predictions of one split."""

    def breach(evidence: Evidence) -> Evidence:
        old = evidence.result.splits[split]
        new = SplitResult.of(split, score_both(change(old.predictions)), old.artifact, old.file)
        splits = {**evidence.result.splits, split: new}
        return dataclasses.replace(
            evidence, result=dataclasses.replace(evidence.result, splits=splits)
        )

    return breach


def _contradictory(predictions: Any) -> Any:
    """Labels that no threshold makes."""
    order = np.argsort(predictions.probabilities, axis=1)
    predicted = np.zeros_like(predictions.predicted)
    half = len(predicted) // 2
    predicted[np.arange(half), order[:half, -1]] = True
    predicted[np.arange(half, len(predicted)), order[half:, 0]] = True
    return dataclasses.replace(predictions, predicted=predicted)


def _without_neutral(predictions: Any) -> Any:
    return predictions.take(np.arange(len(predictions)), np.arange(27))


def _cell(evidence: Evidence) -> Evidence:
    def change(header: list[str], rows: list[list[str]]) -> Any:
        rows[3][header.index("tp")] = "9999"
        return header, rows

    return changes.per_class(evidence, change)


def _renamed(column: str) -> Breach:
    def change(header: list[str], rows: list[list[str]]) -> Any:
        return [f"{name}_" if name == column else name for name in header], rows

    return lambda e: changes.per_class(e, change)


def _micro_f1(evidence: Evidence) -> Evidence:
    """Metadata with a micro F1 that differs from the macro one."""
    test = evidence.result.splits["test"]
    overall = {**test.as_logged.overall, "macro_f1": 0.2, "micro_f1": 0.4}
    scores = dataclasses.replace(test.as_logged, overall=overall)
    splits = {**evidence.result.splits, "test": dataclasses.replace(test, as_logged=scores)}
    result = dataclasses.replace(evidence.result, splits=splits)
    return changes.metadata(dataclasses.replace(evidence, result=result), {"final_test_f1": 0.4})


BREACHES: dict[str, Breach] = {
    "run-name": lambda e: changes.run(e, name="my best run"),
    "run-name-model": lambda e: changes.run(e, name="bert-20241210-143022"),
    "run-project": lambda e: changes.run(e, project="elsewhere"),
    "run-finished": lambda e: changes.run(e, state="crashed"),
    "tags-model": lambda e: changes.run(e, tags=e.run.tags[1:]),
    "tags-phase": lambda e: changes.run(e, tags=tuple(set(e.run.tags) - {"training"})),
    "tags-status": lambda e: changes.run(e, tags=tuple(set(e.run.tags) - {"final"})),
    "tags-one-status": lambda e: changes.run(e, tags=(*e.run.tags, "experimental")),
    **{f"config-{k.name.replace('_', '-')}": _config(**{k.name: GONE}) for k in CONFIG_KEYS},
    **{
        f"system-{k.name.split('/')[1].replace('_', '-')}": _config(**{k.name: GONE})
        for k in SYSTEM_KEYS
    },
    "versions-agree": _config(pytorch_version="1.0"),
    "dataset-size": _config(dataset_name="go_emotions", limit=0),
    "epoch-history": lambda e: changes.history(e, lambda r: {} if "train/loss" in r else r),
    "epoch-step": lambda e: changes.epoch(e, 2, {"_step": 20}),
    **{
        f"epoch-{k.name.replace('/', '-').replace('_', '-')}": _epoch_without(k.name)
        for k in EPOCH_METRICS
        if k.name != "epoch"
    },
    **{
        f"metric-{k.name.replace('/', '-').replace('_', '-')}": _logged({k.name: GONE})
        for k in OVERALL_METRICS
    },
    "metric-macro-auc": _logged({"test/macro_auc": GONE}),
    **{f"metric-{s}-per-class": _logged({f"test/{s}_fear": GONE}) for s in PER_CLASS_STATISTICS},
    **{f"summary-{k.name.replace('_', '-')}": _logged({k.name: GONE}) for k in SUMMARY_METRICS},
    "dialect-metric-keys": _logged({"test/macro_f1": GONE, "test/f1_macro": 0.0}),
    **{f"artifact-{role}": _without(role) for role in ARTIFACTS},
    **{
        f"artifact-{role}-name": _reference(role, name=f"best-{role}-otherid") for role in ARTIFACTS
    },
    **{f"artifact-{role}-type": _reference(role, type="file") for role in ARTIFACTS},
    "artifact-files": lambda e: dataclasses.replace(
        e, damaged={"checkpoint": ("pytorch_model.bin: gone",)}
    ),
    "artifact-references": _by_reference,
    "dialect-run-files": _run_files,
    "checkpoint-config": lambda e: changes.files(e, "checkpoint", "config.json"),
    "checkpoint-weights": lambda e: changes.files(e, "checkpoint", "pytorch_model.bin"),
    "checkpoint-tokenizer-config": lambda e: changes.files(
        e, "checkpoint", "tokenizer_config.json"
    ),
    "checkpoint-vocabulary": lambda e: changes.files(
        changes.files(e, "checkpoint", "merges.txt"), "checkpoint", "tokenizer.json"
    ),
    "checkpoint-special-tokens": lambda e: changes.files(
        changes.files(e, "checkpoint", "special_tokens_map.json"), "checkpoint", "tokenizer.json"
    ),
    "dialect-checkpoint": lambda e: changes.files(
        e, "checkpoint", "pytorch_model.bin", "model.safetensors"
    ),
    **{
        f"metadata-{k.name.replace('_', '-')}": _metadata(**{k.name: GONE})
        for k in CHECKPOINT_METADATA
    },
    "checkpoint-config-json": lambda e: dataclasses.replace(e, checkpoint_config="not JSON"),
    **{f"predictions-{split}": _unreadable(split) for split in SPLITS},
    **{
        f"{role}-file": _file_renamed(role, f"{split}_predictions.csv")
        for split, role in PREDICTION_ROLES.items()
    },
    "per-class-metrics-file": lambda e: changes.files(
        e, "per-class-metrics", "per_class_metrics.csv", "out.csv"
    ),
    "predictions-labels": _predictions("val", _without_neutral),
    "dialect-probability-columns": lambda e: dataclasses.replace(
        e, headers={"test": ("text", "pred_prob_joy")}
    ),
    "predictions-threshold": _predictions("test", _contradictory),
    "per-class-columns": _renamed("fp"),
    "per-class-rows": lambda e: changes.per_class(e, lambda header, rows: (header, rows[1:])),
    "true-test-metrics": _logged({"test/micro_recall": 0.9}),
    "true-test-per-class": _logged({"test/support_joy": 9}),
    "true-val-metrics": lambda e: changes.epoch(
        e, int(e.result.logged["best_epoch"]), {"val/macro_auc": 0.999}
    ),
    "true-val-auc": lambda e: changes.epoch(
        e, int(e.result.logged["best_epoch"]), {"val/auc": e.result.logged["val/auc"] + 0.1}
    ),
    "true-tuned-f1": _logged({"test/macro_f1_tuned": 0.987}),
    "true-checkpoint-architecture": _config(model_name="distilbert-base-uncased"),
    "true-model-params": _config(model_params=355_000_000),
    "true-val-per-class": _logged({"val/f1_joy": 0.987}),
    "true-per-class-csv": _cell,
    "true-metadata": _metadata(final_test_auc=0.111),
    "metadata-f1-average": _micro_f1,
    "metadata-agrees": _metadata(training_time_hours=100.0),
    "metadata-hyperparameters-agree": _metadata(hyperparameters={"batch_size": 7}),
    "true-num-labels": _config(num_labels=27),
    **{f"true-{split}-samples": _config(**{f"{split}_samples": 7}) for split in SPLITS},
    "true-checkpoint-labels": lambda e: changes.checkpoint_config(
        e, {"id2label": {str(i): label for i, label in enumerate(reversed(e.labels))}}
    ),
    "checkpoint-label-names": lambda e: changes.checkpoint_config(
        e, {"id2label": {str(i): f"LABEL_{i}" for i in range(28)}}
    ),
    "artifact-copies": lambda e: dataclasses.replace(e, edited=("test_predictions.csv",)),
    "true-splits": _config(leaked_test_texts=30),
    "true-best-epoch": lambda e: changes.epoch(
        e, 3 - int(e.result.logged["best_epoch"]), {"val/auc": 0.9999}
    ),
    "true-final-epoch": _logged({"final_epoch": 1}),
}


def breaches(evidence: Evidence) -> set[str]:
    return {finding.rule.id for finding in audit(evidence).findings}


def test_a_run_of_the_trainer_keeps_every_rule(trained: Evidence) -> None:
    assert audit(trained).findings == ()
    assert audit(trained).rules == len(RULES)
    assert not audit(trained).failed(strict=True)


def test_every_rule_has_its_breach_here() -> None:
    assert set(BREACHES) == {rule.id for rule in RULES}


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_is_found(trained: Evidence, name: str) -> None:
    evidence = BREACHES[name](trained)
    found = audit(evidence)
    assert name in {finding.rule.id for finding in found.findings}
    (rule,) = [rule for rule in RULES if rule.id == name]
    assert found.failed() == bool(found.of("error"))
    if rule.severity == "error":
        assert found.failed()


@pytest.mark.parametrize(
    "name",
    [
        *(name for name in BREACHES if name.startswith(("tags-", "epoch-train-", "artifact-"))),
        "run-name", "run-project", "run-finished", "config-batch-size", "system-gpu-count",
        "versions-agree", "metric-f1-per-class", "dialect-checkpoint",
        "dialect-run-files", "true-per-class-csv", "metadata-agrees", "true-test-metrics",
    ],
)  # fmt: skip
def test_one_breach_is_one_finding(trained: Evidence, name: str) -> None:
    """No other rule is set off by the same mistake."""
    assert breaches(BREACHES[name](trained)) == {name}


def test_rules_are_complete_sentences_with_a_remedy() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule.requires.endswith("."), rule.id
        assert rule.remedy, rule.id
        assert not rule.remedy.endswith("."), rule.id
        assert rule.severity in SEVERITIES


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("learning_rate", "2e-5", "learning_rate is '2e-5', not a number"),
        ("learning_rate", 3, "not between 0 and 1"),
        ("learning_rate", float("nan"), "not a number"),
        ("batch_size", True, "not a whole number"),
        ("batch_size", 16.5, "not a whole number"),
        ("num_labels", 1, "at least 2"),
        ("model_name", "  ", "model_name is empty"),
        ("cuda_version", None, "cuda_version is null"),
        ("transformers_version", "latest", "not a version"),
        ("system/cuda_available", "no", "not true or false"),
        ("dropout", 1.0, "from 0 to below 1"),
    ],
)
def test_values_that_make_no_sense(trained: Evidence, key: str, value: Any, said: str) -> None:
    details = [f.detail for f in audit(changes.config(trained, {key: value})).findings]
    assert any(said in detail for detail in details), details


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("batch_size", 32.0),
        ("weight_decay", 0),
        ("warmup_steps", 0),
        ("cuda_version", "12.4"),
        ("transformers_version", "5.0.0.dev0"),
    ],
)
def test_values_that_do(trained: Evidence, key: str, value: Any) -> None:
    assert audit(changes.config(trained, {key: value})).of("error") == ()


def test_epochs_may_be_counted_from_0(trained: Evidence) -> None:
    def down(row: dict[str, Any]) -> dict[str, Any]:
        lower: dict[str, Any] = {
            key: row[key] - 1 for key in ("epoch", "best_epoch", "final_epoch") if key in row
        }
        return row | lower | {"_step": row["_step"] - 1}

    evidence = changes.history(trained, down)
    summary: dict[str, Any] = {
        key: evidence.run.summary[key] - 1 for key in ("best_epoch", "final_epoch", "epoch")
    }
    evidence = changes.run(evidence, summary=dict(evidence.run.summary) | summary)
    best = {"best_epoch": summary["best_epoch"]}
    assert breaches(changes.metadata(evidence, best)) == set()


def test_metrics_of_every_batch_are_no_epochs(trained: Evidence) -> None:
    details = [f.detail for f in audit(_twice(trained)).findings]
    assert "training metrics are logged at 3 steps in 2 epochs" in details


def test_the_averaging_that_explains_a_figure_is_named(trained: Evidence) -> None:
    test = trained.result.splits["test"].as_logged.overall
    (finding,) = [
        one
        for one in audit(changes.logged(trained, {"test/auc": test["macro_auc"]})).findings
        if one.rule.id == "true-test-metrics"
    ]
    assert "the logged figure equals the macro AUC" in finding.detail


def test_steps_that_are_no_epochs_are_called_steps_once(trained: Evidence) -> None:
    rows = tuple(
        {"_step": step, "train/loss": 1.0, **({"val/auc": 0.5} if step % 100 == 99 else {})}
        for step in range(300)
    )
    result = dataclasses.replace(trained.result, history=rows)
    found = {
        f.rule.id: f.detail for f in audit(dataclasses.replace(trained, result=result)).findings
    }
    assert found["epoch-step"] == "training metrics are logged at 300 steps in 2 epochs"
    assert found["epoch-val-loss"] == "val/loss is in no epoch"
    assert not found.keys() & {"epoch-train-loss", "epoch-val-auc"}
    assert not found.keys() & {"true-best-epoch", "true-final-epoch"}


def test_predictions_of_another_epoch_are_recognised(trained: Evidence) -> None:
    best = int(trained.result.logged["best_epoch"])
    rows = {int(epoch): row["val/auc"] for epoch, row in trained.epoch_rows().items()}
    evidence = changes.epoch(trained, best, {"val/auc": 0.9999})
    evidence = changes.epoch(evidence, 3 - best, {"val/auc": rows[best]})
    details = [f.detail for f in audit(evidence).findings if f.rule.id == "true-val-metrics"]
    assert any(f"the predictions are those of epoch {3 - best}" in text for text in details)


@pytest.mark.parametrize(
    "value",
    [None, [], {}, "x", float("inf"), pytest.param(10**400, id="huge"), {"last": "NaN"}, -1, True],
)
def test_no_value_breaks_a_rule(trained: Evidence, value: Any) -> None:
    """Whatever a run holds, the audit comes to an end and says something."""
    config = dict.fromkeys(trained.run.config, value)
    metadata = dict.fromkeys((key.name for key in CHECKPOINT_METADATA), value)
    evidence = changes.metadata(changes.config(trained, config), metadata)
    evidence = changes.logged(evidence, dict.fromkeys(trained.run.summary, value))
    evidence = changes.history(evidence, lambda row: dict.fromkeys(row, value))
    evidence = changes.checkpoint_config(evidence, {"id2label": value, "num_labels": value})
    assert audit(evidence).failed()

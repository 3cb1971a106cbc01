"""The contract against the guide: every name, key, type, column and artifact.

The expected values are written out here once more, as the guide has them; where the guide
itself lies beside the repository, its code blocks are read as well.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from goemo_report import contract
from goemo_report.contract import Role
from goemo_report.labels import EMOTIONS, GOEMOTIONS, SPLIT_SAMPLES, WITHOUT_NEUTRAL

SHARED = Path(__file__).parents[2] / "shared"
GUIDE = SHARED / "wandb_guide.md"
DATA = SHARED / "data" / "goemotions"

CONFIG = {
    "model_name": str,
    "model_params": int,
    "num_labels": int,
    "learning_rate": float,
    "batch_size": int,
    "num_epochs": int,
    "dropout": float,
    "max_seq_length": int,
    "warmup_steps": int,
    "weight_decay": float,
    "random_seed": int,
    "dataset_name": str,
    "dataset_version": str,
    "train_samples": int,
    "val_samples": int,
    "test_samples": int,
    "gpu_type": str,
    "cuda_version": str,
    "pytorch_version": str,
    "transformers_version": str,
}
SYSTEM = {
    "system/platform": str,
    "system/python_version": str,
    "system/pytorch_version": str,
    "system/cuda_available": bool,
    "system/cuda_version": str,
    "system/gpu_count": int,
    "system/gpu_name": str,
    "system/transformers_version": str,
}
EPOCH = {
    "train/loss": float,
    "train/loss_std": float,
    "val/loss": float,
    "train/auc": float,
    "val/auc": float,
    "train/learning_rate": float,
    "train/grad_norm": float,
    "train/epoch_time": float,
    "train/samples_per_sec": float,
}
OVERALL = {
    "test/auc": float,
    "test/macro_f1": float,
    "test/micro_f1": float,
    "test/macro_precision": float,
    "test/macro_recall": float,
    "test/micro_precision": float,
    "test/micro_recall": float,
}
SUMMARY = {"total_training_time": float, "best_epoch": int, "final_epoch": int}
PER_CLASS = {"f1": float, "precision": float, "recall": float, "support": int}
METADATA = {
    "model_name": str,
    "final_test_auc": float,
    "final_test_f1": float,
    "best_epoch": int,
    "training_time_hours": float,
    "hyperparameters": dict,
    "random_seed": int,
}
PREDICTIONS = {"text": str, "true_labels": str, "pred_labels": str}
PER_CLASS_CSV = {
    "emotion": str,
    "f1_score": float,
    "precision": float,
    "recall": float,
    "support": int,
    "tp": int,
    "fp": int,
    "fn": int,
    "tn": int,
}


def types(keys: tuple[contract.Key, ...]) -> dict[str, type]:
    return {key.name: key.type for key in keys}


# --- Keys and columns, group by group ---------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(contract.CONFIG_KEYS, CONFIG, id="config"),
        pytest.param(contract.SYSTEM_KEYS, SYSTEM, id="system"),
        pytest.param(contract.EPOCH_METRICS, {"epoch": int} | EPOCH, id="epoch"),
        pytest.param(contract.OVERALL_METRICS, OVERALL, id="overall"),
        pytest.param(contract.SUMMARY_METRICS, SUMMARY, id="summary"),
        pytest.param(contract.CHECKPOINT_METADATA, METADATA, id="metadata"),
        pytest.param(contract.PREDICTION_COLUMNS, PREDICTIONS, id="prediction columns"),
        pytest.param(contract.PER_CLASS_COLUMNS, PER_CLASS_CSV, id="per-class columns"),
    ],
)
def test_names_types_and_order(found: tuple[contract.Key, ...], expected: dict[str, type]) -> None:
    assert list(types(found).items()) == list(expected.items())
    assert all(key.meaning for key in found)


@pytest.mark.parametrize("key", contract.SYSTEM_KEYS, ids=lambda key: key.name)
def test_only_what_needs_a_gpu_may_be_none(key: contract.Key) -> None:
    assert key.optional == (key.name in {"system/cuda_version", "system/gpu_name"})


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_per_class_metrics_of_each_emotion(emotion: str) -> None:
    found = types(contract.evaluation_metrics(EMOTIONS))
    assert contract.PER_CLASS_STATISTICS == PER_CLASS
    for statistic, kind in PER_CLASS.items():
        assert found[f"test/{statistic}_{emotion}"] is kind
        assert contract.per_class_metric(statistic, emotion) == f"test/{statistic}_{emotion}"


def test_evaluation_metrics_are_all_of_them_and_no_more() -> None:
    assert len(contract.evaluation_metrics(EMOTIONS)) == 7 + 28 * 4 + 3
    assert len(contract.evaluation_metrics(WITHOUT_NEUTRAL.labels)) == 7 + 27 * 4 + 3
    names = [key.name for key in contract.evaluation_metrics(EMOTIONS)]
    assert len(set(names)) == len(names)


def test_each_bare_auc_has_its_macro_sibling() -> None:
    bare = [key.name for key in (*contract.EPOCH_METRICS, *contract.OVERALL_METRICS)]
    expected = [name.replace("/auc", "/macro_auc") for name in bare if name.endswith("/auc")]
    assert [key.name for key in contract.MACRO_AUC_METRICS] == expected


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_probability_column_of_each_emotion(emotion: str) -> None:
    assert contract.probability_column(emotion) == f"pred_probs_{emotion}"
    assert contract.prediction_columns(EMOTIONS).index(
        f"pred_probs_{emotion}"
    ) == 3 + EMOTIONS.index(emotion)


def test_prediction_header() -> None:
    assert contract.prediction_columns(EMOTIONS)[:3] == ("text", "true_labels", "pred_labels")
    assert len(contract.prediction_columns(EMOTIONS)) == 3 + 28
    assert len(contract.prediction_columns(WITHOUT_NEUTRAL.labels)) == 3 + 27


# --- Emotions --------------------------------------------------------------------------------


def test_emotions() -> None:
    assert len(EMOTIONS) == len(set(EMOTIONS)) == 28
    assert EMOTIONS[-1] == "neutral"
    assert list(EMOTIONS[:-1]) == sorted(EMOTIONS[:-1])
    assert EMOTIONS[:-1] == WITHOUT_NEUTRAL.labels


@pytest.mark.parametrize("grouping", [one.groups for one in GOEMOTIONS.groupings])
def test_groupings_hold_each_emotion_once(grouping: dict[str, tuple[str, ...]]) -> None:
    members = [emotion for group in grouping.values() for emotion in group]
    assert sorted(members) == sorted(EMOTIONS)
    for group in grouping.values():
        assert list(group) == [emotion for emotion in EMOTIONS if emotion in group]


def test_emotions_and_groupings_of_the_data_set() -> None:
    if not DATA.exists():
        pytest.skip(f"the data set is not at {DATA}")
    assert tuple((DATA / "labels.txt").read_text().split()) == EMOTIONS
    for one in GOEMOTIONS.groupings:
        grouping = one.groups
        published = json.loads((DATA / f"{one.name}.json").read_text())
        published.setdefault("neutral", ["neutral"])
        assert {group: set(members) for group, members in published.items()} == {
            group: set(members) for group, members in grouping.items()
        }


# --- Runs and artifacts ----------------------------------------------------------------------


def test_project_data_set_and_tags() -> None:
    assert contract.PROJECT == "goemotions-emotion-classification"
    assert contract.DATASET_NAME == "go_emotions"
    assert SPLIT_SAMPLES == {"train": 43410, "val": 5426, "test": 5427}
    assert contract.PHASE_TAGS == ("training", "evaluation", "ablation")
    assert contract.STATUS_TAGS == ("baseline", "experimental", "final")


@pytest.mark.parametrize(
    ("model", "at", "name"),
    [
        ("roberta-large", datetime(2024, 12, 10, 14, 30, 22), "roberta-large-20241210-143022"),
        ("distilbert-base", datetime(2024, 12, 10, 15, 45, 33), "distilbert-base-20241210-154533"),
    ],
)
def test_run_names(model: str, at: datetime, name: str) -> None:
    assert contract.run_name(model, at) == name
    match = contract.RUN_NAME_PATTERN.fullmatch(name)
    assert match is not None
    assert match["model_name"] == model


@pytest.mark.parametrize(
    ("role", "kind", "files"),
    [
        (
            "checkpoint",
            "model",
            (
                "config.json",
                "pytorch_model.bin",
                "tokenizer_config.json",
                ("vocab.txt", "merges.txt"),
                "special_tokens_map.json",
            ),
        ),
        ("val-predictions", "dataset", ("val_predictions.csv",)),
        ("test-predictions", "dataset", ("test_predictions.csv",)),
        ("per-class-metrics", "dataset", ("per_class_metrics.csv",)),
    ],
)
def test_artifacts(role: Role, kind: str, files: tuple[str | tuple[str, ...], ...]) -> None:
    artifact = contract.ARTIFACTS[role]
    assert artifact.role == role
    assert artifact.type == kind
    assert artifact.contents == files
    assert artifact.name("roberta-large", "abc123") == f"roberta-large-{role}-abc123"
    assert contract.artifact_role(f"team/project/roberta-large-{role}-abc123:v3") == role
    assert contract.artifact_role(f"roberta-large-{role}-abc123", "abc123") == role
    assert contract.artifact_role(f"roberta-large-{role}-abc123", "other") is None


def test_artifact_columns_and_metadata() -> None:
    assert tuple(contract.ARTIFACTS) == contract.ROLES
    assert contract.ARTIFACTS["checkpoint"].metadata == contract.CHECKPOINT_METADATA
    for role in ("val-predictions", "test-predictions"):
        assert contract.ARTIFACTS[role].columns == contract.PREDICTION_COLUMNS
    assert contract.ARTIFACTS["per-class-metrics"].columns == contract.PER_CLASS_COLUMNS
    assert contract.artifact_role("run-abc123-history:v0") is None


# --- Dialects ------------------------------------------------------------------------------------


def test_columns_weights_and_folder_of_other_dialects() -> None:
    assert contract.PROBABILITY_PREFIXES == ("pred_probs_", "pred_prob_")
    assert contract.CHECKPOINT_WEIGHTS == ("pytorch_model.bin", "model.safetensors")
    assert contract.PREDICTIONS_FOLDER == "predictions/"


# --- The guide itself ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guide() -> str:
    if not GUIDE.exists():
        pytest.skip(f"the guide is not at {GUIDE}")
    return GUIDE.read_text(encoding="utf-8")


def typed_keys(text: str) -> dict[str, type]:
    """`'key': type,` lines of a Python block."""
    kinds = {"str": str, "int": int, "float": float, "dict": dict}
    found = re.findall(r"^\s*'([^']+)': (str|int|float|dict)\b", text, flags=re.MULTILINE)
    return {name: kinds[kind] for name, kind in found}


def section(guide: str, title: str) -> str:
    start = guide.index(f"{title}\n")
    level = title.split(" ")[0]
    end = re.search(rf"^#{{2,{len(level)}}} ", guide[start + len(title) :], flags=re.MULTILINE)
    return guide[start:] if end is None else guide[start : start + len(title) + end.start()]


def test_the_guides_typed_keys(guide: str) -> None:
    assert typed_keys(section(guide, "### Configuration Schema")) == CONFIG
    assert typed_keys(section(guide, "### Training Metrics (Per Epoch)")) == EPOCH
    evaluation = section(guide, "### Evaluation Metrics (After Training)")
    assert typed_keys(evaluation) == OVERALL | SUMMARY
    per_class = re.findall(r"f'test/(\w+)_\{emotion_name\}': (\w+)", evaluation)
    assert per_class == [(name, kind.__name__) for name, kind in PER_CLASS.items()]
    assert typed_keys(section(guide, "#### 1. Model Checkpoint")) == METADATA
    system = section(guide, "### System Information")
    assert re.findall(r"'(system/\w+)':", system) == list(SYSTEM)


def test_the_guides_columns(guide: str) -> None:
    predictions = section(guide, "#### 2. Validation Predictions")
    assert re.findall(r"^- `([^`]+)`: ", predictions, flags=re.MULTILINE) == [
        *PREDICTIONS,
        "pred_probs_{emotion}",
    ]
    per_class = section(guide, "#### 4. Per-Class Metrics")
    columns = re.findall(r"^- `(\w+)`: (\w+)", per_class, flags=re.MULTILINE)
    assert columns == [(name, kind.__name__) for name, kind in PER_CLASS_CSV.items()]


def test_the_guides_artifact_names_and_types(guide: str) -> None:
    names = re.findall(r"\*\*Name:\*\* `\{model_name\}-([\w-]+)-\{run_id\}`", guide)
    kinds = re.findall(r"\*\*Type:\*\* `(\w+)`", guide)
    assert names == list(contract.ROLES)
    assert kinds == [contract.ARTIFACTS[role].type for role in contract.ROLES]
    assert f"**Project Name:** `{contract.PROJECT}`" in guide

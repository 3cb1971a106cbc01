"""The contract of the W&B guide: every name, key, column and artifact that runs agree on.

Both packages take these from here and nowhere else. Writing follows this page to the
letter; the tolerated deviations of real runs are at the end, under "Dialects".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

# --- Project, runs and tags -----------------------------------------------------------

PROJECT: Final = "goemotions-emotion-classification"
DATASET_NAME: Final = "go_emotions"
DEFAULT_THRESHOLD: Final = 0.5

Split = Literal["val", "test"]
SPLITS: Final[tuple[Split, ...]] = ("val", "test")

LEAK_LIMIT: Final = 0.02
"""Share of the texts of a split that may stand in another one by chance: GoEmotions has below 1%
of each kind."""

Tuning = Literal["per-class", "global", "fixed"]
"""How thresholds are chosen that are applied to new texts."""

SPLIT_NAMES: Final = {
    "train": ("train", "training"),
    "val": ("validation", "val", "dev", "valid"),
    "test": ("test",),
}
"""Names that files, or folders of files, of a split may have."""

PHASE_TAGS: Final[tuple[str, ...]] = ("training", "evaluation", "ablation")
STATUS_TAGS: Final[tuple[str, ...]] = ("baseline", "experimental", "final")

RUN_STATES: Final = (
    "running", "finished", "failed", "crashed", "killed", "preempting", "preempted", "pending",
    "unfinished",
)  # fmt: skip
"""States of runs: `unfinished` is an offline log without its last record, the rest are W&B's own.
A server may know more."""
RUN_FIELDS: Final = (
    "id", "name", "model", "state", "tags", "created_at", "group", "job_type", "sweep", "notes",
    "project", "entity",
)  # fmt: skip
"""Keys that conditions on runs may name beside `config.KEY` and `summary.KEY`."""

RUN_NAME_PATTERN: Final = re.compile(r"(?P<model_name>.+)-(?P<date>\d{8})-(?P<time>\d{6})")


def run_name(model_name: str, at: datetime) -> str:
    """The guide's run name, `{model_name}-{YYYYMMDD}-{HHMMSS}`."""
    return f"{model_name}-{at:%Y%m%d-%H%M%S}"


# --- Config keys ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Key:
    """One config or metric key: its name, its type and what it means."""

    name: str
    type: type
    meaning: str
    optional: bool = False  # None is a valid value


CONFIG_KEYS: Final[tuple[Key, ...]] = (
    Key("model_name", str, "short name of the model, e.g. roberta-large"),
    Key("model_params", int, "number of parameters"),
    Key("num_labels", int, "number of labels"),
    Key("learning_rate", float, "peak learning rate"),
    Key("batch_size", int, "texts per optimiser step"),
    Key("num_epochs", int, "passes over the training split"),
    Key("dropout", float, "dropout probability"),
    Key("max_seq_length", int, "texts are cut after so many tokens"),
    Key("warmup_steps", int, "optimiser steps of linear warm-up"),
    Key("weight_decay", float, "decoupled weight decay"),
    Key("random_seed", int, "seed of every random choice"),
    Key("dataset_name", str, "name of the data set"),
    Key("dataset_version", str, "version of the Hugging Face data set, or digest of the files"),
    Key("train_samples", int, "texts in the training split"),
    Key("val_samples", int, "texts in the validation split"),
    Key("test_samples", int, "texts in the test split"),
    Key("gpu_type", str, "name of the GPU, or cpu"),
    Key("cuda_version", str, "CUDA version, or none"),
    Key("pytorch_version", str, "PyTorch version"),
    Key("transformers_version", str, "transformers version"),
)

MEASURED_KEYS: Final[tuple[str, ...]] = (
    *("truncated_texts", "leaked_val_texts", "leaked_test_texts", "train_auc_samples", "steps"),
)
"""What `goemo-train` also finds out and logs in the config, beside its settings."""

SYSTEM_KEYS: Final[tuple[Key, ...]] = (
    Key("system/platform", str, "operating system and kernel"),
    Key("system/python_version", str, "Python version"),
    Key("system/pytorch_version", str, "PyTorch version"),
    Key("system/cuda_available", bool, "whether CUDA was available"),
    Key("system/cuda_version", str, "CUDA version", optional=True),
    Key("system/gpu_count", int, "number of GPUs"),
    Key("system/gpu_name", str, "name of the first GPU", optional=True),
    Key("system/transformers_version", str, "transformers version"),
)

# --- Metric keys ----------------------------------------------------------------------

EPOCH_METRICS: Final[tuple[Key, ...]] = (
    Key("epoch", int, "epoch, counted from 1; also the W&B step"),
    Key("train/loss", float, "mean training loss"),
    Key("train/loss_std", float, "standard deviation of the loss across batches"),
    Key("val/loss", float, "mean validation loss"),
    Key("train/auc", float, "micro AUC on a sample of the training split"),
    Key("val/auc", float, "micro AUC on the validation split"),
    Key("train/learning_rate", float, "learning rate at the end of the epoch"),
    Key("train/grad_norm", float, "mean gradient norm before clipping"),
    Key("train/epoch_time", float, "seconds per epoch"),
    Key("train/samples_per_sec", float, "training texts per second"),
)

OVERALL_METRICS: Final[tuple[Key, ...]] = (
    Key("test/auc", float, "micro AUC: over all text x {noun} pairs"),
    Key("test/macro_f1", float, "macro F1"),
    Key("test/micro_f1", float, "micro F1"),
    Key("test/macro_precision", float, "macro precision"),
    Key("test/macro_recall", float, "macro recall"),
    Key("test/micro_precision", float, "micro precision"),
    Key("test/micro_recall", float, "micro recall"),
)

SUMMARY_METRICS: Final[tuple[Key, ...]] = (
    Key("total_training_time", float, "seconds of training"),
    Key("best_epoch", int, "epoch with the best validation AUC, counted from 1"),
    Key("final_epoch", int, "last epoch that was trained"),
)

# A bare `auc` is the micro average; its macro sibling is always logged beside it.
MACRO_AUC_METRICS: Final[tuple[Key, ...]] = (
    Key("train/macro_auc", float, "macro AUC on the same training sample"),
    Key("val/macro_auc", float, "macro AUC on the validation split"),
    Key("test/macro_auc", float, "macro AUC: mean over {nouns} with positives"),
)

PER_CLASS_STATISTICS: Final[dict[str, type]] = {
    "f1": float, "precision": float, "recall": float, "support": int,
}  # fmt: skip


def per_class_metric(statistic: str, emotion: str) -> str:
    """Key of one metric of a label on the test split, e.g. `test/f1_joy`."""
    return f"test/{statistic}_{emotion}"


def evaluation_metrics(labels: tuple[str, ...]) -> tuple[Key, ...]:
    """Every metric that the guide wants after training, for a label set."""
    per_class = tuple(
        Key(per_class_metric(statistic, emotion), kind, f"{statistic} of {emotion}")
        for emotion in labels
        for statistic, kind in PER_CLASS_STATISTICS.items()
    )
    return OVERALL_METRICS + per_class + SUMMARY_METRICS


# --- Artifacts ------------------------------------------------------------------------

Role = Literal["checkpoint", "val-predictions", "test-predictions", "per-class-metrics"]


@dataclass(frozen=True, slots=True)
class ArtifactKind:
    """One of the four artifacts that a training run uploads.

    `contents` are the file names; a tuple inside it lists alternatives.
    """

    role: Role
    type: Literal["model", "dataset"]
    description: str = ""
    contents: tuple[str | tuple[str, ...], ...] = ()
    columns: tuple[Key, ...] = ()
    metadata: tuple[Key, ...] = field(default=())

    def name(self, model_name: str, run_id: str) -> str:
        """Name of the artifact, `{model_name}-{role}-{run_id}`."""
        return f"{model_name}-{self.role}-{run_id}"


PROBABILITY_PREFIX: Final = "pred_probs_"
PREDICTION_COLUMNS: Final[tuple[Key, ...]] = (
    Key("text", str, "input text"),
    Key("true_labels", str, "comma-separated true labels"),
    Key("pred_labels", str, "comma-separated predicted labels, at the threshold"),
)
PER_CLASS_COLUMNS: Final[tuple[Key, ...]] = (
    Key("emotion", str, "name of the label"),
    Key("f1_score", float, "F1 score"),
    Key("precision", float, "precision"),
    Key("recall", float, "recall"),
    Key("support", int, "texts that carry the label"),
    Key("tp", int, "true positives"),
    Key("fp", int, "false positives"),
    Key("fn", int, "false negatives"),
    Key("tn", int, "true negatives"),
)
CHECKPOINT_METADATA: Final[tuple[Key, ...]] = (
    Key("model_name", str, "short name of the model"),
    Key("final_test_auc", float, "micro AUC on the test split"),
    Key("final_test_f1", float, "macro F1 on the test split"),
    Key("best_epoch", int, "epoch of the checkpoint"),
    Key("training_time_hours", float, "hours of training"),
    Key("hyperparameters", dict, "the training hyperparameters"),
    Key("random_seed", int, "seed of the run"),
)


def probability_column(emotion: str) -> str:
    """Column that holds the probabilities of one emotion."""
    return f"{PROBABILITY_PREFIX}{emotion}"


def prediction_columns(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Header of a prediction CSV, in the guide's order."""
    return tuple(key.name for key in PREDICTION_COLUMNS) + tuple(map(probability_column, labels))


ARTIFACTS: Final[dict[Role, ArtifactKind]] = {
    "checkpoint": ArtifactKind(
        *("checkpoint", "model", "Best checkpoint by validation micro AUC"),
        contents=(
            *("config.json", "pytorch_model.bin", "tokenizer_config.json"),
            *(("vocab.txt", "merges.txt"), "special_tokens_map.json"),
        ),
        metadata=CHECKPOINT_METADATA,
    ),
    "val-predictions": ArtifactKind(
        *("val-predictions", "dataset", "Validation predictions with probabilities"),
        *(("val_predictions.csv",), PREDICTION_COLUMNS),
    ),
    "test-predictions": ArtifactKind(
        *("test-predictions", "dataset", "Test predictions with probabilities"),
        *(("test_predictions.csv",), PREDICTION_COLUMNS),
    ),
    "per-class-metrics": ArtifactKind(
        *("per-class-metrics", "dataset", "Per-class metrics on the test split"),
        *(("per_class_metrics.csv",), PER_CLASS_COLUMNS),
    ),
}
ROLES: Final[tuple[Role, ...]] = tuple(ARTIFACTS)
FILE_STEMS: Final[dict[str, Role]] = {
    str(kind.contents[0]).removesuffix(".csv"): role
    for role, kind in ARTIFACTS.items()
    if kind.type == "dataset"
}
"""Names of the guide's tables without their ending, and their roles."""


def artifact_model(config: Mapping[str, Any]) -> str:
    """What the names of a run's artifacts begin with, by its config; W&B takes no other signs."""
    named = config.get("model_name") or config.get("_name_or_path") or "model"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", str(named).rstrip("/").rpartition("/")[2])


def artifact_role(name: str, run_id: str | None = None) -> Role | None:
    """Role of an artifact by its name (with or without `:version`), None if it has none.

    With `run_id` the name must end in that id; without, any id is taken.
    """
    base = name.rsplit("/", 1)[-1].split(":", 1)[0]
    for role in ROLES:
        marker = f"-{role}-"
        if run_id is not None:
            if base.endswith(f"{marker}{run_id}"):
                return role
        elif marker in base and base.rsplit(marker, 1)[1]:
            return role
    return None


# --- Dialects: what real runs write and reading tolerates ---------------------------------

PROBABILITY_PREFIXES: Final[tuple[str, ...]] = (PROBABILITY_PREFIX, "pred_prob_")
CHECKPOINT_WEIGHTS: Final[tuple[str, ...]] = ("pytorch_model.bin", "model.safetensors")
PREDICTIONS_FOLDER: Final = "predictions/"

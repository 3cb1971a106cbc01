"""What a card is made of: the results of one run, and what is said of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from goemo_report.card.replicate import base_model, by_goemo_train
from goemo_report.comparison import compare
from goemo_report.contract import DEFAULT_THRESHOLD, Split
from goemo_report.formats.wording import plural
from goemo_report.labels import DataSet, LabelSet
from goemo_report.metrics.scores import Scores
from goemo_report.predictions import Predictions
from goemo_report.results import RunResult
from goemo_report.statistics.intervals import MetricIntervals, analyse
from goemo_report.thresholds.protocols import ThresholdChoice, tuned_per_class

UNKNOWN_LICENSE: Final = "unknown"
_UNNAMED: Final = "unnamed data"
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9._]+")
METRICS: Final = (
    ("micro_auc", "Micro AUC", "roc_auc"),
    ("macro_auc", "Macro AUC", "roc_auc"),
    ("macro_f1", "Macro F1", "f1"),
    ("micro_f1", "Micro F1", "f1"),
    ("macro_precision", "Macro precision", "precision"),
    ("macro_recall", "Macro recall", "recall"),
    ("exact_match", "Exact match", "accuracy"),
)
"""Key, name and the hub's metric type."""
AT_THRESHOLD: Final = ("f1", "precision", "recall", "accuracy")
"""Metric types that depend on the threshold."""
_TRAINING: Final = (
    "learning_rate", "num_epochs", "num_train_epochs", "weight_decay", "warmup_steps",
)  # fmt: skip


@dataclass(frozen=True)
class Card:
    """What a card is made of: one run's results on its test split (else on validation)."""

    result: RunResult
    license: str = UNKNOWN_LICENSE
    base: str | None = None
    name: str | None = None

    @property
    def title(self) -> str:
        """The model's name on the card."""
        data = self.data.title.lower() if self.data else _NO_NAME.sub("-", self.data_name)
        return self.name or f"{self.result.run.model_name}-{data.strip('-')}"

    @property
    def split(self) -> Split:
        """The split that the numbers are of."""
        return "test" if "test" in self.result.splits else "val"

    @property
    def config(self) -> Mapping[str, Any]:
        """The run's config."""
        return self.result.run.config

    @property
    def base_model(self) -> str | None:
        """Hub name of the model that was fine-tuned, None where there is none."""
        return self.base or base_model(self.result.run)

    @property
    def label_set(self) -> LabelSet:
        """The run's labels and what is known about them."""
        return self.predictions.label_set

    @property
    def data(self) -> DataSet | None:
        """The known data set that the run saw, by its labels and what it says; None else."""
        known, stated = self.label_set.data, self.config.get("dataset_name")
        if known is None or not stated:
            return self.label_set.own_data
        return known if known.is_named(stated) else None

    @property
    def data_name(self) -> str:
        """The data set's name."""
        return self.data.title if self.data else str(self.config.get("dataset_name") or _UNNAMED)

    @property
    def part(self) -> str:
        """Describe the part of the official split that was evaluated; empty where it is whole."""
        rows = self.scores.rows
        official = self.data.split_samples.get(self.split, rows) if self.data else rows
        if rows == official:
            return ""
        name = "test" if self.split == "test" else "validation"
        if rows < official:
            return f"{rows:,} of the {official:,} {name} texts"
        return f"{plural(rows, f'{name} text')}, not the official {official:,}"

    @property
    def predictions(self) -> Predictions:
        """The predictions that the numbers are made from."""
        return self.result.splits[self.split].predictions

    @property
    def is_trained(self) -> bool:
        """Whether a training is known: by a checkpoint, by the config, or by a base model named."""
        return self.is_transformers or any(key in self.config for key in _TRAINING)

    @property
    def is_transformers(self) -> bool:
        """Whether transformers loads the model, as far as its files or its config tell."""
        return (
            self.base is not None
            or any(one.role == "checkpoint" for one in self.result.artifacts)
            or any(self.config.get(key) for key in ("transformers_version", "_name_or_path"))
            or by_goemo_train(self.result.run)
        )

    @property
    def rule(self) -> str:
        """How labels are predicted: `threshold 0.5`, or `as predicted` where they are alone."""
        return "threshold 0.5" if self.predictions.has_probabilities else "as predicted"

    @property
    def at(self) -> str:
        """The threshold as words in a sentence."""
        return "at 0.5" if self.predictions.has_probabilities else "as predicted"

    @property
    def scores(self) -> Scores:
        """At the threshold 0.5, of labels alone as predicted."""
        return self.result.splits[self.split].scores

    @cached_property
    def choice(self) -> ThresholdChoice | None:
        """Thresholds tuned on validation, None where that cannot be done."""
        val = self.result.splits.get("val")
        if self.split == "val" or val is None or val.labels != self.predictions.labels:
            return None
        if not (val.predictions.has_probabilities and self.predictions.has_probabilities):
            return None
        return tuned_per_class(val.predictions)

    @cached_property
    def tuned(self) -> Scores | None:
        """At the tuned thresholds."""
        choice, p = self.choice, self.predictions
        if choice is None or choice.thresholds is None:
            return None
        return p.score_at(choice.thresholds)

    @cached_property
    def bounds(self) -> MetricIntervals:
        """95% intervals at 0.5."""
        predictions = self.predictions
        return analyse(predictions, predictions.probabilities >= DEFAULT_THRESHOLD).intervals

    @cached_property
    def tuned_bounds(self) -> MetricIntervals | None:
        """95% intervals at the tuned thresholds, which are taken as given; that of macro F1 is the
        report's, which holds their choice as well."""
        if self.choice is None:
            return None
        tuned = compare([self.result], split=self.split).baseline.tuned_interval
        found = analyse(self.predictions, self.choice.predicted(self.predictions)).intervals
        return {**found, "macro_f1": tuned or found["macro_f1"]}

"""What a card is made of: the results of one run, and what is said of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
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
from goemo_report.report.render.text import markdown_text
from goemo_report.results import RunResult
from goemo_report.sources.model import as_number
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
        """What the evaluated texts are of the official split; empty where they are all of it."""
        rows = self.scores.rows
        official = self.data.split_samples[self.split] if self.data else rows
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
        """The same in a sentence."""
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


# --- What the numbers say against a model ---------------------------------------------

_TRAINING: Final = (
    "learning_rate", "num_epochs", "num_train_epochs", "weight_decay", "warmup_steps",
)  # fmt: skip
_RARE: Final = 50
_WEAK: Final = 0.3


def limitations(card: Card) -> Iterator[str]:
    """What the numbers say against the model, as Markdown lines."""
    scores, tuned = card.scores, card.tuned
    support = dict(zip(scores.labels, scores.counts.support.tolist(), strict=True))
    if scores.never_predicted:
        yield (
            ("At 0.5 it" if card.predictions.has_probabilities else "It")
            + f" never predicts {_names(scores.never_predicted)}"
            + ("; use the tuned thresholds." if tuned is not None else ".")
        )
    if tuned is not None and tuned.never_predicted:
        still = " still" if set(tuned.never_predicted) <= set(scores.never_predicted) else ""
        yield (
            f"At the tuned thresholds it{still} never predicts {_names(tuned.never_predicted)}."
            + _without_own(card, tuned.never_predicted)
        )
    best = tuned or scores
    f1 = dict(zip(best.labels, best.per_class["f1"].tolist(), strict=True))
    weak = [
        f"{name} ({f1[name]:.2f})" for name in sorted(f1, key=f1.__getitem__) if f1[name] < _WEAK
    ]
    if weak:
        where = "at the tuned thresholds" if tuned is not None else card.at
        yield f"F1 {where} is below {_WEAK} for {_names(weak)}."
    rare = [f"{name} ({n})" for name, n in support.items() if 0 < n < _RARE]
    if rare:
        yield f"Fewer than {_RARE} texts carry {_names(rare)}: their numbers are uncertain."
    absent = [name for name, n in support.items() if not n]
    if absent:
        yield f"Nothing is known about {_names(absent)}: no text of the split carries them."
    true, called = sum(support.values()), int(scores.counts.predicted.sum())
    yield (
        f"Texts carry {true / scores.rows:.2f} labels on average; "
        f"{'at 0.5 ' if card.predictions.has_probabilities else ''}it predicts "
        f"{called / scores.rows:.2f}."
    )
    if scores.overall["exact_match"] is not None:
        yield f"All labels of a text are right for {scores.overall['exact_match']:.1%} of texts."
    yield from _about_training(card)


def _without_own(card: Card, silent: Sequence[str]) -> str:
    """Which classes may be silent because they had too few positives to be tuned."""
    kept = [name for name in silent if card.choice is not None and name in card.choice.fallback]
    if not kept:
        return ""
    return f" Validation has too few positives to tune {_names(kept)}: see Thresholds."


def _about_training(card: Card) -> Iterator[str]:
    seen = as_number(card.config.get("train_samples"))
    whole = card.data.split_samples["train"] if card.data else 0
    if seen is not None and seen < whole / 2:
        yield f"It was trained on {seen:,.0f} of the data set's {whole:,} texts."
    known = card.label_set.own_data
    if known is not None and card.data is None:
        what = "It was not trained on" if card.is_trained else "Its texts are not those of"
        yield f"{what} {known.title}: its numbers do not compare with published ones."
    if card.part:
        yield f"It was evaluated on {card.part}: its numbers do not compare with those on all."
    cut, length = as_number(card.config.get("truncated_texts")), card.config.get("max_seq_length")
    if cut:
        yield f"{cut:,.0f} texts were cut after {markdown_text(str(length))} tokens."
    if card.is_trained:
        yield (
            "This is one seed. Another gives other numbers, which the intervals above do not cover."
        )
    if card.data:
        yield (
            "Texts are English Reddit comments; other kinds of text, languages and times were "
            "not tested."
        )


def _names(labels: Sequence[str], limit: int = 12) -> str:
    more = f" and {len(labels) - limit} more" if len(labels) > limit else ""
    return markdown_text(", ".join(labels[:limit])) + more

"""Hugging Face model cards: front matter that the hub reads, and a body from the numbers.

Text from runs is escaped: for YAML as JSON strings, which YAML takes, and for Markdown by the
renderer's own rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from goemo_report.analysis.thresholds import ThresholdChoice, tuned_per_class
from goemo_report.cardtext import CITATION, DATA, EVALUATION_NOTE, INTENDED_USE, THRESHOLD_CODE
from goemo_report.contract import (
    CONFIG_KEYS,
    DATASET_NAME,
    DEFAULT_THRESHOLD,
    NEUTRAL,
    SPLIT_SAMPLES,
    SYSTEM_KEYS,
    Split,
)
from goemo_report.document import Cell, Code, Column, Table
from goemo_report.metrics import Scores, score
from goemo_report.predictions import Predictions
from goemo_report.render import render_block
from goemo_report.render.text import markdown_code, markdown_text, visible
from goemo_report.replicate import base_model, by_goemo_train, replicate_command
from goemo_report.results import RunResult, as_number
from goemo_report.statistics.intervals import MetricIntervals, intervals

HUB_DATASET: Final = "google-research-datasets/go_emotions"
UNKNOWN_LICENSE: Final = "unknown"
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
_AT_THRESHOLD: Final = ("f1", "precision", "recall", "accuracy")
_RARE: Final = 50
_WEAK: Final = 0.3
_ENVIRONMENT: Final = ("gpu_type", "cuda_version", "pytorch_version", "transformers_version")
_NOT_YAML: Final = re.compile("[\ufffe\uffff]")


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
        return self.name or f"{self.result.run.model_name}-goemotions"

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

    @cached_property
    def is_go_emotions(self) -> bool:
        """Whether the run says that it saw GoEmotions; a run that says nothing did."""
        return str(self.config.get("dataset_name") or DATASET_NAME).endswith(DATASET_NAME)

    @property
    def data_name(self) -> str:
        """The data set's name."""
        return "GoEmotions" if self.is_go_emotions else str(self.config["dataset_name"])

    @property
    def predictions(self) -> Predictions:
        """The predictions that the numbers are made from."""
        return self.result.splits[self.split].predictions

    @property
    def scores(self) -> Scores:
        """At the threshold 0.5."""
        return self.result.splits[self.split].scores

    @cached_property
    def choice(self) -> ThresholdChoice | None:
        """Thresholds tuned on validation, None where that cannot be done."""
        val = self.result.splits.get("val")
        if self.split == "val" or val is None or val.labels != self.predictions.labels:
            return None
        return tuned_per_class(val.predictions)

    @cached_property
    def tuned(self) -> Scores | None:
        """At the tuned thresholds."""
        choice, p = self.choice, self.predictions
        if choice is None or choice.thresholds is None:
            return None
        return score(p.truth, p.probabilities, p.labels, choice.thresholds)

    @cached_property
    def bounds(self) -> MetricIntervals:
        """95% intervals at 0.5."""
        return intervals(self.predictions, self.predictions.probabilities >= DEFAULT_THRESHOLD)

    @cached_property
    def tuned_bounds(self) -> MetricIntervals | None:
        """95% intervals at the tuned thresholds."""
        if self.choice is None:
            return None
        return intervals(self.predictions, self.choice.predicted(self.predictions))


def render_card(card: Card) -> str:
    """The whole card: YAML front matter and Markdown."""
    front = "\n".join(_yaml(front_matter(card)))
    body = "\n\n".join(part.strip("\n") for part in _body(card) if part)
    return f"---\n{front}\n---\n\n{body}\n"


# --- Front matter ---------------------------------------------------------------------


def front_matter(card: Card) -> dict[str, Any]:
    """The metadata of the card, in the hub's names."""
    front: dict[str, Any] = {
        "language": ["en"],
        "license": card.license,
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
    }
    if card.base_model:
        front["base_model"] = card.base_model
    if card.is_go_emotions:
        front["datasets"] = [HUB_DATASET]
    front["tags"] = [
        *("emotion-classification", "multi-label-classification", "goemotions"),
        *(["generated-from-wandb"] if card.result.run.url else []),
    ]
    front["metrics"] = sorted({kind for _, _, kind in METRICS})
    front["model-index"] = [{"name": card.title, "results": [_model_index(card)]}]
    return front


def _model_index(card: Card) -> dict[str, Any]:
    data: dict[str, Any] = {"type": HUB_DATASET, "name": card.data_name, "config": "simplified"}
    if not card.is_go_emotions:
        data = {"type": card.data_name, "name": card.data_name}
    data["split"] = "test" if card.split == "test" else "validation"
    result: dict[str, Any] = {
        "task": {"type": "text-classification", "name": "Multi-label emotion classification"},
        "dataset": data,
        "metrics": [
            *_hub_metrics(card.scores, "threshold 0.5"),
            *_hub_metrics(card.tuned, "thresholds tuned on validation"),
        ],
    }
    if card.result.run.url:
        result["source"] = {"name": "Weights & Biases", "url": card.result.run.url}
    return result


def _hub_metrics(scores: Scores | None, threshold: str) -> Iterator[dict[str, Any]]:
    if scores is None:
        return
    for key, name, kind in METRICS:
        value = scores.overall[key]
        at_threshold = kind in _AT_THRESHOLD
        if value is None or (not at_threshold and threshold != "threshold 0.5"):
            continue
        shown = f"{name} ({threshold})" if at_threshold else name
        yield {"type": kind, "name": shown, "value": round(value, 6)}


def _yaml(value: Any, indent: str = "") -> Iterator[str]:
    """Block style; every string is a quoted scalar, so that none is read as anything else."""
    for key, item in value.items():
        if isinstance(item, dict):
            yield f"{indent}{key}:"
            yield from _yaml(item, f"{indent}  ")
        elif isinstance(item, list):
            yield f"{indent}{key}:"
            for entry in item:
                if isinstance(entry, dict):
                    first, *rest = _yaml(entry, f"{indent}  ")
                    yield f"{indent}- {first.lstrip()}"
                    yield from rest
                else:
                    yield f"{indent}- {_scalar(entry)}"
        else:
            yield f"{indent}{key}: {_scalar(item)}"


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    text = json.dumps(visible(value), ensure_ascii=False)
    return _NOT_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


# --- Body -----------------------------------------------------------------------------


def _body(card: Card) -> Iterator[str]:
    run = card.result.run
    yield f"# {markdown_text(card.title)}"
    started = (
        f"{markdown_code(card.base_model, in_table=False)}"
        if card.base_model
        else (f"{markdown_text(run.model_name)}")
    )
    yield (
        f"{started}, fine-tuned for multi-label emotion classification with "
        f"{len(card.scores.labels)} labels on {markdown_text(card.data_name)}. Run "
        f"{markdown_code(run.name, in_table=False)} ({markdown_code(run.id, in_table=False)})"
        + (f", [W&B]({_address(run.url)})." if run.url and _address(run.url) else ".")
    )
    yield "## Intended use"
    yield INTENDED_USE
    yield "## Data"
    yield from _data(card)
    yield "## Training configuration"
    yield _mapping("configuration", _configuration(card))
    yield "## Results"
    yield f"On {card.scores.rows:,} texts of the {_split_name(card)}. {EVALUATION_NOTE}"
    yield _table(_overall(card))
    yield "### Per emotion"
    yield _table(_per_class(card))
    yield "## Thresholds"
    yield from _thresholds(card)
    yield "## Limitations"
    yield "\n".join(f"- {text}" for text in limitations(card))
    yield "## Environment"
    yield _mapping("environment", _environment(card))
    yield "## Reproduce"
    if not by_goemo_train(run):
        yield "Another trainer made this run; this is what its logged config says:"
    yield render_block(Code(replicate_command(run), "sh"), "md")
    yield "## Citation"
    yield render_block(Code(CITATION, "bibtex"), "md")


def _address(url: str) -> str:
    """The address where it can stand between the parentheses of a link, else empty."""
    return url if re.fullmatch(r"https?://[\w.:/%?&=#~+-]+", url) else ""


def _split_name(card: Card) -> str:
    return "test split" if card.split == "test" else "validation split (there is no test split)"


def _data(card: Card) -> Iterator[str]:
    sizes = {name: as_number(card.config.get(f"{name}_samples")) for name in SPLIT_SAMPLES}
    known = [f"{size:,.0f} for {name}" for name, size in sizes.items() if size is not None]
    yield DATA if card.is_go_emotions else f"{markdown_text(card.data_name)}; not GoEmotions."
    if known:
        version = card.config.get("dataset_version")
        said = f" Version {markdown_code(str(version), in_table=False)}." if version else ""
        yield f"Texts: {', '.join(known)}.{said}"
    if NEUTRAL not in card.scores.labels:
        yield "`neutral` is left out: texts with no other label were not seen in training."


def _configuration(card: Card) -> dict[str, Any]:
    keys = [key.name for key in CONFIG_KEYS if key.name not in _ENVIRONMENT]
    more = ("pooling", "bias_start", "max_grad_norm", "precision", "eval_precision", "limit")
    return {key: card.config[key] for key in (*keys, *more) if key in card.config}


def _environment(card: Card) -> dict[str, Any]:
    keys = (*(key.name for key in SYSTEM_KEYS), *_ENVIRONMENT)
    return {key: card.config[key] for key in keys if card.config.get(key) is not None}


def _mapping(name: str, values: Mapping[str, Any]) -> str:
    if not values:
        return "Nothing was logged."
    columns = (Column("key", "key", "code"), Column("value", "value"))
    rows = tuple((key, str(value)) for key, value in values.items())
    return _table(Table(name, "", columns, rows))


def _table(table: Table) -> str:
    """The rows alone: the card has headings of its own."""
    lines = render_block(table, "md").splitlines()
    return "\n".join(line for line in lines if line.startswith("|"))


def _overall(card: Card) -> Table:
    columns = [Column("metric", "metric"), Column("fixed", "threshold 0.5", "number")]
    if card.tuned is not None:
        columns.append(Column("tuned", "tuned on validation", "number"))
    rows = []
    for key, name, kind in METRICS:
        row: list[Any] = [name, _cell(card.scores.overall[key], card.bounds, key)]
        if card.tuned is not None:
            same = kind not in _AT_THRESHOLD
            row.append(None if same else _cell(card.tuned.overall[key], card.tuned_bounds, key))
        rows.append(tuple(row))
    return Table("results", "", tuple(columns), tuple(rows))


def _cell(value: float | None, bounds: MetricIntervals | None, key: str) -> Cell:
    interval = bounds.get(key) if bounds is not None else None
    return Cell(value) if interval is None else Cell(value, interval.low, interval.high)


def _per_class(card: Card) -> Table:
    scores, tuned = card.scores, card.tuned
    columns = [
        Column("emotion", "emotion"),
        Column("support", "support", "integer"),
        Column("precision", "precision", "number"),
        Column("recall", "recall", "number"),
        Column("f1", "F1 at 0.5", "number"),
        Column("auc", "AUC", "number"),
    ]
    if tuned is not None:
        columns += [
            Column("threshold", "threshold", "number"),
            Column("tuned_f1", "F1 at the threshold", "number"),
        ]
    rows = []
    for j, label in enumerate(scores.labels):
        auc = None if label in scores.without_auc else float(scores.auc[j])
        row: list[Any] = [
            label,
            int(scores.counts.support[j]),
            float(scores.counts.precision[j]),
            float(scores.counts.recall[j]),
            _cell(float(scores.counts.f1[j]), card.bounds, f"f1_{label}"),
            _cell(auc, card.bounds, f"auc_{label}"),
        ]
        if tuned is not None and card.choice is not None and card.choice.thresholds is not None:
            row += [
                float(card.choice.thresholds[j]),
                _cell(float(tuned.counts.f1[j]), card.tuned_bounds, f"f1_{label}"),
            ]
        rows.append(tuple(row))
    return Table("per-emotion", "", tuple(columns), tuple(rows))


def _thresholds(card: Card) -> Iterator[str]:
    choice = card.choice
    if choice is None or choice.thresholds is None:
        yield "The run has no validation predictions to tune thresholds on; 0.5 was used."
        return
    made = markdown_text(choice.description)
    yield f"{made[0].upper()}{made[1:]}. A label is predicted from its threshold on."
    values = zip(choice.labels, choice.thresholds.tolist(), strict=True)
    pairs = json.dumps({label: round(value, 6) for label, value in values})
    yield render_block(Code(THRESHOLD_CODE.replace("THRESHOLDS", pairs), "python"), "md")


def limitations(card: Card) -> Iterator[str]:
    """What the numbers say against the model, as Markdown lines."""
    scores, tuned = card.scores, card.tuned
    support = dict(zip(scores.labels, scores.counts.support.tolist(), strict=True))
    if scores.never_predicted:
        yield (
            f"At 0.5 it never predicts {_names(scores.never_predicted)}"
            + ("; use the tuned thresholds." if tuned is not None else ".")
        )
    if tuned is not None and tuned.never_predicted:
        yield f"At the tuned thresholds it still never predicts {_names(tuned.never_predicted)}."
    best = tuned or scores
    f1 = dict(zip(best.labels, best.counts.f1.tolist(), strict=True))
    weak = [
        f"{name} ({f1[name]:.2f})" for name in sorted(f1, key=f1.__getitem__) if f1[name] < _WEAK
    ]
    if weak:
        where = "at the tuned thresholds" if tuned is not None else "at 0.5"
        yield f"F1 {where} is below {_WEAK} for {_names(weak)}."
    rare = [f"{name} ({n})" for name, n in support.items() if 0 < n < _RARE]
    if rare:
        yield f"Fewer than {_RARE} texts carry {_names(rare)}: their numbers are uncertain."
    absent = [name for name, n in support.items() if not n]
    if absent:
        yield f"Nothing is known about {_names(absent)}: no text of the split carries them."
    true, called = sum(support.values()), int(scores.counts.predicted.sum())
    yield (
        f"Texts carry {true / scores.rows:.2f} labels on average; at 0.5 it predicts "
        f"{called / scores.rows:.2f}."
    )
    if scores.overall["exact_match"] is not None:
        yield f"All labels of a text are right for {scores.overall['exact_match']:.1%} of texts."
    yield from _about_training(card)


def _about_training(card: Card) -> Iterator[str]:
    seen = as_number(card.config.get("train_samples"))
    if card.is_go_emotions and seen is not None and seen < SPLIT_SAMPLES["train"] / 2:
        yield f"It was trained on {seen:,.0f} of the data set's {SPLIT_SAMPLES['train']:,} texts."
    if not card.is_go_emotions:
        yield "It was not trained on GoEmotions: its numbers do not compare with published ones."
    cut, length = as_number(card.config.get("truncated_texts")), card.config.get("max_seq_length")
    if cut:
        yield f"{cut:,.0f} texts were cut after {markdown_text(str(length))} tokens."
    yield ("This is one seed. Another gives other numbers, which the intervals above do not cover.")
    if card.is_go_emotions:
        yield (
            "Texts are English Reddit comments; other kinds of text, languages and times were "
            "not tested."
        )


def _names(labels: Sequence[str], limit: int = 12) -> str:
    more = f" and {len(labels) - limit} more" if len(labels) > limit else ""
    return ", ".join(labels[:limit]) + more

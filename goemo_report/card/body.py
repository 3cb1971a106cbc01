"""The body, as Markdown: text from runs is escaped by the renderer's own rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from goemo_report.card.facts import AT_THRESHOLD, METRICS, Card, limitations
from goemo_report.card.front import render_front_matter
from goemo_report.card.replicate import by_goemo_train, replicate_command, without_private_paths
from goemo_report.contract import CONFIG_KEYS, SYSTEM_KEYS
from goemo_report.formats.wording import listed, plural
from goemo_report.labels import SPLIT_SAMPLES, WITHOUT_NEUTRAL
from goemo_report.report.document import Cell, Code, Column, Table
from goemo_report.report.render import render_block
from goemo_report.report.render.text import markdown_code, markdown_text
from goemo_report.sources.model import as_number
from goemo_report.statistics.intervals import MetricIntervals

INTENDED_USE: Final = (
    "Labelling short English texts with the emotions that a reader would see in them; a text may "
    "carry several, or none. It suits research and aggregate analysis. It is not made for "
    "decisions about single people: the labels are readers' judgements, not writers' feelings."
)
OTHER_USE: Final = (
    "Labelling texts like those {of} with these {nouns}: {names}. A text may "
    "carry several, or none. It is not made for decisions about single people."
)
DATA: Final = (
    "[GoEmotions](https://huggingface.co/datasets/google-research-datasets/go_emotions) "
    "(simplified): Reddit comments, each labelled by three raters or more with 27 emotions and "
    "`neutral`; a label stays where at least two raters agree."
)
EVALUATION_NOTE: Final = (
    "Recomputed from the run's predictions; 95% intervals in brackets. Micro averages are taken "
    "over all text and {noun} pairs, macro averages over {nouns}. A ratio with an empty "
    "denominator counts as 0."
)
TUNED_NOTE: Final = (
    "At tuned thresholds the interval of macro F1 holds the choice of the thresholds as well; the "
    "others take them as given."
)
THRESHOLD_CODE: Final = """\
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

directory = "DIRECTORY"  # of the checkpoint, or its name on the hub
texts = ["You made my day!", "Why would anyone do that?"]
thresholds = THRESHOLDS

model = AutoModelForSequenceClassification.from_pretrained(directory)
tokenizer = AutoTokenizer.from_pretrained(directory)
tokens = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=LENGTH)
with torch.no_grad():
    probabilities = model(**tokens).logits.sigmoid().tolist()
for text, row in zip(texts, probabilities):
    named = {model.config.id2label[i]: p for i, p in enumerate(row)}
    print(text, {label: p for label, p in named.items() if p >= thresholds[label]})"""
CITATION: Final = """\
@inproceedings{demszky-etal-2020-goemotions,
  title     = {{GoEmotions}: A Dataset of Fine-Grained Emotions},
  author    = {Demszky, Dorottya and Movshovitz-Attias, Dana and Ko, Jeongwoo and Cowen, Alan
               and Nemade, Gaurav and Ravi, Sujith},
  booktitle = {Proceedings of the 58th Annual Meeting of the Association for Computational
               Linguistics},
  year      = {2020},
  pages     = {4040--4054}
}"""


_ENVIRONMENT: Final = ("gpu_type", "cuda_version", "pytorch_version", "transformers_version")


def render_card(card: Card) -> str:
    """The whole card: YAML front matter and Markdown."""
    body = "\n\n".join(part.strip("\n") for part in _body(card) if part)
    return f"{render_front_matter(card)}\n{body}\n"


def _body(card: Card) -> Iterator[str]:
    run, noun, nouns = card.result.run, card.label_set.noun, card.label_set.nouns
    note = EVALUATION_NOTE.format(noun=noun, nouns=nouns)
    yield f"# {markdown_text(card.title)}"
    started = (
        f"{markdown_code(card.base_model, in_table=False)}"
        if card.base_model
        else (f"{markdown_text(run.model_name)}")
    )
    what = "fine-tuned" if card.is_trained else "predictions"
    yield (
        f"{started}, {what} for {card.label_set.task} with "
        f"{len(card.scores.labels)} labels on {markdown_text(card.data_name)}. Run "
        f"{markdown_code(run.name, in_table=False)} ({markdown_code(run.id, in_table=False)})"
        + (f", [W&B]({_address(run.url)})." if run.url and _address(run.url) else ".")
    )
    yield "## Intended use"
    names = markdown_text(listed(card.label_set.labels, 12))
    of = "that it was trained on" if card.is_trained else "of its data"
    yield INTENDED_USE if card.data else OTHER_USE.format(of=of, nouns=nouns, names=names)
    yield "## Data"
    yield from _data(card)
    yield "## Training configuration" if card.is_trained else "## Configuration"
    yield _mapping("configuration", _configuration(card))
    yield "## Results"
    if card.tuned is not None:
        note += f" {TUNED_NOTE}"
    yield f"On {plural(card.scores.rows, 'text')} of the {_split_name(card)}. {note}"
    yield _table(_overall(card))
    yield f"### Per {noun}"
    yield _table(_per_class(card))
    yield "## Thresholds"
    yield from _thresholds(card)
    yield "## Limitations"
    yield "\n".join(f"- {text}" for text in limitations(card))
    yield "## Environment"
    yield _mapping("environment", _environment(card))
    yield "## Reproduce"
    yield from _reproduce(card)
    if card.data is None:
        return
    yield "## Citation"
    yield render_block(Code(CITATION, "bibtex"), "md")


def _reproduce(card: Card) -> Iterator[str]:
    run = card.result.run
    if not card.is_trained:
        yield (
            "Nothing says how the predictions were made: there is neither a checkpoint nor a "
            "training setting."
        )
        return
    if not by_goemo_train(run):
        yield "Another trainer made this run; this is what its logged config says:"
    instead = without_private_paths(run, card.result.artifacts, card.base)
    command = replicate_command(run, card.result.artifacts, instead)
    yield render_block(Code(command, "sh"), "md")
    local = [key for key, value in instead.items() if value != card.base]
    if local:
        options = " and ".join(f"`--{key}`" for key in local)
        yield f"What {options} names was a directory of the machine that trained it: give your own."


def _address(url: str) -> str:
    """The address where it can stand between the parentheses of a link, else empty."""
    return url if re.fullmatch(r"https?://[\w.:/%?&=#~+-]+", url) else ""


def _split_name(card: Card) -> str:
    return "test split" if card.split == "test" else "validation split (there is no test split)"


def _data(card: Card) -> Iterator[str]:
    sizes = {name: as_number(card.config.get(f"{name}_samples")) for name in SPLIT_SAMPLES}
    known = [f"{size:,.0f} for {name}" for name, size in sizes.items() if size is not None]
    yield _described(card)
    if known:
        version = card.config.get("dataset_version")
        said = f" Version {markdown_code(str(version), in_table=False)}." if version else ""
        yield f"Texts: {', '.join(known)}.{said}"
    if card.data and card.label_set == WITHOUT_NEUTRAL and card.is_trained:
        yield "`neutral` is left out: texts with no other label were not seen in training."


def _described(card: Card) -> str:
    labels, known = card.label_set, card.label_set.own_data
    if card.data is None:
        return f"{markdown_text(card.data_name)}{f'; not {known.title}' if known else ''}."
    grouped = f" Here they are put together as {len(labels.labels)} {labels.nouns}."
    return DATA + ("" if known else grouped)


def _configuration(card: Card) -> dict[str, Any]:
    keys = [key.name for key in CONFIG_KEYS if key.name not in _ENVIRONMENT]
    more = (
        *("pooling", "bias_start", "head_start", "layer_decay", "max_grad_norm"),
        *("precision", "eval_precision", "limit"),
    )
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
    columns = [Column("metric", "metric"), Column("fixed", card.rule, "number")]
    if card.tuned is not None:
        columns.append(Column("tuned", "tuned on validation", "number"))
    rows = []
    for key, name, kind in METRICS:
        if kind not in AT_THRESHOLD and not card.predictions.has_probabilities:
            continue
        row: list[Any] = [name, _cell(card.scores.overall[key], card.bounds, key)]
        if card.tuned is not None:
            same = kind not in AT_THRESHOLD
            row.append(None if same else _cell(card.tuned.overall[key], card.tuned_bounds, key))
        rows.append(tuple(row))
    return Table("results", "", tuple(columns), tuple(rows))


def _cell(value: float | None, bounds: MetricIntervals | None, key: str) -> Cell:
    interval = bounds.get(key) if bounds is not None else None
    return Cell(value) if interval is None else Cell(value, interval.low, interval.high)


def _per_class(card: Card) -> Table:
    scores, tuned = card.scores, card.tuned
    columns = [
        Column("emotion", card.label_set.noun),
        Column("support", "support", "integer"),
        Column("precision", "precision", "number"),
        Column("recall", "recall", "number"),
        Column("f1", f"F1 {card.at}", "number"),
    ]
    if card.predictions.has_probabilities:
        columns.append(Column("auc", "AUC", "number"))
    if tuned is not None:
        columns += [
            Column("threshold", "threshold", "number"),
            Column("tuned_f1", "F1 at the threshold", "number"),
        ]
    rows = []
    for j, label in enumerate(scores.labels):
        support, precision, recall, f1, auc = (
            scores.values[f"{key}_{label}"]
            for key in ("support", "precision", "recall", "f1", "auc")
        )
        row: list[Any] = [label, support, precision, recall, _cell(f1, card.bounds, f"f1_{label}")]
        if card.predictions.has_probabilities:
            row.append(_cell(auc, card.bounds, f"auc_{label}"))
        if tuned is not None and card.choice is not None and card.choice.thresholds is not None:
            row += [
                float(card.choice.thresholds[j]),
                _cell(tuned.values[f"f1_{label}"], card.tuned_bounds, f"f1_{label}"),
            ]
        rows.append(tuple(row))
    return Table("per-emotion", "", tuple(columns), tuple(rows))


def _thresholds(card: Card) -> Iterator[str]:
    choice = card.choice
    if not card.predictions.has_probabilities:
        yield "The predictions are labels without probabilities, to which no threshold applies."
        return
    if choice is None or choice.thresholds is None:
        yield "The run has no validation predictions to tune thresholds on; 0.5 was used."
        return
    made = markdown_text(choice.description)
    yield f"{made[0].upper()}{made[1:]}. A label is predicted from its threshold on."
    values = zip(choice.labels, choice.thresholds.tolist(), strict=True)
    length = as_number(card.config.get("max_seq_length"))
    code = THRESHOLD_CODE.replace("LENGTH", "128" if length is None else f"{length:.0f}")
    pairs = json.dumps(dict(values))  # to the last digit: some are a text's own probability
    if not card.is_transformers:
        yield render_block(Code(pairs, "json"), "md")
        return
    yield render_block(Code(code.replace("THRESHOLDS", pairs), "python"), "md")

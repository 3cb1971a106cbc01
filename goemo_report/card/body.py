"""A card as the hub reads it: `card.md.j2`, filled in.

Text from runs is escaped by the renderer's own rules. In the front matter, which is YAML, every
string is a JSON string, which YAML takes: none is read as anything else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Final

from goemo_report.card.facts import AT_THRESHOLD, METRICS, Card
from goemo_report.card.replicate import by_goemo_train, replicate_command, without_private_paths
from goemo_report.contract import CONFIG_KEYS, SPLIT_NAMES, SYSTEM_KEYS
from goemo_report.formats.text import visible
from goemo_report.formats.wording import listed, plural
from goemo_report.report.document import Cell, Code, Column, Table
from goemo_report.report.render import render_block
from goemo_report.report.render.html import render_plain
from goemo_report.report.render.text import markdown_code, markdown_text
from goemo_report.sources.model import as_number
from goemo_report.statistics.intervals import MetricIntervals

OTHER_DATASET: Final = "other"
"""Type of a data set whose name is none that the hub could have."""
_PART: Final = r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*"
_HUB_NAME: Final = re.compile(f"(?:{_PART}/)?{_PART}")
_NOT_YAML: Final = re.compile("[\ufffe\uffff]")
_RARE: Final = 50
_WEAK: Final = 0.3
_ENVIRONMENT: Final = ("gpu_type", "cuda_version", "pytorch_version", "transformers_version")


def render_card(card: Card) -> str:
    """The whole card: YAML front matter and Markdown."""
    run, config, choice = card.result.run, card.config, card.choice
    sizes = {name: as_number(config.get(f"{name}_samples")) for name in SPLIT_NAMES}
    length = as_number(config.get("max_seq_length"))
    instead = without_private_paths(run, card.result.artifacts, card.base)
    values: dict[str, Any] = {
        "kinds": sorted({kind for *_, kind in METRICS if _is_defined(card, kind)}),
        "hub_type": card.data_name if _is_hub_name(card.data_name) else OTHER_DATASET,
        "results": list(_results(card)),
        "address": _address(run.url or ""),
        "names": listed(card.label_set.labels, 12),
        "sizes": [f"{n:,.0f} for {name}" for name, n in sizes.items() if n is not None],
        "configuration": _configuration(card),
        "texts": plural(card.scores.rows, "text"),
        "overall": _overall(card),
        "per_class": _per_class(card),
        "length": "128" if length is None else f"{length:.0f}",
        **_against(card),
        "environment": _environment(card),
        "by_goemo_train": by_goemo_train(run),
        "command": replicate_command(run, card.result.artifacts, instead),
        "local": [f"`--{key}`" for key, value in instead.items() if value != card.base],
    }
    if choice is not None and choice.thresholds is not None:
        tuned = zip(choice.labels, choice.thresholds.tolist(), strict=True)
        values["made"] = markdown_text(choice.description)
        values["thresholds"] = json.dumps(dict(tuned))  # some are a text's own probability
    filters: dict[str, Callable[..., str]] = {
        "scalar": _scalar,
        "text": markdown_text,
        "names": _names,
        "code": partial(markdown_code, in_table=False),
        "table": _table,
        "fenced": lambda text, language: render_block(Code(text, language), "md").strip("\n"),
    }
    text = render_plain("card.md.j2", filters, card=card, run=run, labels=card.label_set, **values)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"  # where a paragraph is left out


def _results(card: Card) -> Iterator[tuple[str, str, float]]:
    """Type, name and value of each metric, for the hub; at tuned thresholds those that differ."""
    for scores, at in (card.scores, card.rule), (card.tuned, "thresholds tuned on validation"):
        for key, name, kind in METRICS if scores else ():
            value = scores.overall[key] if scores else None
            if value is not None and kind in AT_THRESHOLD:
                yield kind, f"{name} ({at})", round(value, 6)
            elif value is not None and scores is card.scores:
                yield kind, name, round(value, 6)


def _is_defined(card: Card, kind: str) -> bool:
    """Whether the metrics of a type follow from what the file has."""
    return kind in AT_THRESHOLD or card.predictions.has_probabilities


def _against(card: Card) -> dict[str, Any]:
    """List the limitations that follow from the numbers."""
    scores, tuned = card.scores, card.tuned
    support = dict(zip(scores.labels, scores.counts.support.tolist(), strict=True))
    best = tuned or scores
    f1 = zip(best.labels, best.per_class["f1"].tolist(), strict=True)
    by_f1 = sorted(f1, key=itemgetter(1))
    silent = tuned.never_predicted if tuned else ()
    fallback = card.choice.fallback if card.choice else ()
    return {
        "still": set(silent) <= set(scores.never_predicted),
        "untuned": [name for name in silent if name in fallback],
        "weak": [f"{name} ({one:.2f})" for name, one in by_f1 if one < _WEAK],
        "weak_below": _WEAK,
        "rare": [f"{name} ({n})" for name, n in support.items() if 0 < n < _RARE],
        "rare_below": _RARE,
        "absent": [name for name, n in support.items() if not n],
        "carried": sum(support.values()) / scores.rows,
        "called": int(scores.counts.predicted.sum()) / scores.rows,
        "seen": as_number(card.config.get("train_samples")),
        "whole": card.data.split_samples.get("train", 0) if card.data else 0,
        "cut": as_number(card.config.get("truncated_texts")),
    }


def _names(labels: Sequence[str], limit: int = 12) -> str:
    more = f" and {len(labels) - limit} more" if len(labels) > limit else ""
    return markdown_text(", ".join(labels[:limit])) + more


def _is_hub_name(name: str) -> bool:
    return bool(_HUB_NAME.fullmatch(name)) and len(name) <= 96 and not name.endswith(".git")


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    text = json.dumps(visible(value), ensure_ascii=False)
    return _NOT_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _address(url: str) -> str:
    """The address where it can stand between the parentheses of a link, else empty."""
    return url if re.fullmatch(r"https?://[\w.:/%?&=#~+-]+", url) else ""


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


def _table(held: Table | Mapping[str, Any]) -> str:
    """The rows alone of a table, or of one of keys and values: the card has headings of its own."""
    if not isinstance(held, Table):
        columns = (Column("key", "key", "code"), Column("value", "value"))
        held = Table("values", "", columns, tuple((key, str(one)) for key, one in held.items()))
        if not held.rows:
            return "Nothing was logged."
    lines = render_block(held, "md").splitlines()
    return "\n".join(line for line in lines if line.startswith("|"))


def _overall(card: Card) -> Table:
    columns = [Column("metric", "metric"), Column("fixed", card.rule, "number")]
    if card.tuned is not None:
        columns.append(Column("tuned", "tuned on validation", "number"))
    rows = []
    for key, name, kind in METRICS:
        if not _is_defined(card, kind):
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

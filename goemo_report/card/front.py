"""The front matter, as YAML: every string is a JSON string, which YAML takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from goemo_report.card.facts import AT_THRESHOLD, METRICS, Card
from goemo_report.formats.text import visible
from goemo_report.metrics.scores import Scores

OTHER_DATASET: Final = "other"
"""Type of a data set whose name is none that the hub could have."""
_TUNED: Final = "thresholds tuned on validation"
_PART: Final = r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*"
_HUB_NAME: Final = re.compile(f"(?:{_PART}/)?{_PART}")
_NOT_YAML: Final = re.compile("[\ufffe\uffff]")


def render_front_matter(card: Card) -> str:
    """The front matter between its two rules."""
    lines = "\n".join(_yaml(front_matter(card)))
    return f"---\n{lines}\n---\n"


def front_matter(card: Card) -> dict[str, Any]:
    """The metadata of the card, in the hub's names."""
    front: dict[str, Any] = {
        **({"language": ["en"]} if card.data else {}),
        "license": card.license,
        **({"library_name": "transformers"} if card.is_transformers else {}),
        "pipeline_tag": "text-classification",
    }
    if card.base_model:
        front["base_model"] = card.base_model
    if card.data:
        front["datasets"] = [card.data.hub]
    front["tags"] = [
        *(["emotion-classification"] if card.label_set.noun == "emotion" else []),
        "multi-label-classification",
        *(["goemotions"] if card.data else []),
        *(["generated-from-wandb"] if card.result.run.url else []),
    ]
    front["metrics"] = sorted(
        {
            kind
            for _, _, kind in METRICS
            if kind in AT_THRESHOLD or card.predictions.has_probabilities
        }
    )
    front["model-index"] = [{"name": card.title, "results": [_model_index(card)]}]
    return front


def _model_index(card: Card) -> dict[str, Any]:
    kind = card.data_name if _is_hub_name(card.data_name) else OTHER_DATASET
    data = {"type": kind, "name": card.data_name}
    if card.data:
        part = f" ({card.part})" if card.part else ""
        data = {"type": card.data.hub, "name": f"{card.data_name}{part}", "config": "simplified"}
    data["split"] = "test" if card.split == "test" else "validation"
    result: dict[str, Any] = {
        "task": {"type": "text-classification", "name": card.label_set.task.capitalize()},
        "dataset": data,
        "metrics": [*_hub_metrics(card.scores, card.rule), *_hub_metrics(card.tuned, _TUNED)],
    }
    if card.result.run.url:
        result["source"] = {"name": "Weights & Biases", "url": card.result.run.url}
    return result


def _is_hub_name(name: str) -> bool:
    return bool(_HUB_NAME.fullmatch(name)) and len(name) <= 96 and not name.endswith(".git")


def _hub_metrics(scores: Scores | None, threshold: str) -> Iterator[dict[str, Any]]:
    if scores is None:
        return
    tuned = threshold == _TUNED
    for key, name, kind in METRICS:
        value = scores.overall[key]
        at_threshold = kind in AT_THRESHOLD
        if value is None or (not at_threshold and tuned):
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

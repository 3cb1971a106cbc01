"""Rules about whether the checkpoint is the run's: labels, architecture, size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from goemo_report.audit.evidence import Evidence, listed
from goemo_report.audit.registry import RuleSet
from goemo_report.audit.values import has_type, shown
from goemo_report.contract import CHECKPOINT_WEIGHTS

CHECKPOINT = RuleSet("truth")

_ARCHITECTURES: Final = (
    ("modernbert", "modernbert"), ("distilroberta", "roberta"), ("roberta", "roberta"),
    ("distilbert", "distilbert"), ("deberta", "deberta"), ("electra", "electra"),
    ("albert", "albert"), ("bert", "bert"),
)  # fmt: skip
"""Words of model names, the more telling first, and what `model_type` then ends with or holds."""

_BYTES: Final = (2, 4)  # of a parameter in half and in single precision
_OTHER_BYTES: Final = 1 << 20  # names, shapes and position ids of a weights file


def _checkpoint_labels(config: Mapping[str, Any]) -> list[str] | None:
    """Names of the outputs in their order; None where config.json has none of its own."""
    names = config.get("id2label")
    if not isinstance(names, Mapping) or not names:
        return None
    try:
        ordered = [str(names[key]) for key in sorted(names, key=int)]
    except (TypeError, ValueError):
        return None
    return None if all(name.startswith("LABEL_") for name in ordered) else ordered


@CHECKPOINT.rule(
    "true-checkpoint-labels",
    "error",
    "The checkpoint's config.json has the run's labels, in their order.",
    "Set num_labels, id2label and label2id before training and save again",
)
def true_checkpoint_labels(evidence: Evidence) -> Iterator[str]:
    """Against the labels of the predictions, else of the run's config."""
    config = evidence.checkpoint_config
    if not isinstance(config, Mapping):
        return
    named, labels = _checkpoint_labels(config), evidence.labels
    given = config.get("id2label")
    number = len(given) if isinstance(given, Mapping) else config.get("num_labels")
    if number is not None and number != len(labels):
        yield f"config.json has {shown(number)} labels, the run {len(labels)}"
    elif named is not None and set(named) != set(labels):
        odd = [shown(name) for name in named if name not in labels]
        yield f"config.json names {listed(odd)}"
    elif named is not None and tuple(named) != labels:
        first = next(i for i, (a, b) in enumerate(zip(named, labels, strict=True)) if a != b)
        yield f"output {first} of the checkpoint is {named[first]}, in the run {labels[first]}"
    elif named is not None and (differs := _inverse_differs(config, named)):
        yield differs


def _inverse_differs(config: Mapping[str, Any], named: list[str]) -> str:
    """Where label2id, if the checkpoint has it, is not id2label the other way round."""
    ids = config.get("label2id")
    if not isinstance(ids, Mapping):
        return ""
    wrong = [name for number, name in enumerate(named) if ids.get(name) != number]
    return f"label2id and id2label of config.json differ for {listed(wrong)}" if wrong else ""


@CHECKPOINT.rule(
    "checkpoint-label-names",
    "warning",
    "The checkpoint's config.json names the {nouns} (id2label).",
    "Set id2label and label2id before saving, or its users cannot tell the outputs apart",
)
def checkpoint_label_names(evidence: Evidence) -> Iterator[str]:
    """LABEL_0, LABEL_1 ... are no names."""
    config = evidence.checkpoint_config
    if isinstance(config, Mapping) and _checkpoint_labels(config) is None:
        yield f"config.json has no id2label with {evidence.label_set.nouns}"


@CHECKPOINT.rule(
    "true-checkpoint-architecture",
    "warning",
    "The checkpoint's model_type is that of the model_name in the config.",
    "Log the checkpoint and the config of one run, and the name of the model that was trained",
)
def true_checkpoint_architecture(evidence: Evidence) -> Iterator[str]:
    """Only where the name tells the architecture."""
    config, name = evidence.checkpoint_config, str(evidence.run.config.get("model_name") or "")
    if not isinstance(config, Mapping) or not isinstance(config.get("model_type"), str):
        return
    plain = re.sub(r"[^a-z]", "", name.rsplit("/", 1)[-1].lower())
    wanted = next((kind for word, kind in _ARCHITECTURES if word in plain), None)
    found = config["model_type"].lower()
    right = found.endswith(wanted) if wanted == "roberta" else wanted and found.startswith(wanted)
    if wanted is not None and not right:
        yield f"model_name is {shown(name)}, the checkpoint is of the type {shown(found)}"


@CHECKPOINT.rule(
    "true-model-params",
    "warning",
    "model_params fits the size of the checkpoint's weights, at two or four bytes a parameter.",
    "Log sum(p.numel() for p in model.parameters()) of the model that is saved",
)
def true_model_params(evidence: Evidence) -> Iterator[str]:
    """A tenth more or less is left to shared and unsaved tensors."""
    number = evidence.run.config.get("model_params")
    checkpoint = evidence.artifacts.get("checkpoint")
    if checkpoint is None or number is None or not has_type(number, int):
        return
    sizes = [
        file.size for file in checkpoint.files if file.path in CHECKPOINT_WEIGHTS and file.size
    ]
    low, high = (float(number) * one for one in _BYTES)
    if len(sizes) == 1 and not 0.9 * low <= sizes[0] <= 1.1 * high + _OTHER_BYTES:
        yield f"model_params is {number:,}, but the weights have {sizes[0]:,} bytes"

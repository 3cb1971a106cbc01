"""Rules about the checkpoint: what it holds, and whether it is the run's."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from goemo_report.analysis.truth import check_logged, same
from goemo_report.audit.evidence import Evidence
from goemo_report.audit.registry import (
    NOT_NEGATIVE,
    SHARE,
    RuleSet,
    Sane,
    fault,
    has_type,
    listed,
    shown,
)
from goemo_report.contract import ARTIFACTS, CHECKPOINT_METADATA, CHECKPOINT_WEIGHTS, Key
from goemo_report.sources.model import as_number
from goemo_report.sources.newest import holds_no

CONTENTS = RuleSet("artifacts")
CHECKPOINT = RuleSet("truth")

_TOKENIZER_FILE: Final = "tokenizer.json"
_TIME_TOLERANCE: Final = 0.02  # of the training time: hours are often rounded

# --- Contents -----------------------------------------------------------------------


def _holds(
    evidence: Evidence, choices: tuple[str, ...], stand_ins: tuple[str, ...]
) -> Iterator[str]:
    checkpoint = evidence.artifacts.get("checkpoint")
    if checkpoint is not None and not checkpoint.checkpoint_paths & {*choices, *stand_ins}:
        yield holds_no(" or ".join(choices), checkpoint.reference, checkpoint.files)


_STAND_INS: Final[dict[str, tuple[str, ...]]] = {
    "weights": (
        *(name for name in CHECKPOINT_WEIGHTS if name != "pytorch_model.bin"),
        "model.safetensors.index.json",
        "pytorch_model.bin.index.json",
    ),
    "vocabulary": (_TOKENIZER_FILE, "spm.model", "sentencepiece.bpe.model", "spiece.model"),
    "special-tokens": (_TOKENIZER_FILE,),
}
_CONTENT_IDS: Final = ("config", "weights", "tokenizer-config", "vocabulary", "special-tokens")
for _id, _content in zip(_CONTENT_IDS, ARTIFACTS["checkpoint"].contents, strict=True):
    _names = (_content,) if isinstance(_content, str) else _content
    CONTENTS.add(
        f"checkpoint-{_id}",
        "error",
        f"The checkpoint holds {' or '.join(_names)}.",
        "Save model and tokenizer with save_pretrained into one directory and add_dir it",
        _holds,
        _names,
        _STAND_INS.get(_id, ()),
    )


@CONTENTS.rule(
    "note",
    "None is needed: transformers loads model.safetensors and tokenizer.json as well, and from "
    "a folder of the artifact",
)
def _dialect_checkpoint(evidence: Evidence) -> Iterator[str]:
    """The checkpoint has pytorch_model.bin and the tokenizer's own files, at the artifact's
    top."""
    checkpoint = evidence.artifacts.get("checkpoint")
    if checkpoint is None:
        return
    paths = checkpoint.checkpoint_paths
    if checkpoint.folder:
        yield f"it lies in {checkpoint.folder} of {checkpoint.reference.name}"
    if "pytorch_model.bin" not in paths:
        found = sorted(paths & set(_STAND_INS["weights"]))
        if found:
            yield f"{found[0]} stands for pytorch_model.bin"
    if not paths & {"vocab.txt", "merges.txt"}:
        found = sorted(paths & set(_STAND_INS["vocabulary"]))
        if found:
            yield f"{found[0]} stands for vocab.txt or merges.txt"
    if "special_tokens_map.json" not in paths and _TOKENIZER_FILE in paths:
        yield f"{_TOKENIZER_FILE} stands for special_tokens_map.json"


_SANE_METADATA: Final[dict[str, Sane]] = {
    **dict.fromkeys(("final_test_auc", "final_test_f1"), SHARE),
    **dict.fromkeys(("best_epoch", "training_time_hours"), NOT_NEGATIVE),
}


@CONTENTS.rule_of_keys(
    "metadata", CHECKPOINT_METADATA, "wandb.Artifact(..., metadata={{'{name}': ...}})"
)
def _metadata(evidence: Evidence, key: Key) -> Iterator[str]:
    """The checkpoint's metadata has {name}, {type}: {meaning}."""
    checkpoint = evidence.artifacts.get("checkpoint")
    if checkpoint is not None:
        for found in fault(checkpoint.reference.metadata, key, _SANE_METADATA.get(key.name)):
            yield f"{found} in the metadata of {checkpoint.reference.name}"


@CONTENTS.rule("error", "Save it with save_pretrained and log the artifact again")
def _checkpoint_config_json(evidence: Evidence) -> Iterator[str]:
    """The checkpoint's config.json can be read."""
    config, checkpoint = evidence.checkpoint_config, evidence.artifacts.get("checkpoint")
    holds_one = checkpoint is not None and "config.json" in checkpoint.checkpoint_paths
    if isinstance(config, str):
        yield config
    elif config is None and holds_one and "checkpoint" not in evidence.damaged:
        yield "config.json is too large to be one"


# --- Labels, architecture and size ---------------------------------------------------

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


@CHECKPOINT.rule("error", "Set num_labels, id2label and label2id before training and save again")
def _true_checkpoint_labels(evidence: Evidence) -> Iterator[str]:
    """The checkpoint's config.json has the run's labels, in their order."""
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
    "warning", "Set id2label and label2id before saving, or its users cannot tell the outputs apart"
)
def _checkpoint_label_names(evidence: Evidence) -> Iterator[str]:
    """The checkpoint's config.json names the {nouns} (id2label)."""
    config = evidence.checkpoint_config
    if isinstance(config, Mapping) and _checkpoint_labels(config) is None:
        yield f"config.json has no id2label with {evidence.label_set.nouns}"


@CHECKPOINT.rule(
    "warning",
    "Log the checkpoint and the config of one run, and the name of the model that was trained",
)
def _true_checkpoint_architecture(evidence: Evidence) -> Iterator[str]:
    """The checkpoint's model_type is that of the model_name in the config."""
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
    "warning", "Log sum(p.numel() for p in model.parameters()) of the model that is saved"
)
def _true_model_params(evidence: Evidence) -> Iterator[str]:
    """model_params fits the size of the checkpoint's weights, at two or four bytes a parameter."""
    # A tenth more or less is left to shared and unsaved tensors.
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


# --- Metadata beside log and config --------------------------------------------------------


@CHECKPOINT.rule("error", "Fill the metadata from the final evaluation")
def _true_metadata(evidence: Evidence) -> Iterator[str]:
    """The checkpoint's final_test_auc, final_test_f1 and best_epoch are those of the predictions
    (micro AUC, macro F1) and of the log."""
    # A micro F1 is not wrong by the guide's words; it gets a note of its own.
    for check in check_logged(evidence.result):
        if check.place == "log" or check.agrees:
            continue
        if check.key == "final_test_f1" and _is_micro_f1(evidence, check.logged):
            continue
        expected = "not defined" if check.recomputed is None else f"{check.recomputed:.4g}"
        yield f"{check.key} is {check.logged:.4g} in the metadata, but it is {expected}"


@CHECKPOINT.rule("note", "Write the macro F1, or name the average in another key")
def _metadata_f1_average(evidence: Evidence) -> Iterator[str]:
    """final_test_f1 in the checkpoint's metadata is the macro F1."""
    # The guide names no average.
    for check in check_logged(evidence.result):
        differs = check.key == "final_test_f1" and not check.agrees
        if differs and _is_micro_f1(evidence, check.logged):
            yield f"final_test_f1 is {check.logged:.4g}, which is the micro F1"


def _is_micro_f1(evidence: Evidence, value: float) -> bool:
    test = evidence.result.splits.get("test")
    if test is None:
        return same(value, evidence.result.logged.get("test/micro_f1"))
    return same(value, test.as_logged.overall["micro_f1"])


@CHECKPOINT.rule("error", "Fill the metadata from the same values that are logged")
def _metadata_agrees(evidence: Evidence) -> Iterator[str]:
    """The checkpoint's metadata agrees with summary and config: figures, training time, model and
    seed."""
    checkpoint = evidence.artifacts.get("checkpoint")
    if checkpoint is None:
        return
    metadata, logged = checkpoint.reference.metadata, evidence.result.logged
    keys = (("final_test_auc", "test/auc"), ("best_epoch", "best_epoch"))
    for name, key in keys:
        value = as_number(metadata.get(name))
        if value is not None and key in logged and not same(value, logged[key]):
            yield f"{name} is {value:.4g}, the summary's {key} {logged[key]:.4g}"
    hours = as_number(metadata.get("training_time_hours"))
    seconds = logged.get("total_training_time")
    if hours is not None and seconds is not None:
        allowed = max(_TIME_TOLERANCE * seconds / 3600, 0.005)
        if not abs(hours - seconds / 3600) <= allowed:
            yield f"training_time_hours is {hours:.4g}, total_training_time {seconds:.4g} seconds"
    config = evidence.run.config
    for name in ("model_name", "random_seed"):
        if name in metadata and name in config and metadata[name] != config[name]:
            yield f"{name} is {shown(metadata[name])}, the config's {shown(config[name])}"


@CHECKPOINT.rule("warning", "Fill the metadata from the run's config")
def _metadata_hyperparameters_agree(evidence: Evidence) -> Iterator[str]:
    """The hyperparameters in the checkpoint's metadata are those of the config."""
    checkpoint, config = evidence.artifacts.get("checkpoint"), evidence.run.config
    given = checkpoint.reference.metadata.get("hyperparameters") if checkpoint else None
    if isinstance(given, Mapping):
        for name, value in given.items():
            if name in config and not _equal(config[name], value):
                yield f"{name} is {shown(value)}, the config's {shown(config[name])}"


def _equal(one: object, other: object) -> bool:
    if has_type(one, float) and has_type(other, float):
        return math.isclose(float(one), float(other), rel_tol=1e-9)  # type: ignore[arg-type] # numbers
    return one == other or (one in ((), []) and other in ((), []))

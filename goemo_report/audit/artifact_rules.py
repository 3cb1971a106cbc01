"""Rules about the four artifacts: names, types, contents, columns and metadata."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from goemo_report.audit.evidence import Evidence, listed
from goemo_report.audit.registry import Check, RuleSet
from goemo_report.audit.values import Sane, fault, shown
from goemo_report.contract import (
    ARTIFACTS,
    CHECKPOINT_METADATA,
    CHECKPOINT_WEIGHTS,
    PER_CLASS_COLUMNS,
    PROBABILITY_PREFIX,
    PROBABILITY_PREFIXES,
    SPLITS,
    Role,
    Split,
)
from goemo_report.formats.csv_table import Table
from goemo_report.results import PREDICTION_ROLES, LoggedArtifact
from goemo_report.sources.model import LostFiles
from goemo_report.sources.newest import holds_no

ARTIFACT = RuleSet("artifacts")

_TOKENIZER_FILE: Final = "tokenizer.json"
_SANE_METADATA: Final[dict[str, tuple[Sane, str]]] = {
    "final_test_auc": (lambda v: 0 <= v <= 1, "from 0 to 1"),
    "final_test_f1": (lambda v: 0 <= v <= 1, "from 0 to 1"),
    "best_epoch": (lambda v: v >= 0, "at least 0"),
    "training_time_hours": (lambda v: v >= 0, "at least 0"),
}

# --- Names and types ------------------------------------------------------------------


def _presence_rule(role: Role) -> Check:
    def check(evidence: Evidence) -> Iterator[str]:
        if role not in evidence.artifacts:
            names = [reference.name for reference in evidence.result.artifacts]
            yield f"there is no {role} artifact (logged: {listed(names) or 'none'})"

    return check


def _name_rule(role: Role) -> Check:
    def check(evidence: Evidence) -> Iterator[str]:
        artifact = evidence.artifacts.get(role)
        if artifact is None or artifact.reference.kind != "artifact":
            return
        name = artifact.reference.name.rsplit("/", 1)[-1].split(":", 1)[0]
        models = evidence.model_names or (name.split(f"-{role}-", 1)[0],)
        wanted = [ARTIFACTS[role].name(model, evidence.run.id) for model in models]
        if name not in wanted:
            yield f"it is called {shown(name)}, not {shown(wanted[-1])}"

    return check


def _type_rule(role: Role) -> Check:
    def check(evidence: Evidence) -> Iterator[str]:
        artifact = evidence.artifacts.get(role)
        if artifact is not None and artifact.reference.kind == "artifact":
            found, wanted = artifact.reference.type, ARTIFACTS[role].type
            if found != wanted:
                yield f"{artifact.reference.name} has the type {shown(found)}, not {wanted!r}"

    return check


for _role, _artifact in ARTIFACTS.items():
    ARTIFACT.add(
        f"artifact-{_role}",
        "error",
        f"The run logged its {_role} as an artifact.",
        f"Log it as {_artifact.name('{model_name}', '{run_id}')}, type {_artifact.type}",
        _presence_rule(_role),
    )
    ARTIFACT.add(
        f"artifact-{_role}-name",
        "error",
        f"It is called {_artifact.name('{model_name}', '{run_id}')}.",
        "Make the name from config['model_name'] and wandb.run.id",
        _name_rule(_role),
    )
    ARTIFACT.add(
        f"artifact-{_role}-type",
        "error",
        f"Its type is {_artifact.type}.",
        f"wandb.Artifact(name, type={_artifact.type!r})",
        _type_rule(_role),
    )


@ARTIFACT.rule(
    "dialect-run-files",
    "note",
    "Predictions are artifacts, not files of the run.",
    "Log them with wandb.log_artifact; goemo-report reads run files as well",
)
def dialect_run_files(evidence: Evidence) -> Iterator[str]:
    """Files below predictions/ stand for the artifacts."""
    found = [
        artifact.reference.name
        for artifact in evidence.artifacts.values()
        if artifact.reference.kind == "run-files"
    ]
    if found:
        yield f"{listed(found)} {'is a file' if len(found) == 1 else 'are files'} of the run"


@ARTIFACT.rule(
    "artifact-files",
    "error",
    "The files of offline artifacts are on this machine as they were logged.",
    "Copy artifacts/staging with the run logs, or upload the run and audit it online",
)
def artifact_files(evidence: Evidence) -> Iterator[str]:
    """By size and MD5; weights, which no other rule opens, too."""
    for reasons in evidence.damaged.values():
        yield from reasons


@ARTIFACT.rule(
    "artifact-references",
    "warning",
    "The files of the artifacts are with W&B, not by reference to another place.",
    "Log the files themselves with add_file or add_dir: who has the run then has them",
)
def artifact_references(evidence: Evidence) -> Iterator[str]:
    """A file of another artifact is with W&B as well."""
    for artifact in evidence.artifacts.values():
        elsewhere = [f for f in artifact.files if f.reference and "artifact" not in f.scheme]
        if elsewhere:
            places = listed([f"{file.path} at {file.reference}" for file in elsewhere], 2)
            yield f"{artifact.reference.name} is by reference: {places}"


@ARTIFACT.rule(
    "artifact-copies",
    "warning",
    "The files in the trainer's results directory are those that were logged.",
    "Take the logged files with `goemo-report download`, and hand in those",
)
def artifact_copies(evidence: Evidence) -> Iterator[str]:
    """The logged files alone are read; these are the ones that people open."""
    for name in evidence.edited:
        yield f"{name} in {evidence.run.name}-{evidence.run.id} is not the file that was logged"


# --- Checkpoint -----------------------------------------------------------------------


def _contents_rule(choices: tuple[str, ...], stand_ins: tuple[str, ...]) -> Check:
    def check(evidence: Evidence) -> Iterator[str]:
        checkpoint = evidence.artifacts.get("checkpoint")
        if checkpoint is not None and not checkpoint.checkpoint_paths & {*choices, *stand_ins}:
            yield holds_no(" or ".join(choices), checkpoint.reference, checkpoint.files)

    return check


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
    ARTIFACT.add(
        f"checkpoint-{_id}",
        "error",
        f"The checkpoint holds {' or '.join(_names)}.",
        "Save model and tokenizer with save_pretrained into one directory and add_dir it",
        _contents_rule(_names, _STAND_INS.get(_id, ())),
    )


@ARTIFACT.rule(
    "dialect-checkpoint",
    "note",
    "The checkpoint has pytorch_model.bin and the tokenizer's own files, at the artifact's top.",
    "None is needed: transformers loads model.safetensors and tokenizer.json as well, and from "
    "a folder of the artifact",
)
def dialect_checkpoint(evidence: Evidence) -> Iterator[str]:
    """What newer versions of transformers write instead."""
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


def _metadata_rule(name: str) -> Check:
    key = next(key for key in CHECKPOINT_METADATA if key.name == name)
    sane, range_ = _SANE_METADATA.get(name, (None, ""))

    def check(evidence: Evidence) -> Iterator[str]:
        checkpoint = evidence.artifacts.get("checkpoint")
        if checkpoint is not None:
            found = fault(checkpoint.reference.metadata, key, sane, range_)
            if found:
                yield f"{found} in the metadata of {checkpoint.reference.name}"

    return check


for _key in CHECKPOINT_METADATA:
    ARTIFACT.add(
        f"metadata-{_key.name.replace('_', '-')}",
        "error",
        f"The checkpoint's metadata has {_key.name}, {_key.type.__name__}: {_key.meaning}.",
        f"wandb.Artifact(..., metadata={{'{_key.name}': ...}})",
        _metadata_rule(_key.name),
    )


@ARTIFACT.rule(
    "checkpoint-config-json",
    "error",
    "The checkpoint's config.json can be read.",
    "Save it with save_pretrained and log the artifact again",
)
def checkpoint_config_json(evidence: Evidence) -> Iterator[str]:
    """A JSON object of sane size whose file is still there."""
    config, checkpoint = evidence.checkpoint_config, evidence.artifacts.get("checkpoint")
    holds_one = checkpoint is not None and "config.json" in checkpoint.checkpoint_paths
    if isinstance(config, str):
        yield config
    elif config is None and holds_one and "checkpoint" not in evidence.damaged:
        yield "config.json is too large to be one"


# --- Predictions and per-class metrics ------------------------------------------------


def _predictions_rule(split: Split) -> Check:
    def check(evidence: Evidence) -> Iterator[str]:
        role = PREDICTION_ROLES[split]
        unread = role in evidence.artifacts and role not in evidence.damaged
        if unread and split in evidence.result.problems:
            yield evidence.result.problems[split]

    return check


def _file_name(artifact: LoggedArtifact, wanted: str) -> str:
    paths = sorted(artifact.paths)
    if isinstance(artifact.files, LostFiles) or any(
        path.rsplit("/", 1)[-1] == wanted for path in paths
    ):
        return ""
    return f"{artifact.reference.name} holds {listed(paths) or 'no file'}, not {wanted}"


def _file_rule(role: Role) -> Check:
    def check(evidence: Evidence) -> Iterator[str]:
        artifact = evidence.artifacts.get(role)
        found = _file_name(artifact, str(ARTIFACTS[role].contents[0])) if artifact else ""
        if found:
            yield found

    return check


for _split in SPLITS:
    ARTIFACT.add(
        f"predictions-{_split}",
        "error",
        f"The {_split} predictions are a CSV with the guide's columns, one row a text, with "
        "known {nouns} and probabilities from 0 to 1.",
        "Write text, true_labels, pred_labels and one pred_probs_{{noun}} for each {noun}",
        _predictions_rule(_split),
    )
for _role in (*PREDICTION_ROLES.values(), "per-class-metrics"):
    ARTIFACT.add(
        f"{_role}-file",
        "note",
        f"The file of the {_role} is called {ARTIFACTS[_role].contents[0]}.",
        "None is needed: goemo-report finds the CSV by its ending",
        _file_rule(_role),
    )


@ARTIFACT.rule(
    "predictions-labels",
    "error",
    "Validation and test predictions have the same {nouns}.",
    "Export both splits with the same model",
)
def predictions_labels(evidence: Evidence) -> Iterator[str]:
    """Only where both can be read."""
    splits = evidence.result.splits
    if len({frozenset(found.labels) for found in splits.values()}) > 1:
        nouns = evidence.label_set.nouns
        sizes = {split: len(found.labels) for split, found in splits.items()}
        yield ", ".join(f"{split} has {size} {nouns}" for split, size in sizes.items()) + (
            ", not the same ones" if len(set(sizes.values())) == 1 else ""
        )


@ARTIFACT.rule(
    "dialect-probability-columns",
    "note",
    "Probabilities are in columns pred_probs_{{noun}}.",
    "Write the plural; goemo-report reads pred_prob_ as well",
)
def dialect_probability_columns(evidence: Evidence) -> Iterator[str]:
    """By the header of each prediction file."""
    others = tuple(prefix for prefix in PROBABILITY_PREFIXES if prefix != PROBABILITY_PREFIX)
    for split, header in evidence.headers.items():
        odd = [name for name in header if name.startswith(others)]
        if odd:
            yield f"{split} has {listed(odd, 1)}"


@ARTIFACT.rule(
    "predictions-threshold",
    "warning",
    "The predicted labels follow from the probabilities by some threshold.",
    "Write pred_labels and pred_probs_ from the same outputs",
)
def predictions_threshold(evidence: Evidence) -> Iterator[str]:
    """Global, per class, or with the most probable label as fallback: any rule will do."""
    for split, found in evidence.result.splits.items():
        if found.threshold.rule == "inconsistent":
            yield f"{split}: threshold {found.threshold.description}"


@ARTIFACT.rule(
    "per-class-columns",
    "error",
    "The per-class CSV has " + ", ".join(key.name for key in PER_CLASS_COLUMNS) + ".",
    "Write all columns, one row for each {noun}",
)
def per_class_columns(evidence: Evidence) -> Iterator[str]:
    """Also where the file cannot be read at all."""
    table = evidence.per_class
    if isinstance(table, str):
        yield table
    elif isinstance(table, Table):
        missing = [key.name for key in PER_CLASS_COLUMNS if key.name not in table.header]
        if missing:
            yield f"{table.source} lacks {listed(missing)}"
    elif {"per-class-metrics"} & evidence.artifacts.keys() - evidence.damaged.keys():
        artifact = evidence.artifacts["per-class-metrics"]
        yield holds_no("CSV file", artifact.reference, artifact.files)


@ARTIFACT.rule(
    "per-class-rows",
    "error",
    "The per-class CSV has one row for every {noun} of the run.",
    "Write one row for each {noun}, classes without positives too",
)
def per_class_rows(evidence: Evidence) -> Iterator[str]:
    """By the `emotion` column."""
    table = evidence.per_class
    if not isinstance(table, Table) or "emotion" not in table.header:
        return
    column = table.header.index("emotion")
    names = [row[column].strip() for row in table.rows]
    missing = [label for label in evidence.labels if label not in names]
    odd = [shown(name) for name in dict.fromkeys(names) if name not in evidence.labels]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    for what, found in (("lacks", missing), ("has also", odd), ("repeats", twice)):
        if found:
            yield f"{table.source} {what} {listed(found)}"

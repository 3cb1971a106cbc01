"""Rules about the four artifacts: names, types, contents, columns and metadata."""

from __future__ import annotations

from collections.abc import Iterator

from goemo_report.audit.evidence import Evidence
from goemo_report.audit.registry import RuleSet, listed, shown
from goemo_report.contract import (
    ARTIFACTS,
    PER_CLASS_COLUMNS,
    PROBABILITY_PREFIX,
    PROBABILITY_PREFIXES,
    SPLITS,
    Role,
    Split,
)
from goemo_report.formats.table import Table
from goemo_report.results import PREDICTION_ROLES
from goemo_report.sources.model import LostFiles
from goemo_report.sources.newest import holds_no

ARTIFACT = RuleSet("artifacts")
PREDICTIONS = RuleSet("artifacts", of_files=True)
PER_CLASS = RuleSet("artifacts")

# --- Names and types ------------------------------------------------------------------


def _is_there(evidence: Evidence, role: Role) -> Iterator[str]:
    if role not in evidence.artifacts:
        names = [reference.name for reference in evidence.result.artifacts]
        yield f"there is no {role} artifact (logged: {listed(names) or 'none'})"


def _is_named(evidence: Evidence, role: Role) -> Iterator[str]:
    artifact = evidence.artifacts.get(role)
    if artifact is None or artifact.reference.kind != "artifact":
        return
    name = artifact.reference.name.rsplit("/", 1)[-1].split(":", 1)[0]
    models = evidence.model_names or (name.split(f"-{role}-", 1)[0],)
    wanted = [ARTIFACTS[role].name(model, evidence.run.id) for model in models]
    if name not in wanted:
        yield f"it is called {shown(name)}, not {shown(wanted[-1])}"


def _is_typed(evidence: Evidence, role: Role) -> Iterator[str]:
    artifact = evidence.artifacts.get(role)
    if artifact is not None and artifact.reference.kind == "artifact":
        found, wanted = artifact.reference.type, ARTIFACTS[role].type
        if found != wanted:
            yield f"{artifact.reference.name} has the type {shown(found)}, not {wanted!r}"


for _role, _artifact in ARTIFACTS.items():
    _named, _type = _artifact.name("{model_name}", "{run_id}"), _artifact.type
    for _end, _requires, _remedy, _check in (
        ("", f"The run logged its {_role} as an artifact.", f"Log it as {_named}, type {_type}",
         _is_there),
        ("-name", f"It is called {_named}.",
         "Make the name from config['model_name'] and wandb.run.id", _is_named),
        ("-type", f"Its type is {_type}.", f"wandb.Artifact(name, type={_type!r})", _is_typed),
    ):  # fmt: skip
        ARTIFACT.add(f"artifact-{_role}{_end}", "error", _requires, _remedy, _check, _role)


@ARTIFACT.rule("note", "Log them with wandb.log_artifact; goemo-report reads run files as well")
def _dialect_run_files(evidence: Evidence) -> Iterator[str]:
    """Predictions are artifacts, not files of the run."""
    found = [
        artifact.reference.name
        for artifact in evidence.artifacts.values()
        if artifact.reference.kind == "run-files"
    ]
    if found:
        yield f"{listed(found)} {'is a file' if len(found) == 1 else 'are files'} of the run"


@ARTIFACT.rule(
    "error", "Copy artifacts/staging with the run logs, or upload the run and audit it online"
)
def _artifact_files(evidence: Evidence) -> Iterator[str]:
    """The files of offline artifacts are on this machine as they were logged."""
    for reasons in evidence.damaged.values():
        yield from reasons


@ARTIFACT.rule(
    "warning", "Log the files themselves with add_file or add_dir: who has the run then has them"
)
def _artifact_references(evidence: Evidence) -> Iterator[str]:
    """The files of the artifacts are with W&B, not by reference to another place."""
    # A file of another artifact is with W&B as well.
    for artifact in evidence.artifacts.values():
        elsewhere = [f for f in artifact.files if f.reference and "artifact" not in f.scheme]
        if elsewhere:
            places = listed([f"{file.path} at {file.reference}" for file in elsewhere], limit=2)
            yield f"{artifact.reference.name} is by reference: {places}"


@ARTIFACT.rule("warning", "Take the logged files with `goemo-report download`, and hand in those")
def _artifact_copies(evidence: Evidence) -> Iterator[str]:
    """The files in the trainer's results directory are those that were logged."""
    # The logged files alone are read; these are the ones that people open.
    for name in evidence.edited:
        yield f"{name} in {evidence.run.name}-{evidence.run.id} is not the file that was logged"


def _file_is_named(evidence: Evidence, role: Role) -> Iterator[str]:
    artifact, wanted = evidence.artifacts.get(role), str(ARTIFACTS[role].contents[0])
    if artifact is None or isinstance(artifact.files, LostFiles):
        return
    paths = sorted(artifact.paths)
    if wanted not in {path.rsplit("/", 1)[-1] for path in paths}:
        yield f"{artifact.reference.name} holds {listed(paths) or 'no file'}, not {wanted}"


for _role in (*PREDICTION_ROLES.values(), "per-class-metrics"):
    ARTIFACT.add(
        f"{_role}-file",
        "note",
        f"The file of the {_role} is called {ARTIFACTS[_role].contents[0]}.",
        "None is needed: goemo-report finds the CSV by its ending",
        _file_is_named,
        _role,
    )

# --- Predictions ----------------------------------------------------------------------


def _are_predictions(evidence: Evidence, split: Split) -> Iterator[str]:
    role = PREDICTION_ROLES[split]
    unread = role in evidence.artifacts and role not in evidence.damaged
    if unread and split in evidence.result.problems:
        yield evidence.result.problems[split]


for _split in SPLITS:
    PREDICTIONS.add(
        f"predictions-{_split}",
        "error",
        f"The {_split} predictions are a CSV with the guide's columns, one row a text, with "
        "known {nouns} and probabilities from 0 to 1.",
        "Write text, true_labels, pred_labels and one pred_probs_{{noun}} for each {noun}",
        _are_predictions,
        _split,
    )


@PREDICTIONS.rule("error", "Export both splits with the same model")
def _predictions_labels(evidence: Evidence) -> Iterator[str]:
    """Validation and test predictions have the same {nouns}."""
    splits = evidence.result.splits
    if len({frozenset(found.labels) for found in splits.values()}) > 1:
        nouns = evidence.label_set.nouns
        sizes = {split: len(found.labels) for split, found in splits.items()}
        yield ", ".join(f"{split} has {size} {nouns}" for split, size in sizes.items()) + (
            ", not the same ones" if len(set(sizes.values())) == 1 else ""
        )


@PREDICTIONS.rule("note", "Write the plural; goemo-report reads pred_prob_ as well")
def _dialect_probability_columns(evidence: Evidence) -> Iterator[str]:
    """Probabilities are in columns pred_probs_{{noun}}."""
    others = tuple(prefix for prefix in PROBABILITY_PREFIXES if prefix != PROBABILITY_PREFIX)
    for split, header in evidence.headers.items():
        odd = [name for name in header if name.startswith(others)]
        if odd:
            yield f"{split} has {listed(odd, limit=1)}"


@PREDICTIONS.rule("warning", "Write pred_labels and pred_probs_ from the same outputs")
def _predictions_threshold(evidence: Evidence) -> Iterator[str]:
    """The predicted labels follow from the probabilities by some threshold."""
    # Global, per class, or with the most probable label as fallback: any rule will do.
    for split, found in evidence.result.splits.items():
        if found.threshold.rule == "inconsistent":
            yield f"{split}: threshold {found.threshold.description}"


# --- Per-class metrics ----------------------------------------------------------------


@PER_CLASS.rule(
    "error",
    "Write all columns, one row for each {noun}",
    requires="The per-class CSV has " + ", ".join(key.name for key in PER_CLASS_COLUMNS) + ".",
)
def _per_class_columns(evidence: Evidence) -> Iterator[str]:
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


@PER_CLASS.rule("error", "Write one row for each {noun}, classes without positives too")
def _per_class_rows(evidence: Evidence) -> Iterator[str]:
    """The per-class CSV has one row for every {noun} of the run."""
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

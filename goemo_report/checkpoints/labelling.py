"""Emotions of new texts from a run's checkpoint, at the run's tuned thresholds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from goemo_report.checkpoints import checkpoint, checkpoint_files
from goemo_report.checkpoints.checkpoint import sigmoid
from goemo_report.checkpoints.checkpoint_files import THRESHOLDS_FILE
from goemo_report.contract import DEFAULT_THRESHOLD, SPLITS, Tuning
from goemo_report.errors import DataError, NotFoundError, argument, require_extra
from goemo_report.formats.json_text import SCHEMA_VERSION
from goemo_report.formats.notebook import NotebookRepr
from goemo_report.labels import set_of
from goemo_report.metrics.arrays import FloatArray
from goemo_report.predictions import Predictions
from goemo_report.reading.names import AS_FOUND, Reading
from goemo_report.results.loading import load_results
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import RunRecord
from goemo_report.thresholds.protocols import ThresholdChoice as Choice
from goemo_report.thresholds.protocols import fixed, tuned


@dataclass(frozen=True, eq=False, slots=True)
class Thresholds:
    """One threshold (k,) for each of `labels`, and in words where they come from.

    `run` is the id of the run that they were tuned on, where a file says so.
    """

    labels: tuple[str, ...]
    values: FloatArray
    description: str
    run: str = ""


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Labelling(NotebookRepr):
    """Texts with their probabilities (n, k), and what makes labels of them."""

    run: RunRecord
    artifact: str
    texts: tuple[str, ...]
    probabilities: FloatArray
    thresholds: Thresholds
    notes: tuple[str, ...]

    def emotions(self, row: int) -> list[tuple[str, float, float]]:
        """(emotion, probability, threshold) of those predicted, the most probable first."""
        values = zip(
            self.thresholds.labels,
            self.probabilities[row].tolist(),
            self.thresholds.values.tolist(),
            strict=True,
        )
        return sorted((v for v in values if v[1] >= v[2]), key=lambda v: -v[1])

    def lines(self) -> Iterator[str]:
        """Each text with its emotions, or with the one that is nearest."""
        labels, thresholds = self.thresholds.labels, self.thresholds.values
        for row, text in enumerate(self.texts):
            yield text
            emotions = self.emotions(row)
            for name, probability, threshold in emotions:
                yield f"  {name:<15} {probability:.3f}  (threshold {_cut(threshold)})"
            if not emotions:
                best = int(self.probabilities[row].argmax())
                found = f"{labels[best]}: {self.probabilities[row, best]:.3f}"
                yield f"  none            nearest {found} (threshold {_cut(thresholds[best])})"

    def document(self) -> dict[str, Any]:
        """What `predict --format json` prints."""
        labels = self.thresholds.labels
        return {
            **self.about(),
            "checkpoint": self.artifact,
            "rule": "p >= threshold",
            "thresholds": {
                "description": self.thresholds.description,
                "values": dict(zip(labels, self.thresholds.values.tolist(), strict=True)),
            },
            "notes": list(self.notes),
            "predictions": [
                {
                    "text": text,
                    "emotions": [
                        {"emotion": name, "probability": p, "threshold": t}
                        for name, p, t in self.emotions(row)
                    ],
                    "probabilities": dict(
                        zip(labels, self.probabilities[row].tolist(), strict=True)
                    ),
                }
                for row, text in enumerate(self.texts)
            ],
        }


def _cut(threshold: float) -> str:
    """A threshold with three decimals, one that would show as 0.000 with two digits."""
    return f"{threshold:.3f}" if threshold >= 0.0005 or threshold == 0 else f"{threshold:.2g}"


def choose(predictions: Predictions, protocol: Tuning) -> Choice:
    """The thresholds from validation predictions."""
    if protocol == "fixed":
        return fixed(predictions.labels)
    return tuned(predictions)[protocol != "global"]


def validation_of(
    source: RunSource, run: RunRecord, progress: Progress = silent, reading: Reading = AS_FOUND
) -> Predictions:
    """The validation predictions that thresholds of a run are tuned on. Raises GoemoError.

    Files that users put together are read with their test predictions, to which they must fit.
    """
    own = source.artifacts([run]).get(run.id, ())
    roles = {one.role for one in own if one.kind == "file"}
    splits = SPLITS if {"test-predictions", "val-predictions"} <= roles else ("val",)
    try:
        result = load_results(source, [run], splits, progress, reading)[0]
    except NotFoundError as error:
        raise NotFoundError(
            f"run {run.name} has no validation predictions to tune thresholds on",
            "Only thresholds tuned on other texts than the test split can be applied",
        ) from error
    if "val" not in result.splits:
        raise DataError(result.problems["val"], "Give the validation predictions of this model")
    validation = result.splits["val"].predictions
    if not validation.has_probabilities:
        what = f"{validation.source} has no probabilities, only labels"
        raise DataError(what, "Thresholds are tuned on probabilities of the validation split")
    return validation


def label_texts(
    source: RunSource,
    run: RunRecord,
    texts: Sequence[str],
    *,
    protocol: Tuning = "per-class",
    thresholds: Path | None = None,
    batch_size: int = checkpoint.BATCH_SIZE,
    device: str = "auto",
    max_length: int | None = None,
    progress: Progress = silent,
) -> Labelling:
    """Predict texts with the checkpoint of a run.

    Thresholds come from the file `thresholds`, else from validation predictions, else from the
    checkpoint's thresholds.json, else they are 0.5. Raises GoemoError.
    """
    loaded, chosen = load_with_thresholds(source, run, protocol, thresholds, device, progress)
    length = max_length or checkpoint.max_length_of(run, loaded)
    logits = loaded.predict_finite(
        texts, max_length=length, batch_size=batch_size, progress=progress
    )
    notes = tuple(checkpoint.notes_on(run, loaded))
    if chosen.run not in {"", run.id}:
        notes = (*notes, f"these thresholds were tuned on run {chosen.run}, not on {run.id}")
    return Labelling(run, loaded.name, tuple(texts), sigmoid(logits), chosen, notes)


def load_with_thresholds(
    source: RunSource,
    run: RunRecord,
    protocol: Tuning = "per-class",
    thresholds: Path | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> tuple[checkpoint.Checkpoint, Thresholds]:
    """The checkpoint of a run and its thresholds, in the order of its labels: see `label_texts`."""
    require_extra("loading a checkpoint")
    given = None if thresholds is None else read_thresholds(thresholds, run)
    with checkpoint_files.fetched(source, run, progress) as files:
        loaded = checkpoint.load(files, given.labels if given else None, device)
        kept = files.json(THRESHOLDS_FILE)
    chosen = given or _own_thresholds(source, run, loaded.labels, protocol, kept, files.label)
    loaded.require_labels("the set of thresholds", chosen.labels)
    order = [chosen.labels.index(label) for label in loaded.labels]
    return loaded, replace(chosen, labels=loaded.labels, values=chosen.values[order])


def _own_thresholds(
    source: RunSource,
    run: RunRecord,
    labels: tuple[str, ...],
    protocol: Tuning,
    kept: Any,
    label: str,
) -> Thresholds:
    try:
        fits = protocol == "fixed"
        choice = fixed(labels) if fits else choose(validation_of(source, run), protocol)
        return Thresholds(choice.labels, np.asarray(choice.thresholds), choice.description)
    except NotFoundError:
        if protocol != "per-class":
            raise
    if kept is not None:
        return parse_thresholds(kept, run, f"{label}/{THRESHOLDS_FILE}")
    values = np.full(len(labels), DEFAULT_THRESHOLD)
    return Thresholds(labels, values, "fixed 0.5: the run has nothing to tune thresholds on")


def read_thresholds(path: Path, run: RunRecord) -> Thresholds:
    """A file that `goemo-report thresholds` wrote, or a checkpoint's. Raises DataError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "it is no JSON"
        raise DataError(
            f"{path} cannot be read: {reason}", f"Check {argument('thresholds')}"
        ) from error
    return parse_thresholds(document, run, str(path))


def parse_thresholds(document: Any, run: RunRecord, name: str) -> Thresholds:
    """Thresholds by label, in canonical order. Raises DataError."""
    found: Any = None
    said = f"from {name}"
    tuned_on = ""
    if isinstance(document, Mapping):
        version = document.get("schema_version", SCHEMA_VERSION)
        if version not in range(1, SCHEMA_VERSION + 1):
            raise DataError(
                f"{name} has the schema_version {version!r}, only 1 to {SCHEMA_VERSION} are known",
                "Write it anew with `goemo-report thresholds RUN`",
            )
        found = document.get("thresholds")
        entries = document.get("entries")
        if isinstance(entries, list) and (entry := _entry(entries, run)) is not None:
            found, tuned_on = _by_label(entry), str(entry.get("run") or "")
            said = f"{entry.get('description')}, from {name}"
    if isinstance(found, Mapping):
        labels = set_of(found).labels
        if len(labels) > 1 and all(_is_threshold(v) for v in found.values()):
            values = np.array([found[label] for label in labels], np.float64)
            return Thresholds(labels, values, said, tuned_on)
    raise DataError(
        f"{name} holds no thresholds for run {run.id}",
        "It should be what `goemo-report thresholds RUN` writes: one number from 0 to 1 for "
        "each label",
    )


def _entry(entries: list[Any], run: RunRecord) -> Mapping[str, Any] | None:
    """The entry of this run, the best protocol first; the only entry fits any run."""
    known = [entry for entry in entries if isinstance(entry, Mapping)]
    mine = [entry for entry in known if entry.get("run") == run.id]
    for protocol in get_args(Tuning):
        for entry in mine:
            if entry.get("protocol") == protocol:
                return entry
    return known[0] if len(known) == 1 else None


def _by_label(entry: Mapping[str, Any]) -> dict[str, Any]:
    labels, values = entry.get("labels"), entry.get("thresholds")
    if not isinstance(labels, list) or not isinstance(values, list):
        return {}
    return {str(label): value for label, value in zip(labels, values, strict=False)}


def _is_threshold(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1

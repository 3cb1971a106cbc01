"""Scores of prediction files that were read before, by the digest of the file.

An entry holds the checked predictions and their scores, so that a second report reads no CSV
and computes no AUC. Texts and true labels are kept once for all files that share them, in the
store and in memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from goemo_report.caches.values import values
from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.errors import ChangedFileError
from goemo_report.labels import LabelSet
from goemo_report.metrics.counts import ClassCounts
from goemo_report.metrics.scores import Scores, score_predicted
from goemo_report.metrics.table import FINGERPRINT
from goemo_report.predictions import Predictions, read_predictions
from goemo_report.reading.names import AS_FOUND, Reading
from goemo_report.sources.store import Cache, file_digest, is_digest

FORMAT: Final = 6
"""Of the entries, and of what reading a prediction file means."""

_TEXTS_AT_ONCE: Final = 1 << 14
_SHARED: Final[WeakValueDictionary[str, Predictions]] = WeakValueDictionary()


@dataclass(frozen=True, eq=False, slots=True)
class ScoredPredictions:
    """Predictions, their scores at a threshold, and their scores as `pred_labels` have them."""

    predictions: Predictions
    scores: Scores
    as_logged: Scores


_OF_SPLIT: Final = ("texts", "truth", "told_by", "ids", "clusters")
"""Fields of predictions that runs on the same split share."""
_OF_FILE: Final = ("probabilities", "predicted", "has_probabilities", "notes")


class _Entry(NamedTuple):
    """What one file adds; `data` names the texts and true labels."""

    data: str
    labels: tuple[str, ...]
    own: Mapping[str, Any]
    scores: Scores
    as_logged: Scores | None


_DATA: Final = values()
_ENTRY: Final = values(_Entry, Scores, ClassCounts)


def score_both(predictions: Predictions) -> ScoredPredictions:
    """Score predictions at 0.5 and, where that gives other labels, as logged."""
    scores = as_logged = predictions.score_at(DEFAULT_THRESHOLD)
    if not np.array_equal(predictions.predicted, predictions.probabilities >= DEFAULT_THRESHOLD):
        found = predictions.truth, predictions.y_prob, predictions.predicted
        as_logged = score_predicted(*found, predictions.labels)
    return ScoredPredictions(predictions, scores, as_logged)


def read_unchanged(path: Path, digest: str, name: str, reading: Reading = AS_FOUND) -> Predictions:
    """`read_predictions` of a file that still has the digest that was found before.

    Else its numbers would be kept, and cited, as those of the earlier file. Raises DataError,
    ChangedFileError where the file is another one by now.
    """
    try:
        return read_predictions(path, name=name, reading=reading)
    finally:
        with suppress(OSError):
            if is_digest(digest) and not file_digest(path, digest):
                what = f"{name} changed while it was read"
                raise ChangedFileError(what, "Try again once it is written")


def cached_scores(
    digest: str, read: Callable[[], Predictions], *, name: str, reading: Sequence[object] = ()
) -> ScoredPredictions:
    """Predictions and scores of the file with a digest; `read` is called where they are new.

    `name` stands for the file in messages, and `reading` is what it was read by. What is no digest
    is never cached. Raises what `read` raises.
    """
    known = known_scores(digest, name=name, reading=reading)
    if known is not None:
        return known
    predictions = read()
    data = _name_of_data(predictions)
    shared = _SHARED.get(data)
    if shared is not None:
        predictions = replace(predictions, texts=shared.texts, truth=shared.truth, ids=shared.ids)
    _SHARED[data] = predictions
    scored = score_both(predictions)
    if is_digest(digest):
        cache, other = Cache(), scored.as_logged is not scored.scores
        if shared is None or not cache.holds("texts", [data]):  # else it was whole a moment ago
            cache.put("texts", [data], _fields(predictions, _OF_SPLIT), _DATA)
        own, as_logged = _fields(predictions, _OF_FILE), scored.as_logged if other else None
        entry = _Entry(data, predictions.labels, own, scored.scores, as_logged)
        cache.put("scores", _identity(digest, reading), entry, _ENTRY)
    return scored


def is_kept(digest: str) -> bool:
    """Whether there is an entry for this digest, whole or not."""
    return is_digest(digest) and Cache().holds("scores", _identity(digest))


def known_scores(
    digest: str, *, name: str, reading: Sequence[object] = ()
) -> ScoredPredictions | None:
    """What `cached_scores` gave before for this digest, None where it did not."""
    cache = Cache()
    if not is_digest(digest):
        return None
    entry: _Entry | None = cache.get("scores", _identity(digest, reading), _ENTRY)
    if entry is None:
        return None
    shared = _SHARED.get(entry.data)
    held = _fields(shared, _OF_SPLIT) if shared else cache.get("texts", [entry.data], _DATA)
    if held is None:
        return None
    labels = LabelSet.of(entry.labels)
    predictions = Predictions(**held, **entry.own, label_set=labels, source=name)
    _SHARED[entry.data] = predictions
    return ScoredPredictions(predictions, entry.scores, entry.as_logged or entry.scores)


def _fields(predictions: Predictions, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(predictions, name) for name in names}


def _identity(digest: str, reading: Sequence[object] = ()) -> list[object]:
    return [digest, FINGERPRINT, FORMAT, *reading]


def _name_of_data(predictions: Predictions) -> str:
    """A digest of labels, texts, ids, clusters and true labels."""
    hasher = hashlib.sha256(np.packbits(predictions.truth).tobytes())
    kinds = [predictions.labels, predictions.told_by, len(predictions.clusters)]
    hasher.update(json.dumps(kinds).encode())
    for names in (predictions.texts, predictions.ids, predictions.clusters):
        for start in range(0, len(names), _TEXTS_AT_ONCE):
            hasher.update(json.dumps(names[start : start + _TEXTS_AT_ONCE]).encode())
    return hasher.hexdigest()

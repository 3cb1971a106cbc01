"""Scores of prediction files that were read before, by the digest of the file.

An entry holds the checked predictions and their scores, so that a second report reads no CSV
and computes no AUC. Texts and true labels are kept once for all files that share them, in the
store and in memory.

Parsing a CSV holds the interpreter's lock, so that threads would not help: on cores that the
caller leaves free, helper processes fill the cache from the end of the list while the caller works
from its beginning, until they meet. They decide nothing: what they could not read or keep, the
caller reads and reports itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

import numpy as np

from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.errors import ChangedFileError, GoemoError
from goemo_report.labels import LabelSet
from goemo_report.metrics.counts import ClassCounts
from goemo_report.metrics.scores import Scores, score_predicted
from goemo_report.metrics.table import FINGERPRINT
from goemo_report.predictions import Predictions, read_predictions
from goemo_report.reading.names import AS_FOUND, Reading
from goemo_report.sources.store import Cache, file_digest, is_digest
from goemo_report.sources.stored_values import values

FORMAT: Final = 8
"""Version of the entries, and of how prediction files are read."""

_TEXTS_AT_ONCE: Final = 1 << 14
_SHARED: Final[WeakValueDictionary[str, Predictions]] = WeakValueDictionary()


class ScoredPredictions(NamedTuple):
    """Predictions, their scores at a threshold, and their scores as `pred_labels` have them."""

    predictions: Predictions
    scores: Scores
    as_logged: Scores


_OF_SPLIT: Final = ("texts", "truth", "row_key", "ids", "clusters")
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


def read_unchanged(path: Path, digest: str, name: str, reading: Reading) -> Predictions:
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
    """A digest of labels, texts, ids, clusters and true labels, and of how these are kept."""
    hasher = hashlib.sha256(np.packbits(predictions.truth).tobytes())
    kinds = [FORMAT, predictions.labels, predictions.row_key, len(predictions.clusters)]
    hasher.update(json.dumps(kinds).encode())
    for names in (predictions.texts, predictions.ids, predictions.clusters):
        for start in range(0, len(names), _TEXTS_AT_ONCE):
            hasher.update(json.dumps(names[start : start + _TEXTS_AT_ONCE]).encode())
    return hasher.hexdigest()


# --- Processes that read ahead ---------------------------------------------------------

BYTES_PER_HELPER: Final = 24 << 20
"""A helper takes as long to start as 12 MB take to read."""
MOST_HELPERS: Final = 3
_PAUSE: Final = 0.02

# Our own import path, not the working directory: nothing that lies there is run.
_START: Final = """
import json, sys
job = json.load(sys.stdin)
sys.path[:] = job["path"]
from goemo_report.results.score_cache import fill
fill(job["files"])
"""


class Unread(NamedTuple):
    """A file that is on disk or will be, whole: its digest, its bytes, and its name in messages."""

    path: Path
    digest: str
    name: str
    size: int


@contextmanager
def reading_ahead(
    files: Iterable[Unread], *, cores: int | None = None, per_helper: int = BYTES_PER_HELPER
) -> Iterator[None]:
    """Let helpers read those of the files, last ones first, that were never scored.

    They wait for files that are still to come. None starts where there are few bytes to read
    or only one core.
    """
    unread = [file for file in files if is_digest(file.digest) and not is_kept(file.digest)]
    size = sum(file.size for file in unread)
    free = (cores or _cores()) - 1
    number = max(min(free, MOST_HELPERS, size // per_helper, len(unread) - 1), 0)
    backwards = unread[::-1]
    helpers = []
    try:
        for first in range(number):
            with suppress(OSError):
                helpers.append(_start(backwards[first::number]))
        yield
    finally:
        for helper in helpers:
            helper.terminate()
        for helper in helpers:
            helper.wait()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(files: Sequence[Unread]) -> subprocess.Popen[bytes]:
    job = {"path": sys.path, "files": [[str(f.path), f.digest, f.name] for f in files]}
    helper = subprocess.Popen(  # this interpreter, and a program that is constant
        [sys.executable, "-P", "-c", _START],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert helper.stdin is not None  # noqa: S101 # it was asked for
    with suppress(OSError), helper.stdin as pipe:  # it may be gone already
        pipe.write(json.dumps(job).encode())
    return helper


def fill(files: Sequence[tuple[str, str, str]]) -> None:
    """Read and keep (path, digest, name) files, each when it is there; what a helper does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that no part file stays behind
    waiting = list(files)
    while waiting:
        found = next((file for file in waiting if Path(file[0]).is_file()), None)
        if found is None:
            time.sleep(_PAUSE)
            continue
        waiting.remove(found)
        path, digest, name = found
        if not is_kept(digest):
            with suppress(GoemoError):
                read = partial(read_unchanged, Path(path), digest, name, AS_FOUND)
                cached_scores(digest, read, name=name)

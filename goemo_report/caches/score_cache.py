"""Scores of prediction files that were read before, by the digest of the file.

An entry holds the checked predictions and their scores, so that a second report reads no CSV
and computes no AUC. It counts only for the same digest, threshold, METRICS_VERSION and FORMAT;
anything else, a damaged entry included, is computed again. Deleting the folder is safe.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.formats.files import write_whole
from goemo_report.metrics.scores import METRICS_VERSION, ClassCounts, Scores, score, score_predicted
from goemo_report.predictions import Predictions
from goemo_report.sources.store import cache_directory, is_digest

FORMAT: Final = 1
"""Of the entries, and of what reading a prediction file means."""

_COUNTS: Final = ("tp", "fp", "fn", "tn")
_CURVES: Final = ("auc", "average_precision")


@dataclass(frozen=True, eq=False, slots=True)
class ScoredPredictions:
    """Predictions, their scores at a threshold, and their scores as `pred_labels` have them."""

    predictions: Predictions
    scores: Scores
    as_logged: Scores


def score_both(predictions: Predictions, threshold: float = DEFAULT_THRESHOLD) -> ScoredPredictions:
    """Score predictions at a threshold and, where that gives other labels, as logged."""
    truth, probabilities = predictions.truth, predictions.probabilities
    scores = as_logged = score(truth, probabilities, predictions.labels, threshold)
    if not np.array_equal(predictions.predicted, probabilities >= threshold):
        as_logged = score_predicted(truth, probabilities, predictions.predicted, predictions.labels)
    return ScoredPredictions(predictions, scores, as_logged)


def cached_scores(
    digest: str,
    read: Callable[[], Predictions],
    *,
    name: str,
    threshold: float = DEFAULT_THRESHOLD,
    root: Path | None = None,
) -> ScoredPredictions:
    """Predictions and scores of the file with a digest; `read` is called where they are new.

    `name` stands for the file in messages. What is no digest is never cached.
    Raises what `read` raises.
    """
    known = known_scores(digest, name=name, threshold=threshold, root=root)
    if known is not None:
        return known
    scored = score_both(read(), threshold)
    if is_digest(digest):
        with contextlib.suppress(OSError):  # a cache that cannot be written to is no error
            write_whole(_path(digest, threshold, root), _packed(digest, scored))
    return scored


def is_kept(digest: str, threshold: float = DEFAULT_THRESHOLD, root: Path | None = None) -> bool:
    """Whether there is an entry for this digest, whole or not."""
    return is_digest(digest) and _path(digest, threshold, root).is_file()


def known_scores(
    digest: str,
    *,
    name: str,
    threshold: float = DEFAULT_THRESHOLD,
    root: Path | None = None,
) -> ScoredPredictions | None:
    """What `cached_scores` gave before for this digest, None where it did not."""
    if not is_digest(digest):
        return None
    try:
        data = _path(digest, threshold, root).read_bytes()
        return _unpacked(data, digest, threshold, name)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, EOFError):
        return None


def _path(digest: str, threshold: float, root: Path | None) -> Path:
    identity = json.dumps([digest, threshold, METRICS_VERSION, FORMAT])
    name = hashlib.sha256(identity.encode()).hexdigest()[:40]
    return (root or cache_directory()) / "scores" / name[:2] / f"{name}.npz"


def _packed(digest: str, scored: ScoredPredictions) -> bytes:
    predictions = scored.predictions
    texts = [text.encode("utf-8", "surrogatepass") for text in predictions.texts]
    kept = [scored.scores]
    if scored.as_logged is not scored.scores:
        kept.append(scored.as_logged)
    meta = {
        "digest": digest,
        "labels": predictions.labels,
        "versions": [METRICS_VERSION, FORMAT],
        "scores": [{"threshold": s.threshold, "overall": dict(s.overall)} for s in kept],
    }
    arrays: dict[str, npt.NDArray[Any]] = {}
    for number, scores in enumerate(kept):
        arrays |= {f"{count}{number}": getattr(scores.counts, count) for count in _COUNTS}
        arrays |= {f"{curve}{number}": getattr(scores, curve) for curve in _CURVES}
    buffer = io.BytesIO()
    np.savez(
        buffer,
        allow_pickle=False,
        meta=np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8),
        texts=np.frombuffer(b"".join(texts), dtype=np.uint8),
        lengths=np.array([len(text) for text in texts], dtype=np.int64),
        truth=predictions.truth,
        probabilities=predictions.probabilities,
        predicted=predictions.predicted,
        **arrays,
    )
    return buffer.getvalue()


def _unpacked(data: bytes, digest: str, threshold: float, name: str) -> ScoredPredictions | None:
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        held: dict[str, npt.NDArray[Any]] = {key: stored[key] for key in stored.files}
    meta = json.loads(held["meta"].tobytes())
    if meta["digest"] != digest or meta["versions"] != [METRICS_VERSION, FORMAT]:
        return None
    if meta["scores"][0]["threshold"] != threshold:
        return None
    labels = tuple(meta["labels"])
    ends = np.cumsum(held["lengths"]).tolist()
    blob = held["texts"].tobytes()
    texts = tuple(
        blob[start:end].decode("utf-8", "surrogatepass")
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    )
    predictions = Predictions(
        texts=texts,
        truth=held["truth"],
        probabilities=held["probabilities"],
        predicted=held["predicted"],
        labels=labels,
        source=name,
    )
    scores = [
        Scores(
            labels=labels,
            rows=len(texts),
            threshold=about["threshold"],
            counts=ClassCounts(*(held[f"{count}{number}"] for count in _COUNTS)),
            auc=held[f"auc{number}"],
            average_precision=held[f"average_precision{number}"],
            overall=about["overall"],
        )
        for number, about in enumerate(meta["scores"])
    ]
    return ScoredPredictions(predictions, scores[0], scores[-1])

"""Teachers: what other models say of the training texts, for a student to learn."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from goemo_report.checkpoints import checkpoint, checkpoint_files
from goemo_report.checkpoints.checkpoint import Precision
from goemo_report.corpora.corpus import Corpus
from goemo_report.errors import DataError, argument
from goemo_report.predictions import read_predictions
from goemo_report.sources.store import Cache, Codec, md5_of
from goemo_train.config import TrainConfig
from goemo_train.data import MOST_KEPT
from goemo_train.tracking import Progress

_OF_COLUMNS: Final = ("labels", "true", "pred", "prob")
"""Arguments of the reporter's that say what columns mean, which the trainer does not take."""
Targets = npt.NDArray[np.float32]
TARGETS = Codec[Targets](
    lambda array: [array.astype("<f4").tobytes()],
    lambda data: np.frombuffer(data, "<f4").astype(np.float32),
)


def soft_labels(
    config: TrainConfig, corpus: Corpus, device: torch.device, progress: Progress
) -> Targets:
    """The mean of the teachers' probabilities (n, k) for the training texts.

    Hinton et al. 2015, at temperature 1. A teacher may have more labels than the data.

    Raises:
        GoemoError: a teacher cannot be loaded, lacks labels or, a file, lacks texts.

    """
    total = np.zeros((len(corpus.train.texts), len(corpus.labels)))
    for teacher in sorted(map(Path, config.teacher), key=Path.is_dir):  # files are refused soon
        progress.note(f"learning from {teacher}")
        if teacher.is_dir():
            total += _predicted(teacher, config, corpus, device)
        else:
            total += _read(teacher, corpus)
    return (total / len(config.teacher)).astype(np.float32)


def _predicted(teacher: Path, config: TrainConfig, corpus: Corpus, device: torch.device) -> Targets:
    """By a checkpoint directory, or the one in a run's; kept between runs by its content."""
    inner = teacher / "checkpoint"  # of a directory that this trainer wrote
    with checkpoint_files.from_directory(inner if inner.is_dir() else teacher) as files:
        names = sorted(path.name for path in files.directory.iterdir())
        digests = [[name, md5_of(files.directory / name)] for name in names]

        def predict() -> Targets:
            loaded = checkpoint.load(files, corpus.labels, str(device))
            columns = _columns(str(teacher), loaded.labels, corpus.labels)
            half: Precision = "bf16" if config.eval_precision == "bf16" else "fp32"
            length = config.max_seq_length
            logits = loaded.predict_finite(corpus.train.texts, max_length=length, precision=half)
            return checkpoint.sigmoid(logits)[:, columns].astype(np.float32)

        how = (config.max_seq_length, config.eval_precision, device.type, torch.__version__)
        identity = (digests, *how, corpus.labels, corpus.train.texts)
        found = Cache().cached("teachers", identity, predict, TARGETS, most=MOST_KEPT)
    return found.reshape(-1, len(corpus.labels))


def _read(teacher: Path, corpus: Corpus) -> Targets:
    """By a file of predictions for the training texts, in any order and with others besides."""
    try:
        held = read_predictions(teacher, name=str(teacher))
    except DataError as fault:
        if not any(argument(name) in fault.remedy for name in _OF_COLUMNS):
            raise
        guides = "text, true_labels, pred_labels and pred_probs_LABEL for each label"
        raise DataError(fault.what, f"A teacher's file has the columns {guides}") from fault
    if not held.has_probabilities:
        raise DataError(f"{teacher} has no probabilities", "A teacher gives one for every label")
    columns = _columns(str(teacher), held.labels, corpus.labels)
    rows = {text: row for row, text in enumerate(held.texts)}
    texts = corpus.train.texts
    if missing := sum(text not in rows for text in texts):
        raise DataError(
            f"{teacher} has no predictions for {missing:,} of {len(texts):,} training texts",
            "Predict the training split, or give --teacher the checkpoint",
        )
    return held.probabilities[np.ix_([rows[text] for text in texts], columns)].astype(np.float32)


def _columns(teacher: str, has: tuple[str, ...], wanted: tuple[str, ...]) -> list[int]:
    if missing := [label for label in wanted if label not in has]:
        raise DataError(
            f"{teacher} has {len(has)} labels and lacks {len(missing)} of the {len(wanted)} of the "
            f"data, such as {missing[0]}",
            "A teacher predicts every label that the student learns",
        )
    return [has.index(label) for label in wanted]

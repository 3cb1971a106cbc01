"""Teachers: what other models say of the training texts, for a student to learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from goemo_report.caches.values import values
from goemo_report.checkpoints import checkpoint, checkpoint_files
from goemo_report.checkpoints.checkpoint import Precision
from goemo_report.corpora.corpus import Corpus
from goemo_report.errors import DataError, argument
from goemo_report.predictions import read_predictions
from goemo_report.sources.store import Cache, md5_of
from goemo_train.config import TrainConfig
from goemo_train.data import MOST_KEPT
from goemo_train.tracking import Progress

_OF_COLUMNS: Final = ("labels", "true", "pred", "prob")
"""Arguments of the reporter's that say what columns mean, which the trainer does not take."""
Said = tuple[tuple[str, ...], npt.NDArray[np.float32]]
"""The labels that a teacher knows, and its probabilities (n, their number)."""


def soft_labels(
    config: TrainConfig, corpus: Corpus, device: torch.device, progress: Progress
) -> npt.NDArray[np.float32]:
    """The mean of the teachers' probabilities (n, k) for the training texts.

    Hinton et al. 2015, at temperature 1. A teacher may have more labels than the data.

    Raises:
        GoemoError: a teacher cannot be loaded, lacks labels or, a file, lacks texts.

    """
    texts, wanted = corpus.train.texts, corpus.labels
    total = np.zeros((len(texts), len(wanted)))
    for teacher in sorted(map(Path, config.teacher), key=Path.is_dir):  # files are refused soon
        progress.note(f"learning from {teacher}")
        if teacher.is_dir():
            labels, probabilities = _predicted(teacher, config, corpus, device)
        else:
            labels, probabilities = _read(teacher, texts)
        if missing := [label for label in wanted if label not in labels]:
            raise DataError(
                f"{teacher} has {len(labels)} labels and lacks {len(missing)} of the "
                f"{len(wanted)} of the data, such as {missing[0]}",
                "A teacher predicts every label that the student learns",
            )
        total += probabilities[:, [labels.index(label) for label in wanted]]
    return (total / len(config.teacher)).astype(np.float32)


def _predicted(teacher: Path, config: TrainConfig, corpus: Corpus, device: torch.device) -> Said:
    """By a checkpoint directory, or the one in a run's; kept between runs by its content."""
    inner, texts = teacher / "checkpoint", corpus.train.texts  # of a run's directory
    with checkpoint_files.from_directory(inner if inner.is_dir() else teacher) as files:
        names = sorted(path.name for path in files.directory.iterdir())
        digests = [[name, md5_of(files.directory / name)] for name in names]

        def predict() -> Said:
            loaded = checkpoint.load(files, corpus.labels, str(device))
            half: Precision = "bf16" if config.eval_precision == "bf16" else "fp32"
            length = config.max_seq_length
            logits = loaded.predict_finite(texts, max_length=length, precision=half)
            return loaded.labels, checkpoint.sigmoid(logits).astype(np.float32)

        how = (config.max_seq_length, config.eval_precision, device.type, torch.__version__)
        identity = (texts, corpus.labels, digests, *how)
        found: Said = Cache().cached("teachers", identity, predict, values(), most=MOST_KEPT)
    return found


def _read(teacher: Path, texts: Sequence[str]) -> Said:
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
    rows = {text: row for row, text in enumerate(held.texts)}
    if missing := sum(text not in rows for text in texts):
        raise DataError(
            f"{teacher} has no predictions for {missing:,} of {len(texts):,} training texts",
            "Predict the training split, or give --teacher the checkpoint",
        )
    return held.labels, held.probabilities[[rows[text] for text in texts]].astype(np.float32)

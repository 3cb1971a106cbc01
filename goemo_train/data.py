"""Tokens, batches, and what teachers say of the training texts.

Texts are tokenised once, kept between runs, and lie end to end in one array. Batches are
made from shuffled mega-batches that are sorted by length: nearly no padding, and still a
random order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tokenizers
import torch

from goemo_report.checkpoints import checkpoint, checkpoint_files
from goemo_report.checkpoints.checkpoint import Precision
from goemo_report.corpora.corpus import Corpus, Split, read_corpus
from goemo_report.corpora.tables import Columns
from goemo_report.errors import DataError, argument
from goemo_report.predictions import read_predictions
from goemo_report.sources.store import Cache, md5_of
from goemo_report.sources.stored_values import values
from goemo_train.config import TrainConfig

MEGA_BATCH = 50  # batches that are sorted by length together, at most; of few texts a quarter
CHUNK = 1024  # texts that are tokenised together; a tokenizer's own result is large
MOST_KEPT = 256 << 20  # bytes of all kept tokens, and of what teachers say


def load_corpus(config: TrainConfig) -> Corpus:
    """The data set that the settings name. Raises DataError where it cannot be had or used."""
    columns = Columns(config.text_column, config.label_column)
    return read_corpus(
        config.dataset, columns, taxonomy=config.taxonomy, exclude_neutral=config.exclude_neutral,
        limit=config.limit,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids of `n` texts, end to end; text `i` is `ids[starts[i]:starts[i + 1]]`."""

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    truth: npt.NDArray[np.float32]
    truncated: int
    pad: int

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """(n,) tokens of each text."""
        return np.diff(self.starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def batch(
        self, rows: npt.NDArray[np.int64], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """Ids and their mask (b, longest of the batch), and truth (b, k), on the device.

        The mask is True at tokens, and None where nothing is padded: the host knows that, and
        would have to wait for the device to read it there.
        """
        lengths = self.lengths[rows]
        mask = np.arange(lengths.max())[None, :] < lengths[:, None]
        ids = np.full(mask.shape, self.pad, np.int64)
        flat = np.concatenate([self.ids[self.starts[r] : self.starts[r + 1]] for r in rows])
        ids[mask] = flat  # row by row, as the texts lie end to end
        tensors = [torch.from_numpy(array) for array in (ids, mask, self.truth[rows])]
        if device.type == "cuda":
            tensors = [t.pin_memory().to(device, non_blocking=True) for t in tensors]
        return tensors[0], None if mask.all() else tensors[1], tensors[2]

    def head(self, n: int, seed: int) -> Tokens:
        """A random sample of at most `n` texts, always the same for a seed."""
        rows = np.sort(np.random.default_rng(seed).permutation(len(self))[:n])
        parts = [self.ids[self.starts[r] : self.starts[r + 1]] for r in rows]
        starts = np.concatenate(([0], np.cumsum(self.lengths[rows])))
        return replace(self, ids=np.concatenate(parts), starts=starts, truth=self.truth[rows])


def tokenise(split: Split, tokenizer: Any, max_length: int) -> Tokens:
    """Tokens of a split, special tokens included, cut after `max_length`; kept between runs."""
    tokenizer("", truncation=True, max_length=max_length)  # sets up the backend
    backend, texts = tokenizer.backend_tokenizer, split.texts
    state = (tokenizers.__version__, backend.to_str(), backend.encode_special_tokens)
    ids, starts, truncated = Cache().cached(
        "tokens", (texts, *state), lambda: _encode(texts, backend), values(), most=MOST_KEPT
    )
    return Tokens(ids, starts, split.truth.astype(np.float32), truncated, tokenizer.pad_token_id)


def _encode(
    texts: Sequence[str], backend: tokenizers.Tokenizer
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], int]:
    """The ids of all texts, end to end, where each text starts, and how many were cut."""
    lengths, truncated = [0], 0
    ids: list[npt.NDArray[np.int32]] = []
    for start in range(0, len(texts), CHUNK):
        encoded = backend.encode_batch_fast(texts[start : start + CHUNK])
        lengths += [len(encoding) for encoding in encoded]
        truncated += sum(bool(encoding.overflowing) for encoding in encoded)
        ids.append(np.fromiter(chain.from_iterable(e.ids for e in encoded), np.int32))
    return np.concatenate(ids), np.cumsum(lengths, dtype=np.int64), truncated


def training_batches(
    lengths: npt.NDArray[np.int64], size: int, seed: int, epoch: int
) -> list[npt.NDArray[np.int64]]:
    """Rows of each batch of an epoch: every text once, the longest batch first.

    The order follows from the seed and the epoch alone, so that a resumed run finds it again.
    """
    chance = np.random.default_rng((seed, epoch))
    order = chance.permutation(len(lengths))
    batches: list[npt.NDArray[np.int64]] = []
    together = size * max(1, min(MEGA_BATCH, len(order) // (4 * size)))
    for start in range(0, len(order), together):
        mega = order[start : start + together]
        mega = mega[np.argsort(-lengths[mega], kind="stable")]
        batches += [mega[i : i + size] for i in range(0, len(mega), size)]
    chance.shuffle(batches)
    # Whatever does not fit into memory is found in the first step.
    longest = max(range(len(batches)), key=lambda b: int(lengths[batches[b]].max()))
    batches[0], batches[longest] = batches[longest], batches[0]
    return batches


def pieces(
    rows: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], texts: int, padded_tokens: int
) -> list[npt.NDArray[np.int64]]:
    """A batch in as few parts as keep to so many texts and padded tokens; 0 is no limit.

    A part of one text may be longer.
    """
    size = min(texts or len(rows), len(rows))
    if padded_tokens:
        size = min(size, max(1, padded_tokens // int(lengths[rows].max())))
    return np.array_split(rows, -(-len(rows) // size))


def evaluation_batches(
    lengths: npt.NDArray[np.int64], most_tokens: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Rows of each batch, sorted by length; a batch of several has so many padded tokens."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, most_tokens // int(lengths[order[start]]))
        yield order[start : start + size]
        start += size


# --- Teachers ---------------------------------------------------------------------------

_OF_COLUMNS = ("labels", "true", "pred", "prob")
"""Arguments of the reporter's that say what columns mean, which the trainer does not take."""
Said = tuple[tuple[str, ...], npt.NDArray[np.float32]]
"""The labels that a teacher knows, and its probabilities (n, their number)."""


def soft_labels(
    config: TrainConfig, corpus: Corpus, device: torch.device, note: Callable[[str], None]
) -> npt.NDArray[np.float32]:
    """The mean of the teachers' probabilities (n, k) for the training texts; each is noted.

    Hinton et al. 2015, at temperature 1. A teacher may have more labels than the data.

    Raises:
        GoemoError: a teacher cannot be loaded, lacks labels or, a file, lacks texts.

    """
    texts, wanted = corpus.train.texts, corpus.labels
    total = np.zeros((len(texts), len(wanted)))
    for teacher in sorted(map(Path, config.teacher), key=Path.is_dir):  # files are refused soon
        note(f"learning from {teacher}")
        if teacher.is_dir():
            labels, probabilities = _teacher_from_checkpoint(teacher, config, corpus, device)
        else:
            labels, probabilities = _teacher_from_file(teacher, texts)
        if missing := [label for label in wanted if label not in labels]:
            raise DataError(
                f"{teacher} has {len(labels)} labels and lacks {len(missing)} of the "
                f"{len(wanted)} of the data, such as {missing[0]}",
                "A teacher predicts every label that the student learns",
            )
        total += probabilities[:, [labels.index(label) for label in wanted]]
    return (total / len(config.teacher)).astype(np.float32)


def _teacher_from_checkpoint(
    teacher: Path, config: TrainConfig, corpus: Corpus, device: torch.device
) -> Said:
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


def _teacher_from_file(teacher: Path, texts: Sequence[str]) -> Said:
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

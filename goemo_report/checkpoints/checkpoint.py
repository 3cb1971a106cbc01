"""Checkpoints of runs: loaded without running their code, and used to predict.

Needs torch and transformers. Pickled weights are read by torch's restricted unpickler
(`weights_only`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from goemo_report.checkpoints import checkpoint_files
from goemo_report.checkpoints.checkpoint_files import Files
from goemo_report.checkpoints.weights import damaged, require_all, require_plausible
from goemo_report.errors import DataError, SettingsError, argument, first_line, require_extra
from goemo_report.formats.wording import listed
from goemo_report.labels import guess, set_of
from goemo_report.metrics.arrays import FloatArray, IntArray
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import RunRecord, as_number

Precision = Literal["fp32", "bf16", "fp16"]

BATCH_SIZE: Final = 32
_OFFSET_POSITIONS: Final = ("roberta", "xlm-roberta", "camembert", "longformer", "mpnet")
_CUT_OFF: Final = ("unexpected EOF", "PytorchStreamReader failed")  # torch's own words
_LONGEST: Final = 512  # where nothing says how much a model reads


@dataclass(eq=False, slots=True)
class Checkpoint:
    """A loaded model with its tokenizer.

    `labels` are in canonical order; `columns` says which output of the model each is.
    `named` is False where the checkpoint does not name its outputs and the canonical order was
    taken.
    """

    name: str
    model: Any
    tokenizer: Any
    labels: tuple[str, ...]
    columns: list[int]
    named: bool
    limit: int
    device: str

    def require_labels(self, source: str, labels: Sequence[str]) -> None:
        """Raise DataError where a file, `source`, has other labels than the checkpoint."""
        if set(labels) != set(self.labels):
            raise DataError(
                f"{self.name} has {len(self.labels)} labels, {source} has {len(labels)}",
                "They are not of one run",
            )

    def predict(
        self,
        texts: Sequence[str],
        *,
        max_length: int | None = None,
        batch_size: int = BATCH_SIZE,
        precision: Precision = "fp32",
        dropout: bool = False,
        masked: bool = True,
        special_tokens: bool = True,
        progress: Progress = silent,
    ) -> FloatArray:
        """Logits (n, k) in the order of the texts and of `labels`.

        The last four settings but `progress` exist to try out how predictions could have been
        made wrongly: `dropout` left on, padding not `masked`, no special tokens.
        """
        import torch

        if not texts:
            return np.empty((0, len(self.labels)))
        length = min(max_length or self.limit, self.limit)
        encoded = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=length,
            add_special_tokens=special_tokens,
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
        padding = self.tokenizer.pad_token_id
        order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
        logits = np.empty((len(texts), len(self.labels)))
        self.model.train(dropout)
        kind = torch.device(self.device).type
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
        with (
            torch.inference_mode(),
            torch.autocast(kind, dtype=half or torch.bfloat16, enabled=half is not None),
        ):
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                longest = max(1, *(len(encoded[i]) for i in rows)) if masked else length
                ids = torch.full((len(rows), longest), padding)
                mask = torch.full_like(ids, 0 if masked else 1)
                for row, i in enumerate(rows):
                    ids[row, : len(encoded[i])] = torch.tensor(encoded[i], dtype=torch.long)
                    mask[row, : max(1, len(encoded[i]))] = 1
                found = self.model(
                    input_ids=ids.to(self.device), attention_mask=mask.to(self.device)
                ).logits
                logits[rows] = found.double().cpu().numpy()[:, self.columns]
                progress("predicting", min(start + batch_size, len(order)), len(order))
        return logits

    def predict_finite(self, texts: Sequence[str], **settings: Any) -> FloatArray:
        """`predict`. Raises DataError where it outputs NaN or inf."""
        logits = self.predict(texts, **settings)
        if not np.isfinite(logits).all():
            raise DataError(f"{self.name} outputs NaN or inf", "Its training diverged")
        return logits

    def lengths(self, texts: Sequence[str]) -> IntArray:
        """Tokens of each text when it is not cut, special tokens included, (n,)."""
        encoded = self.tokenizer(list(texts), return_attention_mask=False)["input_ids"]
        return np.array([len(ids) for ids in encoded], np.int64)

    def unknown(self, texts: Sequence[str]) -> float:
        """The share of tokens that the vocabulary does not have."""
        encoded = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        ids = [one for text in encoded for one in text]
        return ids.count(self.tokenizer.unk_token_id) / max(1, len(ids))


def sigmoid(logits: FloatArray) -> FloatArray:
    """Probabilities from logits, without overflow."""
    result: FloatArray = 0.5 * (1.0 + np.tanh(0.5 * logits))
    return result


def load(files: Files, labels: tuple[str, ...] | None = None, device: str = "auto") -> Checkpoint:
    """Load a fetched checkpoint; none of its code is run and no network is used.

    `labels` are those that the run predicts, for a checkpoint that does not name its outputs.
    Raises GoemoError: nothing installed to load it with, a file that cannot be used or is
    refused, labels that are not the run's, a device that is not there.
    """
    require_extra("loading a checkpoint")
    import torch
    import transformers

    logging: Any = transformers.utils.logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    place = _device(torch, device)
    options = {"local_files_only": True, "trust_remote_code": False}
    require_plausible(files)
    try:
        with warnings.catch_warnings(action="ignore"):  # what matters is raised
            model, loading = transformers.AutoModelForSequenceClassification.from_pretrained(
                files.directory,
                dtype=torch.float32,
                weights_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                **options,
            )
    except Exception as error:
        raise _not_loaded(files, "model", error) from error
    require_all(files.label, loading)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(files.directory, **options)
    except Exception as error:
        raise _not_loaded(files, "tokenizer", error) from error
    if tokenizer.pad_token_id is None:
        raise DataError(f"the tokenizer of {files.label} has no padding token", "")
    _require_vocabulary(files, model, tokenizer)
    ordered, columns, named = _labels(files, model.config, labels)
    return Checkpoint(
        name=files.label,
        model=model.to(place),
        tokenizer=tokenizer,
        labels=ordered,
        columns=columns,
        named=named,
        limit=_limit(model.config, tokenizer),
        device=place,
    )


@contextmanager
def harmless_files(
    source: RunSource, run: RunRecord, labels: tuple[str, ...], progress: Progress = silent
) -> Iterator[tuple[dict[str, Path], tuple[str, ...]]]:
    """The files of a run's checkpoint to hand on, by name, and notes on what was changed.

    Digests are checked and the model is loaded, as `verify` does. Weights in a pickle become
    safetensors, and what would make a loader run code is left out of the JSON files.
    """
    require_extra("checking a checkpoint")
    with checkpoint_files.fetched(source, run, progress) as files:
        loaded = load(files, labels, "cpu")
        loaded.require_labels(f"run {run.name}", labels)
        paths = {path.name: path for path in files.directory.iterdir()}
        pickled = [name for name in paths if name.startswith("pytorch_model")]
        notes = notes_on(run, loaded)
        if pickled:
            folder = files.directory / "safetensors"
            loaded.model.save_pretrained(folder)
            paths = {name: path for name, path in paths.items() if name not in pickled}
            paths |= {path.name: path for path in folder.glob("model*.safetensors*")}
            notes = chain(notes, [f"{listed(sorted(pickled))}, a pickle, became safetensors"])
        yield paths, tuple(notes)


def _require_vocabulary(files: Files, model: Any, tokenizer: Any) -> None:
    """Raise DataError where the tokenizer gives tokens for which the model has no embedding."""
    largest = max(tokenizer.get_vocab().values(), default=0)
    rows = model.get_input_embeddings().weight.shape[0]
    if largest >= rows:
        raise DataError(
            f"the tokenizer of {files.label} has token {largest:,}, its model knows {rows:,}",
            "Its vocabulary is another model's: save model and tokenizer together again",
        )


def max_length_of(run: RunRecord, loaded: Checkpoint) -> int:
    """Where texts are cut: as the run's config says, and what the model can read."""
    stated = as_number(run.config.get("max_seq_length"))
    return loaded.limit if stated is None or not stated >= 1 else int(min(stated, loaded.limit))


def notes_on(run: RunRecord, loaded: Checkpoint) -> Iterator[str]:
    """Yield what a user of the checkpoint should know."""
    if not loaded.named:
        yield "the checkpoint does not name its outputs: the canonical label order was taken"
    length = as_number(run.config.get("max_seq_length"))
    if length is not None and length > loaded.limit:
        yield f"the run's max_seq_length is {length:g}, the checkpoint reads {loaded.limit}"


def _device(torch: Any, wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=wanted).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(
            f"the device {wanted} cannot be used ({first_line(error)})",
            f"Try {argument('device', 'cpu')}",
        ) from error
    return wanted


def _not_loaded(files: Files, what: str, error: Exception) -> DataError:
    text = str(error)
    if any(word in text for word in _CUT_OFF):
        return damaged(files.label, first_line(error))
    if type(error).__name__ == "UnpicklingError" or "weights_only" in text.lower():
        return DataError(
            f"the weights of {files.label} are refused: the pickle holds more than tensors",
            "Loading it could run any code. Have the checkpoint saved again as "
            "model.safetensors, or as a plain state dict",
        )
    return DataError(
        f"the {what} of {files.label} cannot be loaded ({first_line(error)})",
        "It has to load with transformers' AutoModelForSequenceClassification and "
        "AutoTokenizer, without code of its own",
    )


def _labels(
    files: Files, config: Any, expected: tuple[str, ...] | None
) -> tuple[tuple[str, ...], list[int], bool]:
    """Labels in order, the output of each, and whether the checkpoint names them."""
    names = [str(config.id2label.get(i, f"LABEL_{i}")).strip() for i in range(config.num_labels)]
    unnamed = all(name == f"LABEL_{i}" for i, name in enumerate(names))
    if not unnamed and len(set(names)) == len(names) > 1:
        labels = set_of(names).labels
        labels = expected if expected and set(expected) == set(names) else labels
        return labels, [names.index(label) for label in labels], True
    meant = None if expected else guess((), len(names))
    labels = expected or (meant.labels if meant else ())
    if unnamed and len(names) == len(labels):
        return labels, list(range(len(labels))), False
    wanted = f"the {len(expected)} of the run" if expected else "labels with names"
    shown = ", ".join(name[:40] for name in names[:4])
    raise DataError(
        f"{files.label} has {len(names)} outputs ({shown}, ...), not {wanted}",
        "Its config.json should map ids to labels in id2label",
    )


def _limit(config: Any, tokenizer: Any) -> int:
    """Most tokens that the model can read."""
    longest = tokenizer.model_max_length  # transformers writes 1e30 for no limit
    own = most_tokens(config) or _LONGEST
    return min(own, int(longest)) if 2 < longest < 10**6 else own


def most_tokens(config: Any) -> int | None:
    """Most tokens for which a model of this config has positions; None where it does not say."""
    positions: int = getattr(config, "max_position_embeddings", None) or 0
    if positions <= 0:  # XLNet says -1
        return None
    return positions - 2 if config.model_type in _OFFSET_POSITIONS else positions

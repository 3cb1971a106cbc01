"""A run's checkpoint as an ONNX model that says its labels and thresholds itself.

Needs the extra `goemo[onnx]`. What is written has predicted texts of the run first, as PyTorch
does.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from goemo_report.checkpoints import checkpoint
from goemo_report.checkpoints.checkpoint import Checkpoint, sigmoid
from goemo_report.checkpoints.labelling import Thresholds, load_with_thresholds
from goemo_report.checkpoints.verify import TOLERANCES
from goemo_report.contract import Split
from goemo_report.errors import DataError, GoemoError, first_line, require_extra
from goemo_report.formats.json_text import SCHEMA_VERSION
from goemo_report.formats.notebook import NotebookRepr
from goemo_report.formats.wording import plural
from goemo_report.metrics.arrays import FloatArray
from goemo_report.metrics.scores import score
from goemo_report.predictions import Predictions
from goemo_report.results.loading import load_results
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import RunRecord

MODEL: Final = "model.onnx"
INT8: Final = "model-int8.onnx"
_PRODUCER: Final = "goemo"
_OPSET: Final = 17  # the first with LayerNormalization
_INPUTS: Final = ("input_ids", "attention_mask")
_OUTPUTS: Final = ("logits", "probabilities")


@dataclass(frozen=True, slots=True)
class Variant:
    """How one form of the model does on the texts: largest difference of a probability to PyTorch,
    macro F1 at the thresholds, texts a second on CPU, size in bytes (0: not written)."""

    name: str
    largest: float
    macro_f1: float
    texts_per_second: float
    size: int


@dataclass(frozen=True, repr=False, slots=True)
class Exported(NotebookRepr):
    """The files that were written, and how each form of the model did on so many `texts`."""

    run: RunRecord
    files: tuple[Path, ...]
    variants: tuple[Variant, ...]
    texts: int
    split: Split
    threads: int
    thresholds: Thresholds

    def document(self) -> dict[str, Any]:
        """All of it as one JSON value."""
        return {
            **self.about(),
            "files": [str(path) for path in self.files],
            "checked_on": {"split": self.split, "texts": self.texts, "threads": self.threads},
            "thresholds": self.thresholds.description,
            "variants": [asdict(one) for one in self.variants],
        }

    def lines(self) -> Iterator[str]:
        """The same for people."""
        yield f"{'run':<12}{self.run.name} ({self.run.id})"
        yield from (f"{'wrote':<12}{path}" for path in self.files)
        yield f"{'thresholds':<12}{self.thresholds.description}"
        on = f"{plural(self.texts, self.split + ' text')}, {plural(self.threads, 'thread')}"
        yield f"{'checked':<12}{on} of CPU"
        for one in self.variants:
            size = f", {one.size / 1e6:.1f} MB" if one.size else ""
            yield (
                f"{one.name:<12}macro F1 {one.macro_f1:.4f}, largest difference "
                f"{one.largest:.2g}, {one.texts_per_second:.0f} texts/s{size}"
            )


def export_onnx(
    source: RunSource,
    run: RunRecord,
    directory: Path,
    *,
    int8: bool = False,
    split: Split = "test",
    limit: int = 500,
    progress: Progress = silent,
) -> Exported:
    """Write a run's checkpoint as `model.onnx` beside its tokenizer, once it predicts as PyTorch
    does the first `limit` texts of the run's predictions; with `int8` quantised as well.

    The quantised one has weights of 8 bits and activations that are quantised as they come. Raises
    GoemoError: a package is missing, the directory holds something else, the checkpoint cannot be
    used or exported, or the exported model predicts otherwise.
    """
    needed = ("onnx", "onnxruntime", "torch", "transformers")
    require_extra("exporting to ONNX", *needed, extra="onnx")
    _require_own(directory)
    held = load_results(source, [run], [split], progress)[0].splits[split].predictions
    loaded, chosen = load_with_thresholds(source, run, device="cpu", progress=progress)
    loaded.require_labels(held.source, held.labels)
    held = held.in_order_of(loaded.labels)
    held = held.take(np.arange(min(limit, len(held))), np.arange(len(held.labels)))
    longest = checkpoint.max_length_of(run, loaded)
    judge = partial(_judge, held, chosen.values, longest)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".onnx-") as beside:
        part = Path(beside)
        reference, expected = judge("PyTorch", loaded)
        _write(loaded, part / MODEL)
        _describe(part / MODEL, run, chosen, longest)
        forms = [loaded, _as_checkpoint(loaded, part / MODEL)]
        plain, _ = judge("ONNX", forms[1], expected, part / MODEL)
        if not plain.largest <= TOLERANCES["fp32"]:
            raise DataError(
                f"{loaded.name} as ONNX predicts otherwise: a probability differs by "
                f"{plain.largest:.2g} on {plural(len(held), 'text')}",
                "Nothing is written; use the checkpoint itself",
            )
        variants = [reference, plain]
        if int8:
            with _quietly():
                from onnxruntime.quantization import quantize_dynamic

                quantize_dynamic(part / MODEL, part / INT8)
            forms.append(_as_checkpoint(loaded, part / INT8))
            variants.append(judge("int8", forms[2], expected, part / INT8)[0])
        rates = _rates(forms, held.texts, longest)
        variants = [
            replace(variant, texts_per_second=rate)
            for variant, rate in zip(variants, rates, strict=True)
        ]
        loaded.tokenizer.save_pretrained(part)
        loaded.model.config.save_pretrained(part)
        names = sorted(path.name for path in part.iterdir())
        directory.mkdir(exist_ok=True)
        (directory / INT8).unlink(missing_ok=True)  # of another run, maybe
        for name in names:
            shutil.move(part / name, directory / name)
    files = tuple(directory / name for name in names if name.endswith(".onnx"))
    import torch

    return Exported(run, files, tuple(variants), len(held), split, torch.get_num_threads(), chosen)


def _require_own(directory: Path) -> None:
    """Raise DataError where writing would mix with, or replace, what is no export."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    import onnx

    try:
        model = onnx.load(directory / MODEL, load_external_data=False)
        own = model.producer_name == _PRODUCER
    except Exception:  # noqa: BLE001 - no file, or protobuf's own error: no model
        own = False
    if not own:
        raise DataError(
            f"{directory} holds other files than an export", "Give a directory of its own"
        )


def _judge(
    held: Predictions, thresholds: FloatArray, longest: int, name: str, form: Checkpoint,
    expected: FloatArray | None = None, file: Path | None = None,
) -> tuple[Variant, FloatArray]:  # fmt: skip
    """How a form of the model does on these texts, and its probabilities (n, k)."""
    found = sigmoid(form.predict(held.texts, max_length=longest))
    f1 = score(held.truth, found, held.labels, thresholds).overall["macro_f1"]
    largest = 0.0 if expected is None else float(np.abs(found - expected).max())
    return Variant(name, largest, f1 or 0.0, 0.0, file.stat().st_size if file else 0), found


def _rates(forms: Sequence[Checkpoint], texts: Sequence[str], longest: int) -> list[float]:
    """Texts a second of each form, the best of three rounds in turn: what else the machine does
    meets all of them."""
    seconds = [float("inf")] * len(forms)
    for _ in range(3):
        for number, form in enumerate(forms):
            started = time.perf_counter()
            form.predict(texts, max_length=longest)
            seconds[number] = min(seconds[number], time.perf_counter() - started)
    return [len(texts) / one for one in seconds]


def _write(loaded: Checkpoint, path: Path) -> None:
    """The model as a graph from token ids and mask to logits and probabilities, in the order of
    the labels."""
    import torch

    columns = torch.tensor(loaded.columns)

    class Graph(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = loaded.model

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
            logits = self.model(input_ids=ids, attention_mask=mask).logits[:, columns]
            return logits, logits.sigmoid()

    example = loaded.tokenizer(["a text", "a longer text"], padding=True, return_tensors="pt")
    axes: dict[str, dict[int, str]] = {name: {0: "texts", 1: "tokens"} for name in _INPUTS}
    axes |= {name: {0: "texts"} for name in _OUTPUTS}
    try:
        # The exporter through torch.export takes six times as long, needs onnxscript, and puts the
        # weights into a file of their own.
        with _quietly():
            torch.onnx.export(
                Graph().eval(),
                tuple(example[name] for name in _INPUTS),
                path,
                input_names=list(_INPUTS),
                output_names=list(_OUTPUTS),
                dynamic_axes=axes,
                opset_version=_OPSET,
                dynamo=False,
            )
    except Exception as error:
        kind = loaded.model.config.model_type
        raise GoemoError(
            f"{loaded.name}, a {kind}, cannot be exported to ONNX ({first_line(error)})",
            "BERT, RoBERTa, DistilBERT, ELECTRA, DeBERTa and ModernBERT types can",
        ) from error


def _describe(path: Path, run: RunRecord, chosen: Thresholds, longest: int) -> None:
    """Put into the model what a user of its outputs has to know."""
    import onnx

    model = onnx.load(path)
    about = {
        "schema_version": SCHEMA_VERSION,
        "run": run.path,
        "labels": json.dumps(list(chosen.labels)),
        "thresholds": json.dumps(chosen.values.tolist()),
        "thresholds_description": chosen.description,
        "rule": "probability >= threshold",
        "max_seq_length": longest,
    }
    for key, value in about.items():
        model.metadata_props.add(key=key, value=str(value))
    model.producer_name = _PRODUCER
    onnx.save(model, path)


def _as_checkpoint(loaded: Checkpoint, path: Path) -> Checkpoint:
    """The ONNX model in place of PyTorch's, so that both predict by the same code."""
    import onnxruntime
    import torch

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    class Session:
        def train(self, _training: bool) -> None:
            """There is no dropout in it."""

        def __call__(self, **inputs: torch.Tensor) -> SimpleNamespace:
            arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
            (logits,) = session.run([_OUTPUTS[0]], arrays)
            return SimpleNamespace(logits=torch.from_numpy(logits))

    return replace(loaded, model=Session(), columns=list(range(len(loaded.labels))))


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings of exporters, which are about the making; the result is looked at."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(logging.NOTSET)

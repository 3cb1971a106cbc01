"""Are the weights of a checkpoint whole, and are they the model that its config describes?

transformers fills what a checkpoint lacks with random numbers and goes on; here that is an
error which names the cause. Pickles are read by torch's restricted unpickler (`weights_only`).
"""

from __future__ import annotations

import math
import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from goemo_report.checkpoints.checkpoint_files import Files
from goemo_report.errors import DataError
from goemo_report.formats.wording import listed, plural

_PICKLES: Final = 5  # what torch wrote before it wrote zips: as many, then the numbers
_REPEATED: Final = re.compile(r"layer|block|depth|expert|stage", re.IGNORECASE)
"""Config keys that say how often a part of the model is repeated."""
_SPARE: Final = 2.0  # a model may tie or leave out weights; none has twice as many as its file
_SMALL: Final = 1_000_000
_WRAPPERS: Final = ("module.", "model.", "_orig_mod.", "net.", "encoder.")
_HEAD: Final = re.compile(r"^(classifier|score|head|pre_classifier|classification_head)\b")
_DICTIONARIES: Final = frozenset({"state_dict", "model_state_dict", "model", "module", "weights"})


def damaged(label: str, why: str) -> DataError:
    """Say that the weights of a checkpoint are damaged, and how that is known."""
    return DataError(
        f"the weights of {label} are cut off or damaged ({why})",
        "Save the checkpoint again and log it again",
    )


def _safetensors(path: Path) -> dict[str, Sequence[int]] | None:
    """The shape of every tensor by name, None where the file is not as long as its header says."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 # no mapping
    except (SafetensorError, OSError):
        return None


def _whole_pickle(path: Path) -> bool:
    """Whether a zip has its directory, which comes last, or a pickle its end."""
    with path.open("rb") as file:
        if file.peek(2)[:2] == b"PK":
            return zipfile.is_zipfile(path)
        try:
            for number in range(_PICKLES):
                if number and not file.peek(1):
                    break
                for _ in pickletools.genops(file):
                    pass
        except (ValueError, OverflowError, MemoryError):  # no such opcode, a length beyond the file
            return False
    return True


def require_plausible(files: Files) -> None:
    """Raise DataError where weights are cut off, or the config describes another model than they
    hold.

    Before anything is built: a config that asks for millions of layers, or for more numbers
    than there are, would keep the machine busy or use up its memory. Whole weights that cannot be
    read are left to the loader, which says why.
    """
    label, directory = files.label, files.directory
    shapes = _shapes(directory, label)
    if shapes is None:
        return
    import torch
    import transformers

    config = files.json("config.json")
    widest = max((size for shape in shapes.values() for size in shape), default=0)
    for key, number in _integers(config):
        most = widest if key == "num_labels" else len(shapes)
        if number > most and (key == "num_labels" or _REPEATED.search(key)):
            raise DataError(
                f"{label}/config.json has {key} {number:,}, more than the "
                f"{plural(len(shapes), 'tensor')} of its weights allow",
                "Save model and configuration together again",
            )
    held = sum(map(math.prod, shapes.values()))
    try:
        described = transformers.AutoConfig.from_pretrained(directory, local_files_only=True)
        kind: Any = transformers.AutoModelForSequenceClassification
        with torch.device("meta"):
            model = kind.from_config(described)
    except Exception:  # noqa: BLE001 # the loader meets the same and says what it is
        return
    wanted = sum(parameter.numel() for parameter in model.parameters())
    if wanted > _SPARE * held + _SMALL:
        raise DataError(
            f"{label}/config.json describes {wanted:,} weights, the checkpoint holds {held:,}",
            "Save model and configuration together again",
        )


def _integers(value: Any, key: str = "") -> Iterator[tuple[str, int]]:
    """Every whole number of a configuration with the key that it stands under."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _integers(item, str(name))
    elif isinstance(value, list):
        for item in value:
            yield from _integers(item, key)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield key, value


def _shapes(directory: Path, label: str) -> dict[str, Sequence[int]] | None:
    """The shape of every tensor by name, None where a whole file cannot be read.

    Raises DataError for a file that is cut off and for a pickle that holds something else than
    tensors by name.
    """
    shapes: dict[str, Sequence[int]] = {}
    for path in sorted(directory.iterdir()):
        if path.suffix == ".safetensors":
            found = _safetensors(path)
            if found is None:
                raise damaged(label, path.name)
            shapes |= found
        elif path.suffix == ".bin":
            import torch

            try:
                held = torch.load(path, map_location="meta", weights_only=True)
            except Exception as error:
                if not _whole_pickle(path):
                    raise damaged(label, path.name) from error
                return None  # the loader meets the same and says what it is
            shapes |= {name: tensor.shape for name, tensor in _tensors(held, path, label).items()}
    return shapes


def _tensors(held: Any, path: Path, label: str) -> dict[str, Any]:
    if isinstance(held, Mapping) and all(hasattr(value, "shape") for value in held.values()):
        return dict(held)
    keys = [str(k) for k in held if k in _DICTIONARIES] if isinstance(held, Mapping) else []
    what = f"the weights under the key {keys[0]}, not at its top" if keys else "no tensors by name"
    raise DataError(
        f"{label}/{path.name} holds {what}",
        "Save the model with save_pretrained, or its state_dict() alone",
    )


def require_all(label: str, loading: Mapping[str, Any]) -> None:
    """Raise DataError where weights are missing, left over or of another shape.

    `loading` is the loading info of transformers' `from_pretrained`.
    """
    missing = sorted(map(str, loading.get("missing_keys") or ()))
    unexpected = sorted(map(str, loading.get("unexpected_keys") or ()))
    mismatched = sorted(str(item[0]) for item in loading.get("mismatched_keys") or ())
    if not (missing or unexpected or mismatched):
        return
    parts = [
        f"{len(names):,} {what} ({listed(names, 3)})"
        for what, names in (
            ("missing", missing), ("unexpected", unexpected), ("of another shape", mismatched),
        )
        if names
    ]  # fmt: skip
    raise DataError(
        f"the weights of {label} are not those of its model: {', '.join(parts)}",
        _cause(missing, unexpected),
    )


def _cause(missing: Sequence[str], unexpected: Sequence[str]) -> str:
    """Guess what went wrong when the weights were saved, and give the remedy."""
    for prefix in _WRAPPERS:
        if unexpected and all(name.startswith(prefix) for name in unexpected):
            return (
                f"Their names begin with {prefix!r}: a wrapped model was saved. Save the model "
                "inside the wrapper with save_pretrained"
            )
    if missing and not unexpected and all(_HEAD.match(name) for name in missing):
        return (
            "The classification head is missing: this is a base model. Save the fine-tuned "
            "AutoModelForSequenceClassification"
        )
    return "Save model and configuration together again with save_pretrained"

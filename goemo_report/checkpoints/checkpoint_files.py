"""The files of a checkpoint, fetched with digests checked and made harmless for a loader.

Only data files come through: configuration, weights and vocabulary, never Python files,
adapters or other pickles.
"""

from __future__ import annotations

import json
import pickletools
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from goemo_report.contract import CHECKPOINT_WEIGHTS
from goemo_report.errors import ChangedFileError, DataError, NotFoundError
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import ArtifactFile, ArtifactRef, LocalFile, RunRecord, SkippedFile
from goemo_report.sources.newest import checkpoint_folder, newest

THRESHOLDS_FILE: Final = "thresholds.json"
_DATA_FILES: Final = frozenset({
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "bpe.codes",
    "spiece.model", "spm.model", "sentencepiece.bpe.model", "tokenizer.model",
    "model.safetensors.index.json", "pytorch_model.bin.index.json", THRESHOLDS_FILE,
})  # fmt: skip
_RUNS_CODE: Final = (
    "auto_map", "custom_pipelines", "quantization_config", "attn_implementation",
    "_attn_implementation", "_attn_implementation_internal", "experts_implementation",
    "kernel_config", "use_kernels",
)  # fmt: skip
"""Keys of a config.json that name code to be imported or fetched; they are left out."""

_PICKLES: Final = 5  # what torch wrote before it wrote zips: as many, then the numbers


@dataclass(frozen=True, slots=True)
class Files:
    """A checkpoint's data files in one directory, which is gone after use."""

    artifact: ArtifactRef
    directory: Path

    @property
    def label(self) -> str:
        """The artifact's name, for messages."""
        return self.artifact.qualified_name

    def json(self, name: str) -> Any:
        """A JSON file of the checkpoint, None where it has none. Raises DataError."""
        path = self.directory / name
        if not path.exists():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{self.label}/{name} is no JSON ({first_line(error)})", "") from error


@contextmanager
def fetched(source: RunSource, run: RunRecord, progress: Progress = silent) -> Iterator[Files]:
    """The newest checkpoint of a run, every file checked by its digest.

    Raises NotFoundError where the run logged none, DataError where it is not whole, and
    ChangedFileError where its files are not those that were logged.
    """
    artifact = newest(run, source.artifacts([run]).get(run.id, ()), "checkpoint")
    if artifact is None:
        raise NotFoundError(
            f"run {run.name} logged no checkpoint",
            "`goemo-report show RUN` lists what it logged",
        )
    chosen = _data_files(artifact, source.manifests([artifact])[0])
    local = source.fetch([(artifact, file) for file in chosen.values()], progress)
    require_unchanged(artifact, local)
    with tempfile.TemporaryDirectory(prefix="goemo-checkpoint-") as folder:
        directory = Path(folder)
        for name, path in zip(chosen, local, strict=True):
            if isinstance(path, SkippedFile):
                raise DataError(
                    f"{artifact.qualified_name}: {path.path}: {path.reason}",
                    "The checkpoint cannot be loaded without it",
                )
            (directory / name).symlink_to(path.resolve())
        files = Files(artifact, directory)
        _disarm(files)
        yield files


def require_unchanged(artifact: ArtifactRef, files: Sequence[LocalFile]) -> None:
    """Raise ChangedFileError where fetched files of an artifact are not what was logged."""
    changed = [file for file in files if isinstance(file, SkippedFile) and file.changed]
    if changed:
        raise ChangedFileError(
            "; ".join(f"{artifact.qualified_name}: {file.path}: {file.reason}" for file in changed),
            "Fetch the files again from where they were logged, or log them again",
        )


def _data_files(artifact: ArtifactRef, files: Sequence[ArtifactFile]) -> dict[str, ArtifactFile]:
    """The files that a loader needs, by bare name, from the folder that holds config.json."""
    folder = checkpoint_folder(files)
    if folder is None:
        raise DataError(
            f"{artifact.qualified_name} holds no config.json",
            "A checkpoint is what transformers' save_pretrained writes",
        )
    here = {f.path[len(folder) :]: f for f in files if f.path.startswith(folder)}
    chosen = {name: file for name, file in here.items() if _is_data(name)}
    weights = [name for name in chosen if name.endswith((".bin", ".safetensors"))]
    if not weights:
        raise DataError(
            f"{artifact.qualified_name} holds no weights",
            f"It should hold {' or '.join(CHECKPOINT_WEIGHTS)}",
        )
    if any(name.endswith(".safetensors") for name in weights):  # what a loader takes first
        chosen = {name: f for name, f in chosen.items() if not name.startswith("pytorch_model")}
    return chosen


def _is_data(name: str) -> bool:
    shard = name.startswith(("model-", "pytorch_model-")) and "/" not in name
    return (
        name in _DATA_FILES
        or name in CHECKPOINT_WEIGHTS
        or (shard and name.endswith((".safetensors", ".bin")))
    )


def _disarm(files: Files) -> None:
    """Leave out of the JSON files what would make a loader import or fetch code."""
    for name in ("config.json", "tokenizer_config.json"):
        described = files.json(name)
        if described is None:
            continue
        if not isinstance(described, dict):
            raise DataError(f"{files.label}/{name} is no JSON object", "")
        path = files.directory / name
        path.unlink()  # a link into the cache
        path.write_text(json.dumps(_without_code(described)), encoding="utf-8")


def _without_code(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_code(v) for k, v in value.items() if k not in _RUNS_CODE}
    return [_without_code(item) for item in value] if isinstance(value, list) else value


def damaged_weights(directory: Path) -> str | None:
    """The first weights file in a directory that is cut off or no such file, None where all
    look whole. Nothing in them is run."""
    for path in sorted(directory.iterdir()):
        if path.suffix == ".safetensors" and not _whole_safetensors(path):
            return path.name
        if path.suffix == ".bin" and not _whole_pickle(path):
            return path.name
    return None


def _whole_safetensors(path: Path) -> bool:
    """Whether the file is as long as its header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            return False
        try:
            header = json.loads(file.read(length))
            ends = [t["data_offsets"][1] for name, t in header.items() if name != "__metadata__"]
            return bool(8 + length + max(ends, default=0) == size)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return False


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
        except (
            ValueError,
            OverflowError,
            MemoryError,
        ):  # opcodes that there are not, lengths beyond the file
            return False
    return True


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]

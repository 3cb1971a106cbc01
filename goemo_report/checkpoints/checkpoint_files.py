"""The files of a checkpoint, fetched with digests checked and made harmless for a loader.

Only data files come through: configuration, weights and vocabulary, never Python files,
adapters or other pickles.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from goemo_report.contract import CHECKPOINT_WEIGHTS
from goemo_report.errors import ChangedFileError, DataError, NotFoundError, first_line, reading
from goemo_report.formats.text import shown
from goemo_report.formats.wording import listed
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import ArtifactFile, ArtifactRef, LocalFile, RunRecord, SkippedFile
from goemo_report.sources.newest import checkpoint_folder, holds_no, newest

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
_NAMES_FILES: Final = ("_file", "name_or_path")
"""Endings of keys that name a file or a model to read; they are left out as well."""
_VOCABULARIES: Final = frozenset({
    "tokenizer.json", "vocab.txt", "vocab.json", "bpe.codes", "spiece.model", "spm.model",
    "sentencepiece.bpe.model", "tokenizer.model",
})  # fmt: skip


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
    logged = source.artifacts([run]).get(run.id, ())
    artifact = newest(run, logged, "checkpoint")
    if artifact is None and any(one.kind == "file" for one in logged):
        raise NotFoundError(
            f"{run.name} is predictions alone, without a checkpoint",
            "Name the run that they are of",
        )
    if artifact is None:
        raise NotFoundError(
            f"run {run.name} logged no checkpoint", "`goemo-report show RUN` lists what it logged"
        )
    chosen = _data_files(artifact, source.manifests([artifact])[0])
    unchecked = [f.path for f in chosen.values() if f.reference and f.digest == f.reference]
    if unchecked:
        raise DataError(
            f"{artifact.qualified_name}: by reference and without a checksum: {listed(unchecked)}",
            "Only what can be checked is opened: log the files, or the references with checksums",
        )
    local = source.fetch([(artifact, file) for file in chosen.values()], progress)
    require_unchanged(artifact, local)
    here: dict[str, Path] = {}
    for name, path in zip(chosen, local, strict=True):
        if isinstance(path, SkippedFile):
            raise DataError(
                f"{artifact.qualified_name}: {path.path}: {path.reason}",
                "The checkpoint cannot be loaded without it",
            )
        here[name] = path
    with _gathered(artifact, here) as files:
        yield files


@contextmanager
def from_directory(directory: Path) -> Iterator[Files]:
    """A checkpoint that lies in a directory, which nobody logged. Raises DataError."""
    name = str(directory)
    artifact = ArtifactRef(name, name, "model", None, "", 0, "checkpoint", "", kind="file")
    with reading(name):
        paths = [path for path in directory.iterdir() if path.is_file()]
        found = [ArtifactFile(path.name, path.stat().st_size, "") for path in paths]
    chosen = _data_files(artifact, found)
    with _gathered(artifact, {name: directory / name for name in chosen}) as files:
        yield files


@contextmanager
def _gathered(artifact: ArtifactRef, local: Mapping[str, Path]) -> Iterator[Files]:
    """Links to the files in a directory of their own, the JSON files disarmed."""
    with tempfile.TemporaryDirectory(prefix="goemo-checkpoint-") as folder:
        files = Files(artifact, Path(folder))
        for name, path in local.items():
            (files.directory / name).symlink_to(path.resolve())
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
            holds_no("config.json", artifact, files),
            "A checkpoint is what transformers' save_pretrained writes",
        )
    here = {f.path[len(folder) :]: f for f in files if f.path.startswith(folder)}
    chosen = {name: file for name, file in here.items() if _is_data(name)}
    weights = [name for name in chosen if name.endswith((".bin", ".safetensors"))]
    if not weights:
        raise DataError(
            holds_no("weights", artifact, files),
            f"It should hold {' or '.join(CHECKPOINT_WEIGHTS)}",
        )
    _require_vocabulary(artifact.qualified_name, chosen)
    if any(name.endswith(".safetensors") for name in weights):  # what a loader takes first
        chosen = {name: f for name, f in chosen.items() if not name.startswith("pytorch_model")}
    return chosen


def _require_vocabulary(label: str, names: Iterable[str]) -> None:
    """Without these files transformers makes a tokenizer that knows no word, and says nothing."""
    if _VOCABULARIES.isdisjoint(names):
        raise DataError(
            f"{label} holds no vocabulary: {listed(sorted(_VOCABULARIES)[-3:])} or the like",
            "Save the tokenizer beside the model: tokenizer.save_pretrained(directory)",
        )


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
        harmless, path = _without_code(described), files.directory / name
        if harmless != described:
            path.unlink()  # a link into the cache
            path.write_text(json.dumps(harmless), encoding="utf-8")
    for name in ("model.safetensors.index.json", "pytorch_model.bin.index.json"):
        _require_own_shards(files, name)


def _require_own_shards(files: Files, name: str) -> None:
    """Raise DataError where an index names a file that was not fetched and checked with it."""
    described = files.json(name)
    shards = described.get("weight_map") if isinstance(described, dict) else None
    if described is not None and not isinstance(shards, dict):
        raise DataError(f"{files.label}/{name} has no weight_map", "Save the checkpoint again")
    for shard in {str(value) for value in (shards or {}).values()}:
        if not _is_data(shard) or not (files.directory / shard).is_file():
            raise DataError(
                f"{files.label}/{name} names {shown(shard)}, which is no weights file of the "
                "checkpoint",
                "Only files of the artifact are opened: save the checkpoint again",
            )


def _without_code(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            k: _without_code(v)
            for k, v in value.items()
            if k not in _RUNS_CODE and not k.endswith(_NAMES_FILES)
        }
    return [_without_code(item) for item in value] if isinstance(value, list) else value

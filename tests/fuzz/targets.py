"""What reads bytes of strangers, each with seeds to begin from.

A target takes bytes and gives back nothing: a GoemoError is a refusal and fine, anything else
that is raised is a find. Targets hold what they promise by themselves, such as a cache that
gives the same value or none.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from goemo_report.errors import GoemoError
from goemo_report.labels import EMOTIONS
from goemo_report.predictions import read_predictions, write_predictions
from goemo_report.settings import load_settings
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.offline_logs.source import LogSource
from goemo_report.sources.store import Cache
from goemo_report.sources.wandb_api import decode
from tests.sources.log_writer import exit_record, frame, history_record, new_record, run_record

SHARED_CASES = Path(__file__).parents[3] / "shared" / "cases"
CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Target:
    """A reader, its seeds, and how a mutated payload becomes what is read."""

    name: str
    seeds: tuple[bytes, ...]
    read: Callable[[bytes, Path], None]


def _predictions(data: bytes, folder: Path) -> None:
    path = folder / "file.csv"
    path.write_bytes(data)
    found = read_predictions(path)
    assert found.truth.shape == found.predicted.shape == (len(found), len(found.labels))
    assert ((found.probabilities >= 0) & (found.probabilities <= 1)).all()


def _prediction_seeds(folder: Path) -> tuple[bytes, ...]:
    generator = np.random.default_rng(0)
    seeds = []
    for name, labels in (("all.csv", EMOTIONS), ("own.csv.gz", ("a", "b", "c"))):
        truth = generator.random((6, len(labels))) < 0.1
        texts = [f'text {i}, "quoted"\nsecond line' for i in range(6)]
        probabilities = generator.random(truth.shape).round(3)
        write_predictions(folder / name, texts, truth, probabilities, 0.5, labels)
        seeds.append((folder / name).read_bytes())
    cases = sorted(SHARED_CASES.glob("*.[cjp]*")) if SHARED_CASES.is_dir() else []
    return (*seeds, *(path.read_bytes() for path in cases))


def _payloads() -> list[bytes]:
    artifact = new_record()
    artifact.artifact.SetInParent()
    artifact.artifact.name = "m-test-predictions-fuzz"
    artifact.artifact.type = "dataset"
    artifact.artifact.metadata = '{"a": [1, 2]}'
    entry = artifact.artifact.manifest.contents.add()
    entry.path, entry.digest, entry.size = "test_predictions.csv", "1B2M2Y8AsgTpgAmY7PhCfg==", 3
    reference = artifact.artifact.manifest.contents.add()
    reference.path, reference.ref, reference.digest = "w.bin", "file:///tmp/w.bin", "abc"
    config = new_record()
    config.config.update.add(key="learning_rate", value_json="2e-5")
    config.config.update.add(key="nested", value_json='{"a": {"b": [1, null, NaN]}}')
    summary = new_record()
    summary.summary.update.add(key="test/macro_f1", value_json='{"max": 0.5}')
    records = [
        run_record("fuzz", display_name="a run", project="p", tags=["final"]),
        config,
        history_record(0, **{"train/loss": "0.5", "epoch": "1"}),
        history_record(None, _step="1", val='{"loss": 0.25}'),
        artifact,
        summary,
        exit_record(),
    ]
    return [record.SerializeToString() for record in records]


def _list_everything(folder: Path) -> None:
    source = LogSource(folder)
    runs = source.list_runs(RunQuery()).runs
    source.histories(runs)
    for references in source.artifacts(runs).values():
        for reference, files in zip(references, source.manifests(references), strict=True):
            source.fetch([(reference, file) for file in files])


def _log(data: bytes, folder: Path) -> None:
    directory = folder / "wandb" / "offline-run-20240101_000000-fuzz"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "run-fuzz.wandb").write_bytes(data)
    _list_everything(folder)


def _records(data: bytes, folder: Path) -> None:
    """Damage inside a record, whose checksum is right: what another client might write."""
    _log(frame(data.split(_BETWEEN)), folder)


_BETWEEN = b"\x00-record-\x00"


def _manifest(data: bytes, folder: Path) -> None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return  # the transport says so
    decode.manifest_files(document)


def _entry(data: bytes, folder: Path) -> None:
    """A damaged entry of the store is absent, or what it was."""
    store = Cache(folder / "cache")
    store.put("kind", ["identity"], _VALUE)
    (path,) = (path for path in store.root.rglob("*") if path.is_file())
    path.write_bytes(data)
    assert store.get("kind", ["identity"]) in (None, _VALUE)


_VALUE: Any = {"numbers": [0.1, None, 3], "text": "x" * 50}


def _entry_seed(folder: Path) -> bytes:
    store = Cache(folder / "cache")
    store.put("kind", ["identity"], _VALUE)
    return next(path for path in store.root.rglob("*") if path.is_file()).read_bytes()


def _settings(data: bytes, folder: Path) -> None:
    (folder / "pyproject.toml").write_bytes(data)
    load_settings(environ={}, directory=folder)


_SETTINGS = b"""
[tool.goemo]
entity = "team"
project = "p"
wandb-dir = "runs"
formats = ["html", "md"]
resamples = 2000
no-text = true
[tool.goemo.waive]
"run-name" = "an old run"
"""


def targets(folder: Path) -> dict[str, Target]:
    """Every target by name; `folder` is for making seeds."""
    payloads = _payloads()
    manifest = {
        "version": 1,
        "storagePolicyConfig": {"storageLayout": "V2"},
        "contents": {
            "a.csv": {"digest": "1B2M2Y8AsgTpgAmY7PhCfg==", "size": 3, "birthArtifactID": "x"},
            "b": {"digest": "x", "ref": "wandb-artifact://61/b", "extra": {"etag": "x"}},
        },
    }
    kept = {name: _corpus(name) for name in ("predictions", "log", "records", "manifest")}
    found = [
        Target("predictions", _prediction_seeds(folder) + kept["predictions"], _predictions),
        Target("log", (frame(payloads), *kept["log"]), _log),
        Target("records", (_BETWEEN.join(payloads), *kept["records"]), _records),
        Target("manifest", (json.dumps(manifest).encode(), *kept["manifest"]), _manifest),
        Target("store", (_entry_seed(folder),), _entry),
        Target("settings", (_SETTINGS,), _settings),
    ]
    return {target.name: target for target in found}


def _corpus(name: str) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in sorted((CORPUS / name).glob("*")))


def hold(target: Target, data: bytes, folder: Path) -> None:
    """Read bytes; a refusal is fine, and it is one line."""
    try:
        target.read(data, folder)
    except GoemoError as error:
        refusal = str(error)
    else:
        refusal = ""
    assert refusal.isprintable(), "a refusal is one line without control characters"


def packed(data: bytes) -> bytes:
    """The same bytes, compressed: damage behind the compression is read as well."""
    return gzip.compress(data, mtime=0)

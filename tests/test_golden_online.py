"""Offline runs that were uploaded give the report that they gave from disk."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.wandb_server import WandbServer
from tests.wandb_server.fixtures import wandb_server

__all__ = ["wandb_server"]

COMMAND = Path(sys.executable).with_name("goemo-report")
# What an upload adds or says of itself: entity, addresses (and which columns have them),
# versions, the time and line of the report, and the start, which the server keeps to a second.
OF_THE_SOURCE = {"detailed", "entity", "link", "url", "created", "created_at"}
OF_THE_SOURCE |= {"command", "version", "origin"}


def report(
    arguments: list[str], environment: Mapping[str, str], folder: Path, notes: int = 0
) -> Any:
    done = subprocess.run(
        [COMMAND, "compare", "--tag", "final", "--format", "json", "--resamples", "100",
         "--output", folder, *arguments],
        env=dict(environment),
        cwd=folder.parent,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("note: nothing can be kept in the cache") == notes
    [path] = folder.glob("*.json")
    return json.loads(path.read_text(encoding="utf-8"))


def told(document: Any, sources: set[str]) -> Any:
    """A report without what its source adds; captions that name the source are collected."""
    if isinstance(document, dict):
        kept = {k: told(v, sources) for k, v in document.items() if k not in OF_THE_SOURCE}
        return kept["value"] if set(kept) == {"value"} else kept  # a cell that lost its link
    if isinstance(document, list):
        return [told(item, sources) for item in document]
    if isinstance(document, str):
        for mark in re.findall(
            r"(?:offline runs below|W&B project) [^ ,;]*(?: on [\d.:]+)?", document
        ):
            sources.add(mark)
            document = document.replace(mark, "SOURCE").replace("SOURCE.", "SOURCE")
        return re.sub(r"(-(?:checkpoint|predictions|metrics)-\w+):v\d+", r"\1", document)
    return document


def unlike(left: Any, right: Any, where: str = "") -> Iterator[str]:
    """Where two documents differ, and how: shorter to read than two reports."""
    if isinstance(left, dict) and isinstance(right, dict) and list(left) == list(right):
        for key in left:
            yield from unlike(left[key], right[key], f"{where}.{key}")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, pair in enumerate(zip(left, right, strict=True)):
            yield from unlike(*pair, f"{where}[{number}]")
    elif left != right:
        yield f"{where}: {left!r:.200} is not {right!r:.200}"


@pytest.fixture
def uploaded(wandb_server: WandbServer, offline_root: Path, tmp_path: Path) -> dict[str, str]:
    """Environment of a client whose server has the offline runs below `tmp_path/wandb`."""
    shutil.copytree(offline_root, tmp_path, symlinks=True, dirs_exist_ok=True)
    environment = wandb_server.env(tmp_path / "home")
    environment["GOEMO_CACHE_DIR"] = str(tmp_path / "cache")
    sent = subprocess.run(
        [COMMAND, "sync", "wandb"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert sent.stdout.count(": arrived: ") == 4
    return environment


def test_the_same_numbers_in_the_same_order(
    uploaded: dict[str, str], wandb_server: WandbServer, tmp_path: Path
) -> None:
    offline = report(["--wandb-dir", "wandb"], uploaded, tmp_path / "offline")
    online = report([], uploaded, tmp_path / "online")
    sources: set[str] = set()
    from_server, from_disk = told(online, sources), told(offline, sources)
    differences = list(unlike(from_server, from_disk))
    assert not differences
    assert {source.split(" ")[0] for source in sources} == {"offline", "W&B"}
    wandb_server.forget_requests()
    again = report([], uploaded, tmp_path / "again")
    assert told(again, sources) == told(online, sources)
    assert wandb_server.counts() == {"GetDefaultEntity": 1, "Runs": 1, "RunsOutputArtifacts": 1}
    cache = tmp_path / "cache"
    entries = [path for path in cache.rglob("*") if path.is_file()]
    assert {path.relative_to(cache).parts[0] for path in entries} == {
        *("files", "manifests", "histories", "scores", "texts", "statistics")
    }
    random = Random(0)
    for entry in entries:
        data = bytearray(entry.read_bytes())
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        entry.chmod(0o600)
        entry.write_bytes(data)
    assert told(report([], uploaded, tmp_path / "damaged"), sources) == told(online, sources)
    uploaded["GOEMO_CACHE_DIR"] = str(entries[0])  # no directory
    assert told(report([], uploaded, tmp_path / "none", 1), sources) == told(online, sources)

"""Downloads: checked, resumed, shared between processes, and never done twice."""

from __future__ import annotations

import multiprocessing
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from goemo_report.contract import PROJECT
from goemo_report.errors import NotFoundError
from goemo_report.settings import SourceChoice
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.downloads import download, download_artifacts
from goemo_report.sources.model import ArtifactFile, ArtifactRef, LocalFile, SkippedFile
from goemo_report.sources.resolve import find_artifact
from goemo_report.sources.store import Cache, _private_cache
from goemo_report.sources.wandb_api import transfer
from goemo_report.sources.wandb_api.credentials import Credentials, Setting
from goemo_report.sources.wandb_api.source import ApiSource
from goemo_report.sources.wandb_api.transfer import Download, download_all
from goemo_report.sources.wandb_api.transport import Transport
from tests.sources import scripted_server as scripted
from tests.sources.online import md5, open_api, point_at, predictions_of, put, some_runs
from tests.sources.scripted_server import ScriptedServer, scripted_server
from tests.wandb_server import WandbServer
from tests.wandb_server.fixtures import wandb_server
from tests.wandb_server.seeding import SeedArtifact, SeedRun

__all__ = ["wandb_server"]

BODY = bytes(range(256)) * 8000  # 2 MB


@pytest.fixture
def scripted_files() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


def fetch_one(
    server: ScriptedServer,
    folder: Path,
    *,
    digest: str = "",
    size: int = len(BODY),
    notes: list[str] | None = None,
    addresses: Sequence[str] = ("/file",),
) -> LocalFile:
    credentials = Credentials(server.url, server.url, Setting("k" * 40, "WANDB_API_KEY"))
    notify = (notes if notes is not None else []).append
    transport = Transport(credentials, notify=notify, timeout=2)

    def place(address: str) -> transfer.Address:
        return lambda: (server.url + address, False)

    places = tuple(map(place, addresses))
    wanted = Download("weights.bin", size, digest or md5(BODY), folder / "aa", places)
    return download_all([wanted], transport, lambda *_: None)[0]


def assert_whole(result: LocalFile, folder: Path) -> None:
    assert result == folder / "aa"
    assert (folder / "aa").read_bytes() == BODY
    assert [path.name for path in folder.iterdir()] == ["aa"]


def test_a_download_that_breaks_off_goes_on_where_it_was(
    scripted_files: ScriptedServer, tmp_path: Path
) -> None:
    scripted_files.script += [
        scripted.content(BODY, cut_at=1_000_000),
        scripted.content(BODY, cut_at=300_000),
    ]
    scripted_files.otherwise = scripted.content(BODY)
    notes: list[str] = []
    assert_whole(fetch_one(scripted_files, tmp_path, notes=notes), tmp_path)
    assert [h.get("Range") for h in scripted_files.headers] == [
        None,
        "bytes=1000000-",
        "bytes=1300000-",
    ]
    assert all("dropped the connection" in note for note in notes)
    assert notes


def test_a_download_of_an_earlier_process_is_taken_over(
    scripted_files: ScriptedServer, tmp_path: Path
) -> None:
    (tmp_path / "aa.part").write_bytes(BODY[:1234])
    scripted_files.otherwise = scripted.content(BODY)
    assert_whole(fetch_one(scripted_files, tmp_path), tmp_path)
    assert scripted_files.headers[0]["Range"] == "bytes=1234-"


@pytest.mark.parametrize("left", [b"x" * 1234, BODY + b"more", BODY[:-1] + b"?"])
def test_wrong_left_overs_are_fetched_again(
    scripted_files: ScriptedServer, tmp_path: Path, left: bytes
) -> None:
    (tmp_path / "aa.part").write_bytes(left)
    scripted_files.otherwise = scripted.content(BODY)
    assert_whole(fetch_one(scripted_files, tmp_path), tmp_path)


def test_a_server_without_ranges_starts_over(
    scripted_files: ScriptedServer, tmp_path: Path
) -> None:
    scripted_files.script.append(scripted.content(BODY, cut_at=1_000_000, ranges=False))
    scripted_files.otherwise = scripted.content(BODY, ranges=False)
    assert_whole(fetch_one(scripted_files, tmp_path), tmp_path)


def test_a_server_that_always_cuts_off_is_given_up(
    scripted_files: ScriptedServer, tmp_path: Path
) -> None:
    scripted_files.otherwise = scripted.content(BODY[:1000], ranges=False)
    result = fetch_one(scripted_files, tmp_path)
    assert isinstance(result, SkippedFile)
    assert "broke off at 1000 of" in result.reason


def test_corrupt_bytes_are_fetched_again_and_never_named(
    scripted_files: ScriptedServer, tmp_path: Path
) -> None:
    scripted_files.script.append(scripted.content(b"\0" * len(BODY)))
    scripted_files.otherwise = scripted.content(BODY)
    notes: list[str] = []
    assert_whole(fetch_one(scripted_files, tmp_path, notes=notes), tmp_path)
    assert notes == ["weights.bin arrived with wrong bytes; fetching it again"]


def test_lasting_corruption_is_a_reason_and_no_file(
    scripted_files: ScriptedServer, tmp_path: Path
) -> None:
    scripted_files.otherwise = scripted.content(b"\0" * len(BODY))
    result = fetch_one(scripted_files, tmp_path)
    assert isinstance(result, SkippedFile)
    assert "does not have the digest" in result.reason
    assert result.changed
    assert list(tmp_path.iterdir()) == []


def test_an_expired_address_is_asked_for_again(
    scripted_files: ScriptedServer, tmp_path: Path
) -> None:
    scripted_files.script.append(scripted.status(403, b"expired"))
    scripted_files.otherwise = scripted.content(BODY)
    result = fetch_one(scripted_files, tmp_path, addresses=("/old?token=1", "/new?token=2"))
    assert_whole(result, tmp_path)
    assert scripted_files.paths == ["/old?token=1", "/new?token=2"]


def test_addresses_are_not_shown_when_they_fail(
    scripted_files: ScriptedServer, tmp_path: Path
) -> None:
    scripted_files.otherwise = scripted.status(404)
    result = fetch_one(scripted_files, tmp_path, addresses=("/file?token=hidden",))
    assert isinstance(result, SkippedFile)
    assert "404" in result.reason
    assert "hidden" not in result.reason


def test_xxh128_digests_are_checked_too(scripted_files: ScriptedServer, tmp_path: Path) -> None:
    import base64

    import xxhash

    digest = "XXH128:" + base64.b64encode(xxhash.xxh128(BODY).digest()).decode()
    scripted_files.script.append(scripted.content(b"\0" * len(BODY)))
    scripted_files.otherwise = scripted.content(BODY)
    assert_whole(fetch_one(scripted_files, tmp_path, digest=digest), tmp_path)


def test_an_empty_file(scripted_files: ScriptedServer, tmp_path: Path) -> None:
    scripted_files.otherwise = scripted.content(b"")
    result = fetch_one(scripted_files, tmp_path, digest=md5(b""), size=0)
    assert isinstance(result, Path)
    assert result.read_bytes() == b""


def _fetch_in_process(url: str, folder: str) -> None:
    server = ScriptedServer(url)
    assert_one = fetch_one(server, Path(folder))
    assert isinstance(assert_one, Path), assert_one


def test_two_processes_and_threads_do_not_hurt_each_other(
    scripted_files: ScriptedServer, tmp_path: Path
) -> None:
    scripted_files.otherwise = scripted.content(BODY)
    context = multiprocessing.get_context("spawn")
    arguments = (scripted_files.url, str(tmp_path))
    processes = [context.Process(target=_fetch_in_process, args=arguments) for _ in range(2)]
    threads = [threading.Thread(target=_fetch_in_process, args=arguments) for _ in range(4)]
    workers: list[Any] = [*processes, *threads]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert_whole(tmp_path / "aa", tmp_path)
    assert len(scripted_files.paths) == 1


# --- Against the stand-in server ----------------------------------------------------------


@pytest.fixture
def server(
    wandb_server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> WandbServer:
    point_at(monkeypatch, wandb_server, tmp_path)
    return wandb_server


def everything(source: ApiSource) -> list[tuple[ArtifactRef, ArtifactFile]]:
    logged = source.artifacts(source.list_runs(RunQuery()).runs)
    references = [reference for part in logged.values() for reference in part]
    manifests = source.manifests(references)
    return [(r, f) for r, files in zip(references, manifests, strict=True) for f in files]


def test_files_are_fetched_together_and_only_once(server: WandbServer) -> None:
    put(server, some_runs(30))
    source = open_api()
    wanted = everything(source)
    server.forget_requests()
    told: list[tuple[int, int]] = []
    first = source.fetch(wanted, lambda _, done, total: told.append((done, total)))
    assert server.counts() == {"ArtifactFileUrls": 2, "GET /storage/artifacts": 30}
    total = sum(file.size for _, file in wanted)
    assert told[-1] == (total, total)
    for (_, file), local in zip(wanted, first, strict=True):
        assert isinstance(local, Path)
        assert md5(local.read_bytes()) == file.digest
    again = open_api()
    wanted = everything(again)
    server.forget_requests()
    assert again.fetch(wanted) == first
    assert server.count() == 0


def test_only_what_is_wanted_is_touched(server: WandbServer) -> None:
    weights = SeedArtifact("roberta-large-checkpoint-r", "model", {"pytorch_model.bin": BODY})
    put(server, [SeedRun(id="r", artifacts=[weights, predictions_of("r")])])
    source = open_api()
    references = source.artifacts([source.find_run("r")])["r"]
    chosen = [r for r in references if r.role == "test-predictions"]
    [[file]] = source.manifests(chosen)
    source.fetch([(chosen[0], file)])
    assert server.counts()["GET /storage/artifacts"] == 1
    assert sum(r.sent for r in server.requests) < 100_000


@pytest.mark.parametrize(
    "put_there",
    [
        lambda path, right: path.write_bytes(right[:-1] + b"?"),
        lambda path, right: path.write_bytes(right[:9]),
        lambda path, right: (path.mkdir(), (path / "in").touch()),
        lambda path, right: os.mkfifo(path),
        lambda path, right: path.symlink_to("/dev/zero"),
    ],
)
@pytest.mark.parametrize("digest", [True, False])
def test_what_is_no_such_file_in_the_cache_is_replaced(
    server: WandbServer, digest: bool, put_there: Callable[[Path, bytes], object]
) -> None:
    put(server, some_runs(1))
    source = open_api()
    wanted = everything(source)
    if not digest:
        wanted = [(artifact, replace(file, digest="")) for artifact, file in wanted]
    [local] = source.fetch(wanted)
    assert isinstance(local, Path)
    right = local.read_bytes()
    files = [path for path in source.cache.root.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} <= {0o400, 0o600}
    server.forget_requests()
    assert open_api().fetch(wanted) == [local]
    assert ("GET /storage/artifacts" in server.counts()) is not digest  # who knows what is there
    local.unlink()
    put_there(local, right)
    assert open_api().fetch(wanted) == [local]
    assert local.read_bytes() == right


@pytest.mark.parametrize("place", ["file", "loop/x", "~nobody-here/x", "/proc/nowhere"])
def test_without_a_cache_files_come_all_the_same(
    server: WandbServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    place: str,
) -> None:
    put(server, some_runs(3))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.setattr("goemo_report.sources.store._NOTED", set())
    _private_cache.cache_clear()
    monkeypatch.setenv("GOEMO_CACHE_DIR", place)
    for asked in (3, 0):
        source = open_api()
        wanted = everything(source)
        server.forget_requests()
        for (_, file), local in zip(wanted, source.fetch(wanted), strict=True):
            assert isinstance(local, Path)
            assert md5(local.read_bytes()) == file.digest
        assert server.counts().get("GET /storage/artifacts", 0) == asked
    assert capfd.readouterr().err.count("\n") == 1


def test_a_cache_that_was_deleted_is_filled_again(server: WandbServer) -> None:
    import shutil

    put(server, some_runs(2))
    source = open_api()
    wanted = everything(source)
    first = source.fetch(wanted)
    shutil.rmtree(source.cache.root)
    assert source.fetch(wanted) == first
    assert all(isinstance(local, Path) and local.exists() for local in first)


@pytest.mark.parametrize("fault", ["corrupt", "truncate", "drop", "status", "refused"])
def test_faults_of_the_storage_pass(server: WandbServer, fault: str) -> None:
    put(server, some_runs(3))
    source = open_api(timeout=5)
    wanted = everything(source)
    path = "^/storage/artifacts"
    if fault == "corrupt":
        server.faults.add(path=path, times=1, corrupt=True)
    elif fault == "truncate":
        server.faults.add(path=path, times=1, truncate=10)
    elif fault == "drop":
        server.faults.add(path=path, times=1, drop="body")
    elif fault == "status":
        server.faults.add(path=path, times=2, status=503)
    else:  # for good: the client's own fallback has to do
        server.faults.add(path=path, status=403)
    for (_, file), local in zip(wanted, source.fetch(wanted), strict=True):
        assert isinstance(local, Path), local
        assert md5(local.read_bytes()) == file.digest
    server.faults.clear()


@pytest.mark.parametrize("fault", ["corrupt", "truncate", "drop"])
def test_a_damaged_manifest_is_fetched_again(server: WandbServer, fault: str) -> None:
    put(server, some_runs(1))
    source = open_api(timeout=5)
    references = source.artifacts([source.find_run("run0")])["run0"]
    path = "^/storage/manifests"
    if fault == "corrupt":
        server.faults.add(path=path, times=1, corrupt=True)
    elif fault == "truncate":
        server.faults.add(path=path, times=1, truncate=30)
    else:
        server.faults.add(path=path, times=1, drop="body")
    [[file]] = source.manifests(references)
    assert file.digest == md5(b"test run0" * 50)


def test_a_hostile_manifest_path_is_refused(server: WandbServer, tmp_path: Path) -> None:
    hostile = SeedArtifact("evil", "dataset", {"../../evil.txt": b"x", "fine.txt": b"y"})
    put(server, [SeedRun(id="r", artifacts=[hostile])])
    source = open_api()
    done = download(source, source.find_run("r"), root=tmp_path / "deep" / "down")
    assert done.problems == ["evil:v0/../../evil.txt: leaves the directory"]
    assert (tmp_path / "deep" / "down" / "evil" / "fine.txt").read_bytes() == b"y"
    assert not list(tmp_path.rglob("evil.txt"))


def test_a_file_that_storage_lost_is_a_reason(server: WandbServer) -> None:
    put(server, some_runs(2))
    source = open_api(timeout=2)
    wanted = everything(source)
    server.faults.add(path=f"/{wanted[0][1].path}|artifactsV2", status=404)
    results = source.fetch(wanted)
    assert all(isinstance(r, SkippedFile) and "404" in r.reason for r in results)
    server.faults.clear()


def test_the_cache_refuses_what_is_no_digest(tmp_path: Path) -> None:
    for digest in ("", "nonsense", "../../etc", "MD4:AAAA"):
        with pytest.raises(ValueError, match="digest"):
            Cache(tmp_path).file_path(digest)


def test_no_file_on_the_server_any_more(server: WandbServer) -> None:
    put(server, some_runs(1))
    source = open_api()
    wanted = everything(source)
    server.artifact(f"{wanted[0][0].name}:v0").state = "DELETED"
    [result] = source.fetch(wanted)
    assert isinstance(result, SkippedFile)
    assert "not on W&B any more" in result.reason


# --- One artifact by its name ---------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("bert-checkpoint:v0", b"first"),
        ("bert-checkpoint:best", b"first"),
        ("bert-checkpoint:latest", b"third"),
        (f"{PROJECT}/bert-checkpoint:v1", b"second"),
        (f"goemo-team/{PROJECT}/bert-checkpoint:v2", b"third"),
        (f"{{url}}/goemo-team/{PROJECT}/artifacts/model/bert-checkpoint/v1/files", b"second"),
    ],
)
def test_an_artifact_by_itself(
    wandb_server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str,
    content: bytes,
) -> None:  # fmt: skip
    point_at(monkeypatch, wandb_server, tmp_path)
    versions = [
        SeedArtifact("bert-checkpoint", "model", {"w": body}, aliases=aliases)
        for body, aliases in ((b"first", ["best"]), (b"second", []), (b"third", []))
    ]
    put(wandb_server, [SeedRun("r1", name="bert", artifacts=versions)])
    choice = SourceChoice()
    found = find_artifact(choice, text.format(url=wandb_server.url))
    assert found is not None
    source, run, artifact = found
    done = download_artifacts(source, run, [artifact], tmp_path / "d")
    assert done.complete
    assert done.run.name == "bert"
    assert (tmp_path / "d" / "bert-checkpoint" / "w").read_bytes() == content
    assert find_artifact(choice, "r1") is None
    with pytest.raises(NotFoundError, match="no artifact bert-checkpoint:v9"):
        find_artifact(choice, "bert-checkpoint:v9")

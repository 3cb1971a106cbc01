import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goemo_report.report.document import MISSING, Cell, Column, ColumnKind, Value
from goemo_report.report.render.text import (
    NUMERIC_KINDS,
    show,
    show_cell,
    show_date,
)


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        (0.51234, "number", "0.512"),
        (-0.25, "number", "\u22120.250"),
        (2e-5, "number", "0.00002"),  # would read as nothing at three decimals
        (0.0, "number", "0.000"),
        (0.0125, "delta", "+0.013"),
        (-0.0125, "delta", "\u22120.013"),
        (-0.0001, "delta", "\u22120.0001"),
        (3e-17, "delta", "0.000"),  # what rounding leaves
        (2e-9, "delta", "+2e\u221209"),
        (0.0004, "percent", "0.04\u00a0%"),
        (0.512, "percent", "51.2\u00a0%"),
        (1.0, "percent", "100.0\u00a0%"),
        (0.0004, "pvalue", "<0.001"),
        (0.0421, "pvalue", "0.042"),
        (1.0, "pvalue", "1.000"),
        (43410, "integer", "43,410"),
        (0.0421, "duration", "42 ms"),
        (12.34, "duration", "12.3 s"),
        (59.96, "duration", "1 min 00 s"),
        (200, "duration", "3 min 20 s"),
        (3599.9, "duration", "1 h 00 min"),
        (3725.0, "duration", "1 h 02 min"),
        (999, "bytes", "999 B"),
        (1_234_567, "bytes", "1.23 MB"),
        (267_000_000, "bytes", "267 MB"),
        (999_999, "bytes", "1 MB"),
        (2e-5, "text", "2e-05"),
        (16, "text", "16"),
        (-3, "text", "-3"),
        (True, "text", "yes"),
        (None, "number", MISSING),
        (math.nan, "number", MISSING),
        (math.inf, "number", "\u221e"),
        ("left out", "number", "left out"),
    ],
)
def test_values_read_as_their_column_says(value: Value, kind: ColumnKind, shown: str) -> None:
    assert show(value, Column("a", "A", kind)) == shown


def test_digits_are_the_columns() -> None:
    assert show(0.123456, Column("a", "A", "number", digits=5)) == "0.12346"
    assert show(0.5, Column("a", "A", "percent", digits=2)) == "50\u00a0%"


def test_interval_stands_beside_the_value() -> None:
    assert show_cell(Cell(0.512, 0.494, 0.53), Column("a", "A", "number")) == "0.512 [0.494, 0.530]"
    ends = Cell(0.016, -0.0002, 0.032)  # zero is inside, and can be seen to be
    assert show_cell(ends, Column("a", "A", "delta")) == "+0.016 [\u22120.0002, +0.032]"
    assert show_cell(Cell(0.512, 0.494), Column("a", "A", "number")) == "0.512"


def test_dates_are_utc() -> None:
    east = timezone(timedelta(hours=2))
    assert show_date(datetime(2026, 3, 14, 1, 30, tzinfo=east)) == "2026-03-13 23:30 UTC"
    assert show_date(datetime(2026, 3, 14, 1, 30)) == "2026-03-14 01:30"  # no zone known
    assert show(datetime(2026, 3, 14, tzinfo=UTC), Column("a", "A", "date")).startswith(
        "2026-03-14"
    )


@given(
    value=st.floats(-1e12, 1e12) | st.integers(-(10**12), 10**12) | st.none() | st.booleans(),
    kind=st.sampled_from(sorted(NUMERIC_KINDS)),
    digits=st.integers(0, 6),
)
def test_every_number_is_shown_and_nothing_is_negative_zero(
    value: Value, kind: ColumnKind, digits: int
) -> None:
    text = show(value, Column("a", "A", kind, digits=digits))
    assert text
    assert "-" not in text
    if kind == "delta":
        assert text.strip("\u2212+0.") or not text.startswith(("\u2212", "+"))

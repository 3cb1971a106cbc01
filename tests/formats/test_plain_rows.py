"""The quick way through the guide's CSV gives what the csv module gives."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goemo_report.errors import DataError
from goemo_report.formats.plain_rows import decimals
from goemo_report.formats.table import Table, quoted

HEADER = "text,true_labels,pred_probs_joy,pred_probs_fear"


def _columns(data: bytes, numbers: tuple[str, ...]) -> list[list[Any]]:
    columns = list(map(list, Table.of(data, "f.csv", numbers=numbers).columns))
    return [*columns[:2], *(list(map(float, cells)) for cells in columns[2:])]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_of_all_kinds_read_as_the_csv_module_reads_them(end: str) -> None:
    chosen = random.Random(3)
    texts = ["plain", "", 'a "quoted" one', "two\nlines", "comma, here", "\u00e9\U0001f600", '""']
    odd = ['half "quoted,joy,0.5,0.25', ' "spaced",joy,.5,1', "x,joy, 0.5,1e-3", ""]
    for _ in range(40):
        rows = [
            f"{quoted(chosen.choice(texts))},{chosen.choice(['joy', ''])},"
            f"{chosen.random():.{chosen.randint(1, 17)}f},{chosen.choice(['0', '1', '1e-07'])}"
            for _ in range(chosen.randint(1, 9))
        ]
        for _ in range(chosen.randint(0, 1)):
            rows.insert(chosen.randint(0, len(rows)), chosen.choice(odd))
        data = end.join([HEADER, *rows, ""] if chosen.random() < 0.8 else [HEADER, *rows]).encode()
        assert _columns(data, ("pred_probs_",)) == _columns(data, ())


def test_decimals_are_read_as_float_reads_them() -> None:
    chosen, found = random.Random(5), np.random.default_rng(5)
    numbers = [*map(str, found.random(4000)), *map(str, found.random(4000).astype(np.float32) ** 9)]
    for one in found.random(2000).tolist():  # next to midway between two numbers
        middle = (Decimal(one) + Decimal(math.nextafter(one, 2))) / 2
        numbers.append(format(middle, "f")[: chosen.randint(2, 24)])
    numbers += ["0", "1", "1.0", "0.", ".5", "0." + "9" * 17, "0." + "9" * 19, "0." + "3" * 20]
    assert decimals(",".join(numbers).encode()).tolist() == [float(one) for one in numbers]
    for wrong in ("", "0.5.1", "0.1/2", "0.12345678:", "0.1234567a", "0.5e", "x", "0.1 2"):
        with pytest.raises(ValueError, match="could not convert"):
            decimals(f"0.25,{wrong},0.5".encode())
    for last in ("", "x"):  # at the end of the bytes, beside one of many digits
        with pytest.raises(ValueError, match="could not convert"):
            decimals(f"0.{'3' * 19},{last}".encode())


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (b"x,joy,0.5", "line 3 (row 2): 3 fields where the header has 4"),
        (b"x,joy,0.5,0.5,0.5", "line 3 (row 2): 5 fields"),
        (b"\xff,joy,0.5,0.5", "line 3: byte 0xff is not UTF-8"),
        (b'"x,joy,0.5,0.5', "line 3: not a CSV row"),
    ],
)
def test_a_bad_row_after_plain_ones_keeps_its_line(row: bytes, said: str) -> None:
    data = b"\n".join([HEADER.encode(), b"a,joy,0.5,0.5", row, b""])
    with pytest.raises(DataError) as error:
        _columns(data, ("pred_probs_",))
    assert said in str(error.value)


def test_parquet_is_read_without_pandas(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    truth = ["joy", "joy,anger"] * 3
    probabilities = np.linspace(0.1, 0.9, 6)
    columns: dict[str, Any] = {"text": list("abcdef"), "true_labels": truth, "pred_labels": truth}
    columns |= {f"pred_probs_{label}": probabilities for label in ("joy", "anger")}
    pq.write_table(pa.table(columns), tmp_path / "p.parquet", row_group_size=4)
    code = (
        "import sys; from pathlib import Path; from goemo_report.predictions import *\n"
        "p = read_predictions(Path(sys.argv[1])); assert 'pandas' not in sys.modules\n"
        "print(p.probabilities[:, 0].tolist())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "p.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(probabilities.tolist())


def test_a_row_is_refused_by_its_line_though_what_follows_cannot_be_read() -> None:
    table = Table.of((HEADER + "\na,joy,0.5,0.5\nb,woe,0.5,0.5\n").encode(), "p.csv")
    damaged = replace(table, data=table.data + b"\xff,joy,x,0.5\n")
    assert "p.csv, line 3 (row 2), column" in str(damaged.refusal(1, "true_labels", "no", "Mend"))

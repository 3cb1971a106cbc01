"""The format of a file is told from its bytes, and the message says what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from goemo_report.errors import DataError
from goemo_report.formats.readers import read_table

HEADER = ["text", "true_labels", "pred_labels", "pred_probs_joy", "pred_probs_fear"]
ROW = ["Hello; you | there", "joy,fear", "joy", "0.5", "0.25"]
CSV = b'text,true_labels,pred_labels,p\n"a; b\tc\td\te\tf",joy,joy,0.5\n'


def separated(mark: str, row: list[str] = ROW) -> bytes:
    return f"{mark.join(HEADER)}\n{mark.join(row)}\n".encode()


def zipped(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, CSV)
    return data.getvalue()


def saved(**arrays: list[int]) -> bytes:
    data = io.BytesIO()
    np.savez(data, **arrays)  # type: ignore[arg-type] # lists become arrays
    return data.getvalue()


def tarred() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("p.csv"))
    return data.getvalue()


def said(value: bytes | str) -> str:
    """Ids of tests without bytes, which hold the time in some formats."""
    return value if isinstance(value, str) else "bytes"


PLAIN = ["Hello", "joy", "joy", "0.5", "0.25"]
PLAIN_RECORD = json.dumps(dict(zip(HEADER, PLAIN, strict=True)))


def separated_plain(mark: str) -> bytes:
    return separated(mark, PLAIN)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x28\xb5\x2f\xfd\x24", "is a Zstandard file"),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "is an Excel workbook"),
        (zipped("mimetype", "content.xml"), "is an OpenDocument file"),
        (zipped("archive/data.pkl", "archive/version"), "is a PyTorch file"),
        (saved(probabilities=[1]), "has no y_true. Save y_true, y_prob and labels"),
        (tarred(), "is a tar archive"),
        (gzip.compress(tarred(), mtime=0), "is a tar archive"),
        (b"PAR1\x15\x04\x15\x10", "is a Parquet file that is cut off or damaged"),
        (b"ARROW1\0\0\xff\xff\xff\xff", "is an Arrow or Feather file that is cut off or damaged"),
        (b"\x93NUMPY\x01\0", "is a NumPy array"),
        (pickle.dumps(ROW), "is a Python pickle"),
        (b"[1, 2]", "is JSON, but not a list of objects"),
        (zipped("a.csv", "b.csv"), "holds 2 files, not one"),
        (separated(",").decode().encode("utf-16")[:-1], "is UTF-16 that is cut off or damaged"),
        (
            b'{"text": ["a", "b"], "n": [1]}',
            "is JSON, but neither a list of objects nor",
        ),
        (b"[]", "is JSON without a record"),
        (separated(",").decode().encode("utf-16-le"), "is UTF-16, not UTF-8"),
        (bytes(300), "is a binary file, not a CSV"),
        (b"<!DOCTYPE html><html>log in</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (b"\x7fELF\x02\x01\x00\x00\xff\xfe", "is a binary file"),
    ],
    ids=said,
)
def test_other_formats_are_named_with_the_remedy(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_table(path, path.name)
    assert str(caught.value).startswith(f"predictions.csv {said}")
    assert caught.value.remedy


@pytest.mark.parametrize(
    "data",
    [
        separated_plain(","),
        separated_plain("\t"),
        separated_plain("|"),
        separated_plain(";"),
        b"sep=;\n" + separated_plain(";"),
        b"\xef\xbb\xbf" + separated_plain("\t"),
        b"\xef\xbb\xbf\xef\xbb\xbf" + separated_plain(","),
        separated_plain("\t").decode().encode("utf-16"),
        b"\xfe\xff" + separated_plain(";").decode().encode("utf-16-be"),
        gzip.compress(separated_plain("\t"), mtime=0),
        bz2.compress(gzip.compress(separated_plain(","), mtime=0)),
        lzma.compress(separated_plain(",")),
        f"{PLAIN_RECORD}\n{PLAIN_RECORD}\n".encode()[: len(PLAIN_RECORD) + 1]
        + PLAIN_RECORD.encode(),
        f"[{PLAIN_RECORD}]".encode(),
        f"{PLAIN_RECORD}\n".encode(),
        json.dumps({"columns": HEADER, "data": [PLAIN]}, indent=2).encode(),
    ],
    ids=said,
)
def test_tables_of_other_formats_are_read(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_bytes(data)
    table = read_table(path, path.name)
    assert table.header == HEADER
    assert table.rows[0] == PLAIN


@pytest.mark.parametrize(
    "data", [CSV, gzip.compress(CSV, mtime=0), b"\xef\xbb\xbf" + CSV, b"\n\n" + CSV]
)
def test_a_csv_is_read_whatever_its_texts_hold(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "predictions.tsv"
    path.write_bytes(data)
    table = read_table(path, path.name)
    assert table.rows == [["a; b\tc\td\te\tf", "joy", "joy", "0.5"]]

"""Directories as data sets: layouts, columns, raters, label sets, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from goemo_report.corpora.corpus import Corpus, corpus_of
from goemo_report.corpora.directory import Found, read_directory
from goemo_report.corpora.tables import Columns
from goemo_report.errors import DataError
from goemo_report.labels import EKMAN, EMOTIONS, SENTIMENT
from goemo_report.reading.lists import items

ROWS = (("one", ["joy", "anger"]), ('a "quoted", text', ["neutral"]), ("three", ["grief"]))
SPLITS = ("train", "validation", "test")


def corpus(root: Path, columns: Columns | None = None, **options: Any) -> Corpus:
    return corpus_of(read_directory(root, columns), "mine", **options)


def held(found: Corpus, split: str = "train") -> list[tuple[str, set[str]]]:
    part = getattr(found, split)
    return [
        (text, {found.labels[at] for at in np.flatnonzero(row)})
        for text, row in zip(part.texts, part.truth, strict=True)
    ]


EXPECTED = [(text, set(labels)) for text, labels in ROWS]


def ids(labels: Sequence[str]) -> list[int]:
    return [EMOTIONS.index(label) for label in labels]


def csv_of(header: str, cells: Sequence[str], mark: str = ",") -> str:
    lines = [header]
    for (text, _), cell in zip(ROWS, cells, strict=True):
        quoted = [f'"{part.replace(chr(34), chr(34) * 2)}"' for part in (text, cell)]
        lines.append(mark.join(quoted))
    return "\n".join(lines) + "\n"


def one_hot() -> str:
    lines = ["text," + ",".join(EMOTIONS)]
    for text, labels in ROWS:
        marks = ",".join(str(int(e in labels)) for e in EMOTIONS)
        lines.append(f'"{text.replace(chr(34), chr(34) * 2)}",{marks}')
    return "\n".join(lines)


FILES: Mapping[str, tuple[str, str, bool]] = {
    "lists of names": ("csv", csv_of("text,labels", [json.dumps(own) for _, own in ROWS]), False),
    "Python lists": ("csv", csv_of("text,labels", [str(own) for _, own in ROWS]), False),
    "NumPy lists of ids": (
        "csv",
        csv_of("text,label", [f"[{' '.join(map(str, ids(own)))}]" for _, own in ROWS]),
        True,
    ),
    "commas": ("csv", csv_of("text,emotions", [",".join(own) for _, own in ROWS]), False),
    "bars": ("csv", csv_of("comment_text,labels", ["|".join(own) for _, own in ROWS]), False),
    "marks at the end": (
        "csv", csv_of("text,labels", [f"{';'.join(own)};" for _, own in ROWS]), False
    ),
    "ids": (
        "csv", csv_of("text,labels", [",".join(map(str, ids(own))) for _, own in ROWS]), True
    ),
    "semicolons": ("csv", csv_of("text;labels", [",".join(own) for _, own in ROWS], ";"), False),
    "one-hot": ("csv", one_hot(), False),
    "JSON lines": (
        "jsonl",
        "\n".join(json.dumps({"text": t, "labels": own, "id": "x"}) for t, own in ROWS),
        False,
    ),
    "mappings": (
        "csv", csv_of("text,labels", [json.dumps({e: int(e in own) for e in EMOTIONS})
                                      for _, own in ROWS]), False,
    ),
    "JSON mappings": (
        "json",
        json.dumps([{"text": t, "labels": {e: e in own for e in own}} for t, own in ROWS]),
        False,
    ),
    "JSON": ("json", json.dumps([{"text": t, "labels": ids(own)} for t, own in ROWS]), True),
    "TSV with a header": (
        "tsv",
        "text\tlabels\n" + "".join(f"{t}\t{','.join(map(str, ids(own)))}\n" for t, own in ROWS),
        True,
    ),
    "TSV of names": ("tsv", "".join(f"{t}\t{','.join(own)}\tid\n" for t, own in ROWS), True),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_way_to_write_labels(tmp_path: Path, name: str) -> None:
    ending, content, needs_names = FILES[name]
    for split in SPLITS:
        (tmp_path / f"{split}.{ending}").write_text(content)
    if needs_names:
        (tmp_path / "labels.txt").write_text("\n".join(EMOTIONS))
    found = corpus(tmp_path)
    assert found.labels == EMOTIONS
    assert held(found) == held(found, "val") == held(found, "test") == EXPECTED


@pytest.mark.parametrize("noted", ["features", "info", "card"])
def test_hugging_faces_parquet_names_its_ids(tmp_path: Path, noted: str) -> None:
    names = list(EMOTIONS)
    feature = {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"}
    table = pa.table({"text": [t for t, _ in ROWS], "labels": [ids(own) for _, own in ROWS]})
    if noted == "features":
        metadata = {"info": {"features": {"labels": feature}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    elif noted == "info":
        (tmp_path / "dataset_info.json").write_text(json.dumps({"features": {"labels": feature}}))
    else:
        classes = "".join(f"          '{n}': {name}\n" for n, name in enumerate(names))
        (tmp_path / "README.md").write_text(
            "---\ndataset_info:\n  features:\n  - name: text\n    dtype: string\n  - name: labels\n"
            f"    sequence:\n      class_label:\n        names:\n{classes}---\nText\n"
        )
    folder = tmp_path / "data"
    folder.mkdir()
    for split in ("train", "test"):
        pq.write_table(table.slice(0, 2), folder / f"{split}-00000-of-00002.parquet")
        pq.write_table(table.slice(2), folder / f"{split}-00001-of-00002.parquet")
    pq.write_table(table, folder / "validation-00000-of-00001.parquet")
    found = corpus(tmp_path)
    assert held(found) == held(found, "val") == EXPECTED


@pytest.mark.parametrize("parts", [("test.parquet",), ("train-00001-of-00002.parquet",)])
@pytest.mark.parametrize("damaged", [False, True])
def test_names_of_ids_are_the_same_in_all_files(
    tmp_path: Path, parts: tuple[str, ...], damaged: bool
) -> None:
    def write(name: str, names: list[str]) -> None:
        noted = json.dumps({"info": {"features": {"labels": {"names": names}}}})
        table = pa.table({"text": ["a"], "labels": [0]})
        table = table.replace_schema_metadata({"huggingface": noted[: -damaged or None]})
        pq.write_table(table, tmp_path / name)

    for name in ("train-00000-of-00002", "validation", "test"):
        write(f"{name}.parquet", ["x", "y"])
    for name in parts:
        write(name, ["y", "x"])
    with pytest.raises(DataError, match="another order" if not damaged else "cannot be read") as e:
        corpus(tmp_path)
    assert ".parquet" in str(e.value) or "test has other labels" in str(e.value)
    assert "\n" not in str(e.value)


def raters() -> str:
    """Three raters: two agree on joy in a, nobody agrees on b, c is clear."""
    lines = ["text,id,rater_id,example_very_unclear," + ",".join(EMOTIONS)]
    votes: tuple[tuple[str, tuple[list[str], ...]], ...] = (
        ("a", (["joy"], ["joy", "love"], ["anger"])),
        ("b", (["joy"], ["fear"], [])),
        ("c", (["neutral"], ["neutral"], ["neutral"])),
    )
    for key, chosen in votes:
        for rater, labels in enumerate(chosen):
            marks = ",".join(str(int(e in labels)) for e in EMOTIONS)
            lines.append(f"text {key},{key},{rater},{not labels},{marks}")
    return "\n".join(lines)


def test_raters_of_which_two_agree(tmp_path: Path) -> None:
    for split in SPLITS:
        (tmp_path / f"{split}.csv").write_text(raters())
    found = corpus(tmp_path)
    assert held(found) == [("text a", {"joy"}), ("text c", {"neutral"})]
    assert "train: 9 ratings of 3 texts" in found.notes[0]
    assert "1 texts without one are dropped" in found.notes[0]


@pytest.mark.parametrize("taxonomy", ["", "sentiment"])
def test_shares_of_raters_who_chose_a_label(tmp_path: Path, taxonomy: str) -> None:
    """A rater who chose two labels of a group chose the group once; who chose none has no say."""
    for split in SPLITS:
        (tmp_path / f"{split}.csv").write_text(raters())
    found = corpus_of(read_directory(tmp_path), "raw", taxonomy=taxonomy)
    assert found.train.shares is not None
    assert found.val.shares is None
    place = {label: at for at, label in enumerate(found.labels)}
    wanted = (
        {"joy": 2 / 3, "love": 1 / 3, "anger": 1 / 3}
        if not taxonomy
        else {"positive": 2 / 3, "negative": 1 / 3}
    )
    a, c = found.train.shares
    assert {label: a[at] for label, at in place.items() if a[at]} == pytest.approx(wanted)
    assert {label: c[at] for label, at in place.items() if c[at]} == {"neutral": 1.0}


def test_raw_files_that_are_not_split_are_split_by_their_ids(tmp_path: Path) -> None:
    header = "text,id,rater_id,joy,neutral"
    for part in (1, 2):
        rows = [
            f"text {n},{n},{rater},1,0" for n in range(200 * part, 200 * part + 200)
            for rater in (1, 2)
        ]  # fmt: skip
        (tmp_path / f"goemotions_{part}.csv").write_text("\n".join([header, *rows]))
    found, again = corpus(tmp_path), corpus(tmp_path)
    sizes = [len(part.texts) for part in (found.train, found.val, found.test)]
    assert sum(sizes) == 400
    assert 290 < sizes[0] < 350
    assert found.train.texts == again.train.texts
    assert any("80:10:10" in note for note in found.notes)


@pytest.mark.parametrize(
    ("taxonomy", "labels", "expected"),
    [
        ("ekman", EKMAN.labels, [{"joy", "anger"}, {"neutral"}, {"sadness"}]),
        ("sentiment", SENTIMENT.labels, [{"positive", "negative"}, {"neutral"}, {"negative"}]),
        ("goemotions", EMOTIONS, [set(labels) for _, labels in ROWS]),
    ],
)
def test_labels_are_mapped_before_training(
    tmp_path: Path, taxonomy: str, labels: tuple[str, ...], expected: list[set[str]]
) -> None:
    for split in SPLITS:
        (tmp_path / f"{split}.csv").write_text(one_hot())
    found = corpus(tmp_path, taxonomy=taxonomy)
    assert found.labels == labels
    assert [names for _, names in held(found)] == expected
    without = corpus(tmp_path, taxonomy=taxonomy, exclude_neutral=True)
    assert without.labels == tuple(label for label in labels if label != "neutral")
    assert len(without.train.texts) == 2


def test_own_labels_from_two_on_and_texts_without_any(tmp_path: Path) -> None:
    rows = "comment,toxic,insult,score\nhello,0,0,0.5\nyou fool,1,1,0.9\n"
    for split in SPLITS:
        (tmp_path / f"{split}.csv").write_text(rows)
    found = corpus(tmp_path)
    assert found.labels == ("toxic", "insult")
    assert held(found) == [("hello", set()), ("you fool", {"toxic", "insult"})]
    with pytest.raises(DataError, match="2 labels cannot be mapped to ekman"):
        corpus(tmp_path, taxonomy="ekman")
    with pytest.raises(DataError, match="no label 'neutral'"):
        corpus(tmp_path, exclude_neutral=True)


def test_named_columns(tmp_path: Path) -> None:
    rows = "body,kind,a,b\nhello,x;y,1,0\nbye,x,0,1\n"
    for split in SPLITS:
        (tmp_path / f"{split}.csv").write_text(rows)
    found = corpus(tmp_path, Columns("body", "kind"))
    assert held(found) == [("hello", {"x", "y"}), ("bye", {"x"})]
    assert corpus(tmp_path, Columns("body", "a,b")).labels == ("a", "b")
    with pytest.raises(DataError, match=r"has no column of texts; it has 'body'"):
        corpus(tmp_path)
    with pytest.raises(DataError, match="has no column 'kid'"):
        corpus(tmp_path, Columns("body", "kid"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no data set"),
        ({"train.csv": "text,labels\na,joy\n"}, "has no test split"),
        ({"validation.csv": "text,joy,anger\na,1,0\n", "dev.tsv": "x"}, "may be the val split"),
        ({"labels.txt": "joy\njoy\n"}, "lists 'joy' twice"),
        ({"train.csv": "text,labels\na,3\n"}, "labels are ids, and nothing says what they mean"),
        ({"train.csv": "text,labels\n ,joy\n"}, r"train\.csv.*line 2.*the text is empty"),
        ({"train.csv": "text,labels\na,\"joy,joy,anger\"\n"}, "'joy' is named twice"),
        ({"train.jsonl": '{"text": "a", "labels": {"x": 0.9, "y": 1}}\n' * 2, "train.csv": None},
         "column labels.x: '0.9' is neither 0 nor 1"),
        ({"train.csv": "text,other\na,1\n"}, "no column of labels; it has"),
        ({"labels.txt": "x\ny\n"}, r"csv, line 2.*labels: 'joy' is no label: they are x and y"),
        ({"labels.txt": "x\ny\n", "train.csv": "text,labels\na,7\n",
          "validation.csv": "text,labels\na,0\n", "test.csv": "text,labels\na,0\n"},
         r"train\.csv, line 2.*'7' holds an id that is no label's\. Write ids from 0 to 1"),
        ({"train.csv": "text,labels\na,\"x, macro\"\n"}, "the name of an average"),
    ],
)  # fmt: skip
def test_what_is_refused_says_why(
    tmp_path: Path, files: dict[str, str | None], message: str
) -> None:
    cell = "3" if "ids, and" in message else "joy"
    for name in SPLITS if files and "no test" not in message else ():
        (tmp_path / f"{name}.csv").write_text(f"text,labels\na,{cell}\n")
    for name, content in files.items():
        (tmp_path / name).unlink() if content is None else (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as error:
        corpus(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("", ()), (None, ()), ("joy", ("joy",)), ("3", ("3",)), (3, ("3",)), (3.0, ("3",)),
        ("[]", ()), ("[3, 27]", ("3", "27")), ("[3 27]", ("3", "27")), ([3, 27], ("3", "27")),
        ("('a', 'b c')", ("a", "b c")), ("['a' 'b']", ("a", "b")), ("a; b", ("a", "b")),
        ('{"joy": 0, "anger": 1}', ("anger",)), ({"joy": True, "anger": None}, ("joy",)),
        ([("joy", 1.0), ("anger", 0)], ("joy",)), ("{'joy': 0}", ()),
        ([{"label": "joy", "score": 1}, {"label": "anger", "score": 0}], ("joy",)),
    ],
)  # fmt: skip
def test_cells_that_list_labels(cell: Any, expected: tuple[str, ...]) -> None:
    assert [
        f"{item:g}" if isinstance(item, float) else str(item).strip() for item in items(cell)
    ] == [*expected]


@pytest.mark.parametrize("cell", [
    '{"joy": 0.9, "anger": 1}', [{"label": "joy", "score": 0.2}], [["joy"]], [{"joy": 1}],
    "[{'joy': 1}]",
])  # fmt: skip
def test_cells_that_list_no_labels(cell: Any) -> None:
    with pytest.raises(DataError, match=r"neither 0 nor 1|is no list of labels"):
        items(cell)


def test_known_labels_come_in_their_own_order_and_no_id_is_below_nought() -> None:
    names = tuple(reversed(EKMAN.labels))
    splits = {split: [("a", (0,)), ("b", (6, 5))] for split in ("train", "val", "test")}
    found = corpus_of(Found(splits, names, "1"), "mine")
    assert found.labels == EKMAN.labels
    assert held(found) == [("a", {"neutral"}), ("b", {"anger", "disgust"})]
    splits["val"] = [("a", (1,)), ("b", (-1,))]
    with pytest.raises(DataError, match="row 2: the label id is below 0"):
        corpus_of(Found(splits, names, "1"), "mine")


def test_a_table_is_what_it_holds_not_what_it_is_called(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        rows = "".join(f"{split} {row},{row % 2}\n" for row in range(4))
        (tmp_path / f"{split}.parquet").write_text(f"text,label\n{rows}")
    with pytest.raises(DataError, match="nothing says what they mean"):
        read_directory(tmp_path)

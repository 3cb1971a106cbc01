"""Prediction files: what is read, what is refused and how, what is written."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goemo_report.contract import prediction_columns
from goemo_report.errors import DataError
from goemo_report.labels import EMOTIONS, GOEMOTIONS, WITHOUT_NEUTRAL, LabelSet
from goemo_report.predictions import (
    Predictions,
    read_predictions,
    write_predictions,
)
from goemo_report.thresholds.infer import infer_threshold
from tests.numbers import make_predictions

HEADER = list(prediction_columns(EMOTIONS))
ROW = ["a text", "joy,love", "joy", *(["0.25"] * 28)]


def write_rows(path: Path, *rows: list[str], end: str = "\n") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator=end).writerows(rows)
    return path


def changed(row: list[str], column: str, value: str) -> list[str]:
    return [value if name == column else cell for name, cell in zip(HEADER, row, strict=True)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test_predictions.csv"


# --- Read as they are -----------------------------------------------------------------


def test_a_row_is_read_as_written(path: Path) -> None:
    found = read_predictions(write_rows(path, HEADER, changed(ROW, "pred_probs_love", "0.75")))
    assert found.texts == ("a text",)
    assert found.labels == EMOTIONS
    assert np.flatnonzero(found.truth[0]).tolist() == [
        EMOTIONS.index("joy"),
        EMOTIONS.index("love"),
    ]
    assert np.flatnonzero(found.predicted[0]).tolist() == [EMOTIONS.index("joy")]
    assert found.probabilities[0, EMOTIONS.index("love")] == 0.75
    assert found.probabilities[0, EMOTIONS.index("joy")] == 0.25
    assert found.source == path.name
    assert len(found) == 1


@pytest.mark.parametrize(
    "text",
    [
        "NA",
        "nan",
        "null",
        "",
        " spaces ",
        'he said "no", twice',
        "two\nlines",
        "carriage\rreturn",
        "both\r\n",
        "a,b;c\td",
        "=1+1",
        "\N{PILE OF POO} \N{ZERO WIDTH JOINER}",
        "nul\0byte",
        "x" * 200_000,
    ],
)
def test_any_text_is_text(path: Path, text: str) -> None:
    quoted = '"' + text.replace('"', '""') + '"'
    rest = ",".join(f'"{cell}"' for cell in ROW[1:])
    path.write_bytes(f"{','.join(HEADER)}\n{quoted},{rest}\n".encode())
    assert read_predictions(path).texts == (text,)


def test_long_fields_leave_the_limit_of_csv_alone(path: Path) -> None:
    before = csv.field_size_limit()
    read_predictions(write_rows(path, HEADER, changed(ROW, "text", "x" * (before + 1))))
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("compressed", [False, True])
def test_line_ends_byte_order_marks_and_gzip(
    tmp_path: Path, end: str, mark: bytes, compressed: bool
) -> None:
    plain = mark + write_rows(tmp_path / "plain", HEADER, ROW, ROW, end=end).read_bytes()
    path = tmp_path / ("p.csv.gz" if compressed else "p.csv")
    path.write_bytes(gzip.compress(plain, mtime=0) if compressed else plain)
    assert read_predictions(path).texts == ("a text", "a text")


def test_columns_in_any_order_beside_others(path: Path) -> None:
    order = np.random.default_rng(0).permutation(len(HEADER))
    probabilities = [f"{j / 100}" for j in range(28)]
    row = [*ROW[:3], *probabilities, "more"]
    shuffled = [[line[i] for i in order] for line in (HEADER, row)]
    found = read_predictions(write_rows(path, [*shuffled[0], "id"], [*shuffled[1], "more"]))
    assert found.probabilities[0].tolist() == [j / 100 for j in range(28)]


def test_the_singular_prefix_of_some_runs(path: Path) -> None:
    header = [name.replace("pred_probs_", "pred_prob_") for name in HEADER]
    assert read_predictions(write_rows(path, header, ROW)).labels == EMOTIONS


def test_labels_without_neutral(path: Path) -> None:
    found = read_predictions(write_rows(path, HEADER[:-1], ROW[:-1]))
    assert found.labels == WITHOUT_NEUTRAL.labels
    assert found.truth.shape == (1, 27)


def test_no_labels_and_spaces_after_commas(path: Path) -> None:
    row = changed(changed(ROW, "pred_labels", ""), "true_labels", "joy, love")
    found = read_predictions(write_rows(path, HEADER, row, changed(ROW, "true_labels", "")))
    assert found.predicted[0].sum() == 0
    assert found.truth.sum(axis=1).tolist() == [2, 0]


def test_blank_lines_are_no_rows(path: Path) -> None:
    write_rows(path, HEADER, ROW)
    path.write_text(path.read_text() + "\n\n")
    assert len(read_predictions(path)) == 1


@pytest.mark.parametrize("cell", ["0", "1", "1.0", "5e-324", "1E-3", " 0.5 ", "+0.5", "-0.0"])
def test_numbers_in_any_spelling(path: Path, cell: str) -> None:
    found = read_predictions(write_rows(path, HEADER, changed(ROW, "pred_probs_joy", cell)))
    assert found.probabilities[0, EMOTIONS.index("joy")] == float(cell)


# --- Refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell", ["", "nan", "inf", "-0.1", "1.0001", "1e9", "half", "0_5", "\u0660", "0,5", "0x1"]
)
def test_what_is_no_probability(path: Path, cell: str) -> None:
    bad = changed(ROW, "pred_probs_pride", cell)
    with pytest.raises(DataError) as caught:
        read_predictions(write_rows(path, HEADER, ROW, bad, ROW))
    assert str(caught.value).startswith(
        f"{path.name}, line 3 (row 2), column pred_probs_pride: {cell!r} is not a probability"
    )


@pytest.mark.parametrize("column", ["true_labels", "pred_labels"])
@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("joy,happiness", "'happiness' is no emotion"),
        ("17", "'17' is no emotion, but ids. Write names of emotions"),
        ("2, 17", "'2, 17' is no emotion, but ids"),
        ("joy/love", "'joy/love' is no emotion, but several, separated by slashes"),
        ("joy love", "'joy love' is no emotion, but several, separated by spaces"),
        ("joy,", "'' is no emotion"),
        ("joy,joy", "'joy' is named twice"),
        ("joy | Joy", "'Joy' is named twice"),
    ],
)
def test_labels_that_are_none(path: Path, column: str, cell: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        read_predictions(write_rows(path, HEADER, ROW, changed(ROW, column, cell)))
    assert f"line 3 (row 2), column {column}: {words}" in str(caught.value)


def test_neutral_in_a_file_without_it(path: Path) -> None:
    row = [*ROW[:1], "neutral", *ROW[2:-1]]
    with pytest.raises(DataError, match="no column 'pred_probs_neutral'"):
        read_predictions(write_rows(path, HEADER[:-1], row))


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("", "the cell is empty. Write a number from 0 to 1 in every row"),
        ("0,5", "it has a decimal comma. Write numbers with decimal points"),
        ("50 %", "but a percentage. Write numbers from 0 to 1"),
        ("[0.5]", "but a list. Write one number in the column of each label"),
        ("2.5", "not a probability. Write finite numbers from 0 to 1: sigmoid outputs, not logits"),
    ],
)
def test_why_a_cell_is_no_probability(path: Path, cell: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        read_predictions(write_rows(path, HEADER, changed(ROW, "pred_probs_joy", cell)))
    assert str(caught.value).endswith(words)


def test_a_header_of_another_kind_is_shown(path: Path) -> None:
    header = ["text", *(f"{kind}_{label}" for kind in ("yes", "no") for label in EMOTIONS)]
    with pytest.raises(DataError) as caught:
        read_predictions(write_rows(path, header, ["0"] * len(header)))
    assert "lacks 2 columns: true_labels and either pred_labels or pred_probs_" in caught.value.what
    assert "it has 'text', 28 columns such as 'yes_admiration' and 28 columns such as 'no_" in (
        caught.value.what
    )


def test_lines_are_those_of_an_editor(path: Path) -> None:
    long = changed(ROW, "text", "three\nlines\n")
    with pytest.raises(DataError, match=r"line 5 \(row 2\), column pred_probs_fear"):
        read_predictions(write_rows(path, HEADER, long, changed(ROW, "pred_probs_fear", "?")))


@pytest.mark.parametrize("length", [3, 30, 32])
def test_rows_of_another_length(path: Path, length: int) -> None:
    row = [*ROW, "0.1"][:length]
    with pytest.raises(DataError, match=rf"line 3 \(row 2\): {length} fields .* has 31"):
        read_predictions(write_rows(path, HEADER, ROW, row))


def test_a_quote_that_is_never_closed(path: Path) -> None:
    write_rows(path, HEADER, ROW)
    path.write_text(path.read_text() + '"an open quote\nand more,joy,joy\n')
    with pytest.raises(DataError, match="line 3: not a CSV row"):
        read_predictions(path)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (HEADER[:3], "nothing names all labels in order: it has the names 'joy'"),
        (
            HEADER[:2],
            "lacks 1 column: either pred_labels or pred_probs_{label} of two labels or more",
        ),
        (HEADER[:4], "lacks 1 column: pred_probs_{label} of a second label"),
        ([*HEADER, "pred_probs_"], "column 'pred_probs_': the label '' is no name"),
        ([*HEADER, "pred_probs_a,b"], "the label 'a,b' is no name, or has a comma"),
        ([*HEADER, "pred_probs_micro"], "the label 'micro' is the name of an average"),
        ([*HEADER, "text"], "'text' is there twice"),
        ([*HEADER, "pred_prob_joy"], "'pred_probs_joy' is there twice"),
        (["a;b;c"], "lacks 3 columns"),
        (["text", "true_joy", "prob_joy"], "only one label, 'joy', has columns"),
        (["text", " true_labels", " pred_probs_joy"], "' true_labels' begins or ends with a space"),
        (["text", "x", "x", "x", "y"], "3 columns are named 'x'"),
    ],
)
def test_headers_that_do_not_fit(path: Path, header: list[str], words: str) -> None:
    row = ["joy"] * len(header)
    with pytest.raises(DataError) as caught:
        read_predictions(write_rows(path, header, row))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "lacks"),
        (b"{}", "JSON without a record"),
        (b"\xef\xbb\xbf", "is empty"),
        (",".join(HEADER).encode(), "a header but no rows"),
        (b"text\n\xe9t\xe9\n", "line 2: byte 0xe9 is not UTF-8"),
        ("text,true_labels\n".encode("utf-16")[:-1], "is UTF-16 that is cut off"),
        (gzip.compress(b"text\n" * 1000, mtime=0)[:-20], "not a whole gzip file"),
        (b"\x1f\x8bnonsense", "not a whole gzip file"),
        (b"\x00\x01\x02PNG", "lacks"),
    ],
)
def test_files_that_are_no_predictions(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_predictions(path)
    assert path.name in caught.value.what
    assert words in caught.value.what
    assert caught.value.remedy


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv does not exist"):
        read_predictions(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="the run's file cannot be read"):
        read_predictions(tmp_path, name="the run's file")


def test_what_is_shown_of_a_file_is_short_and_plain(path: Path) -> None:
    bad = changed(ROW, "pred_probs_joy", "\x1b[31m\n" + "9" * 5000)
    with pytest.raises(DataError) as caught:
        read_predictions(write_rows(path, HEADER, bad))
    assert len(str(caught.value)) < 250
    assert str(caught.value).isprintable()


# --- Written --------------------------------------------------------------------------

any_text = st.text(st.characters(codec="utf-8"), max_size=30)


def test_a_small_file_that_unpacks_to_a_great_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goemo_report.formats.readers._SMALL", 1 << 20)
    bomb = tmp_path / "p.csv.gz"
    bomb.write_bytes(gzip.compress(b"\n" * (9 << 20)))
    assert bomb.stat().st_size < 20_000
    with pytest.raises(DataError, match=r"p\.csv\.gz unpacks to more than 1 MiB from"):
        read_predictions(bomb)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data(), st.sampled_from([np.float32, np.float64]), st.sampled_from(["p.csv", "p.csv.gz"]))
def test_what_is_written_reads_back(
    tmp_path: Path, data: st.DataObject, dtype: type[np.floating], name: str
) -> None:
    texts = data.draw(st.lists(any_text, min_size=1, max_size=5))
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    shape = len(texts), 28
    truth = generator.random(shape) < 0.1
    probabilities = (generator.random(shape) ** 9).astype(dtype)
    threshold = data.draw(st.floats(0.0, 1.0))
    path = tmp_path / name
    write_predictions(path, texts, truth, probabilities, threshold, EMOTIONS)
    found = read_predictions(path)
    assert found.texts == tuple(texts)
    assert np.array_equal(found.truth, truth)
    assert np.array_equal(found.probabilities.astype(dtype), probabilities)
    assert np.array_equal(found.predicted, found.probabilities >= threshold)
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("p.csv.")] in (
        [],
        ["p.csv.gz"],
    )


def test_the_file_is_the_guides(path: Path) -> None:
    truth = np.zeros((1, 28), np.bool_)
    truth[0, [EMOTIONS.index("love"), EMOTIONS.index("joy")]] = True
    probabilities = np.where(truth, np.float32(0.7), np.float32(0.1))
    write_predictions(path, ["hi, there"], truth, probabilities, 0.5, EMOTIONS)
    with path.open(newline="", encoding="utf-8") as file:
        header, row = csv.reader(file)
    assert header == HEADER
    assert row[:3] == ["hi, there", "joy,love", "joy,love"]
    assert row[3:5] == ["0.1", "0.1"]
    assert row[3 + EMOTIONS.index("joy")] == "0.7"


def test_one_threshold_a_label(path: Path) -> None:
    probabilities = np.full((1, 28), 0.4)
    thresholds = np.full(28, 0.5)
    thresholds[3] = 0.4
    truth = np.zeros((1, 28), np.bool_)
    write_predictions(path, ["text"], truth, probabilities, thresholds, EMOTIONS)
    assert np.flatnonzero(read_predictions(path).predicted).tolist() == [3]


def test_pandas_reads_the_same(path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    made = make_predictions(50)
    texts = [f'"{row}",\r\n' for row in range(50)]
    write_predictions(path, texts, made.truth, made.probabilities, 0.5, EMOTIONS)
    frame = pandas.read_csv(path, keep_default_na=False)
    assert frame["text"].tolist() == texts
    assert np.array_equal(frame[HEADER[3:]].to_numpy(), made.probabilities)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.01, 1.01])
def test_nothing_is_written_of_what_is_no_prediction(path: Path, value: float) -> None:
    probabilities = np.full((2, 28), 0.5)
    probabilities[1, 1] = value
    with pytest.raises(DataError, match="not a finite number from 0 to 1"):
        write_predictions(path, ["a", "b"], np.zeros((2, 28)), probabilities, 0.5, EMOTIONS)
    assert not list(path.parent.iterdir())


def test_shapes_and_labels_must_fit(path: Path) -> None:
    wide = np.zeros((2, 28))
    with pytest.raises(DataError, match="3 texts x 28 labels"):
        write_predictions(path, ["a", "b", "c"], wide, wide, 0.5, EMOTIONS)
    with pytest.raises(DataError, match="1 label"):
        write_predictions(path, ["a", "b"], wide[:, :1], wide[:, :1], 0.5, EMOTIONS[:1])
    with pytest.raises(DataError, match="'a,b' is no name"):
        write_predictions(path, ["a", "b"], wide[:, :2], wide[:, :2], 0.5, ("a,b", "c"))


def test_a_failed_write_leaves_the_old_file_and_no_part(path: Path) -> None:
    path.write_text("old")
    one = np.zeros((1, 28))
    with pytest.raises(DataError, match="UTF-8 cannot store"):
        write_predictions(path, ["\ud800"], one, one, 0.5, EMOTIONS)
    assert path.read_text() == "old"
    with pytest.raises(DataError, match="cannot be written"):
        write_predictions(path / "below.csv", ["a"], one, one, 0.5, EMOTIONS)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_rows_and_labels_can_be_taken() -> None:
    made = make_predictions(20)
    rows, columns = np.array([4, 2, 2]), np.array([27, 0])
    taken = made.take(rows, columns)
    assert taken.texts == ("text number 4", "text number 2", "text number 2")
    assert taken.labels == ("neutral", "admiration")
    assert np.array_equal(taken.probabilities, made.probabilities[rows][:, columns])
    assert np.array_equal(taken.truth, made.truth[rows][:, columns])
    assert np.array_equal(taken.predicted, made.predicted[rows][:, columns])


# --- The threshold that made a file -----------------------------------------------------


def relabelled(made: Predictions, predicted: np.ndarray) -> Predictions:
    return Predictions(
        made.texts, made.truth, made.probabilities, predicted, made.label_set, made.source
    )


@pytest.mark.parametrize("threshold", [0.5, 0.3, 0.25, 0.123, 0.9])
def test_a_global_threshold_is_found(threshold: float) -> None:
    made = make_predictions(2000, threshold=threshold)
    found = infer_threshold(made)
    assert found.rule == "global"
    assert found.low < threshold <= found.high
    assert found.value is not None
    assert np.array_equal(made.probabilities >= found.value, made.predicted)
    assert found.value == pytest.approx(threshold, abs=0.005)
    assert found.contradictions == 0


def test_one_half_is_preferred_where_it_fits() -> None:
    made = make_predictions(3)
    predicted = np.zeros_like(made.predicted)
    coarse = np.where(made.truth, 0.9, 0.1)
    few = Predictions(made.texts, made.truth, coarse, coarse > 0.5, made.label_set, "few.csv")
    assert infer_threshold(few).value == 0.5
    assert infer_threshold(few).description == "0.5 (any from 0.100 to 0.900 fits)"
    low = Predictions(made.texts, made.truth, coarse / 2, predicted, made.label_set, "none.csv")
    assert infer_threshold(low).value == 0.5


def test_collapse_is_no_threshold() -> None:
    made = make_predictions(100)
    found = infer_threshold(relabelled(made, np.zeros_like(made.predicted)))
    assert found.value is None
    assert found.description.startswith("no emotion is predicted")


def test_rows_against_the_threshold_are_counted() -> None:
    made = make_predictions(1000)
    predicted = made.predicted.copy()
    predicted[[10, 20, 30], 5] ^= True
    predicted[30, 6] ^= True
    found = infer_threshold(relabelled(made, predicted))
    assert (found.rule, found.value, found.contradictions) == ("inconsistent", 0.5, 3)
    assert found.description == "0.5 fits best, but 3 of 1000 rows contradict it"


def test_one_threshold_a_class_is_found() -> None:
    made = make_predictions(2000)
    thresholds = np.linspace(0.2, 0.7, 28)
    predicted = made.probabilities >= thresholds
    found = infer_threshold(relabelled(made, predicted))
    assert found.rule == "per-class"
    assert found.value is None
    assert found.per_class is not None
    assert np.array_equal(made.probabilities >= np.array(found.per_class, float), predicted)


@pytest.mark.parametrize(("texts", "rule"), [(1, "inconsistent"), (2, "per-class")])
def test_a_threshold_of_a_class_explains_more_than_one_text(texts: int, rule: str) -> None:
    """Joy is not predicted at 0.6, where fear is at 0.55: by its own threshold, or by mistake."""
    odd, usual = [[0.6, 0.1]] * texts, [[0.1, 0.55], [0.9, 0.1], [0.1, 0.1]] * 3
    probabilities = np.array([*odd, *usual])
    texts_of = tuple(map(str, range(len(probabilities))))
    predicted = probabilities >= [0.65, 0.5]
    labels = LabelSet.of(("joy", "fear"))
    made = Predictions(texts_of, predicted, probabilities, predicted, labels, "a.csv")
    assert infer_threshold(made).rule == rule


def test_the_most_probable_label_as_fallback() -> None:
    made = make_predictions(1000, threshold=0.4)
    predicted = made.predicted.copy()
    empty = np.flatnonzero(~predicted.any(axis=1))
    predicted[empty, made.probabilities[empty].argmax(axis=1)] = True
    found = infer_threshold(relabelled(made, predicted))
    assert (found.rule, found.fallback_rows) == ("top-1-fallback", len(empty))
    assert found.value == pytest.approx(0.4, abs=0.01)
    only = np.zeros_like(predicted)
    only[np.arange(1000), made.probabilities.argmax(axis=1)] = True
    assert infer_threshold(relabelled(made, only)).rule == "top-1"


@settings(max_examples=50)
@given(st.integers(1, 40), st.floats(0.0, 1.0), st.integers(0, 10**6))
def test_a_consistent_file_is_never_called_otherwise(
    rows: int, threshold: float, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    probabilities = np.round(generator.random((rows, 28)), 2)
    predicted = probabilities >= threshold
    made = make_predictions(40)
    file = Predictions(
        made.texts[:rows], made.truth[:rows], probabilities, predicted, GOEMOTIONS, "p.csv"
    )
    found = infer_threshold(file)
    assert (found.rule, found.contradictions) == ("global", 0)
    if found.value is not None:
        assert np.array_equal(probabilities >= found.value, predicted)
    assert found.description

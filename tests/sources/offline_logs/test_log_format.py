"""The framing of run logs: whole, cut anywhere, damaged anywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goemo_report.sources.offline_logs.log_format import BLOCK, HEADER, DamagedLogError, read_log
from tests.sources.log_writer import frame

# Lengths around the block boundaries, where records are split.
lengths = st.one_of(
    st.integers(0, 300),
    st.integers(BLOCK - 40, BLOCK + 10),
    st.integers(2 * BLOCK - 60, 2 * BLOCK + 10),
)
payloads = st.lists(
    st.builds(lambda size, fill: bytes([fill]) * size, lengths, st.integers(0, 255)), max_size=8
)


@given(payloads)
def test_every_record_comes_back(records: list[bytes]) -> None:
    log = frame(records)
    read = read_log(log, "log")
    assert list(read.values()) == records
    assert list(read) == [
        start + (-start % BLOCK if -start % BLOCK < 7 else 0) for start in _ends(records)[:-1]
    ]


@given(payloads, st.data())
def test_a_log_cut_anywhere_gives_the_records_before_the_cut(
    records: list[bytes], data: st.DataObject
) -> None:
    log = frame(records)
    cut = data.draw(st.integers(0, len(log)))
    whole = sum(end <= cut for end in _ends(records)[1:])
    assert list(read_log(log[:cut], "log").values()) == records[:whole]


def _ends(records: list[bytes]) -> list[int]:
    return [len(frame(records[:count])) for count in range(len(records) + 1)]


@given(payloads, st.data())
def test_a_tail_of_zeros_is_where_the_writer_got_to(
    records: list[bytes], data: st.DataObject
) -> None:
    log = frame(records)
    cut = data.draw(st.integers(0, len(log)))
    zeros = data.draw(st.integers(8, BLOCK))
    found = list(read_log(log[:cut] + bytes(zeros), "log").values())
    # zeros may stand for bytes that are zeros anyway: then more is whole than the cut left
    whole = sum(end <= cut + zeros for end in _ends(records)[1:])
    certain = sum(end <= cut for end in _ends(records)[1:])
    assert found == records[: len(found)]
    assert certain <= len(found) <= whole


@settings(max_examples=300)
@given(st.data())
def test_no_flipped_byte_gives_wrong_records(data: st.DataObject) -> None:
    records = [b"first", b"\x01" * 500, b"x" * BLOCK, b"last"]
    log = bytearray(frame(records))
    place = data.draw(st.integers(0, len(log) - 1))
    log[place] ^= data.draw(st.integers(1, 255))
    try:
        found = list(read_log(bytes(log), "the log").values())
    except DamagedLogError as error:
        offset = re.search(r"the log is damaged at byte (\d+): ", str(error))
    else:
        # a length that now points past the end looks like a log that is being written
        assert found == records[: len(found)]
        assert len(found) < len(records)
        return
    assert offset is not None
    assert int(offset[1]) <= place


def test_damage_in_the_middle_names_the_file_and_the_offset(small_log: Path) -> None:
    log = bytearray(small_log.read_bytes())
    offsets = list(read_log(bytes(log), "log"))
    log[offsets[3] + 9] ^= 0xFF
    with pytest.raises(DamagedLogError, match=f"run-x.wandb is damaged at byte {offsets[3]}:"):
        read_log(bytes(log), "run-x.wandb")


def test_zeros_in_the_middle_are_damage() -> None:
    log = bytearray(frame([b"one" * 10, b"two" * 400, b"three" * 10]))
    log[100:600] = bytes(500)
    with pytest.raises(DamagedLogError, match="damaged at byte 44"):
        read_log(bytes(log), "log")


@pytest.mark.parametrize(
    ("log", "why"),
    [
        (b"PNG something else entirely", "does not begin as a W&B run log"),
        (HEADER[:-1] + b"\x01" + b"later version", "version 0"),
    ],
)
def test_what_is_no_run_log_is_refused_at_byte_0(log: bytes, why: str) -> None:
    with pytest.raises(DamagedLogError, match=f"damaged at byte 0: .*{why}"):
        read_log(log, "log")


@pytest.mark.parametrize("log", [b"", HEADER[:3], HEADER, bytes(7), bytes(5000)])
def test_nothing_written_yet_is_an_empty_log(log: bytes) -> None:
    assert not read_log(log, "log")


def test_a_record_that_continues_nothing_is_damage() -> None:
    whole = frame([b"x" * 2 * BLOCK])
    second_block = whole[:7] + whole[BLOCK : BLOCK + 1]
    with pytest.raises(DamagedLogError):
        read_log(second_block + whole[BLOCK + 1 :], "log")


def test_a_killed_client_leaves_whole_blocks(mixed_root: Path) -> None:
    log = next(mixed_root.glob("wandb/*-killed/run-killed.wandb")).read_bytes()
    read = read_log(log, "log")
    assert len(log) % BLOCK == 0
    assert len(read) > 10

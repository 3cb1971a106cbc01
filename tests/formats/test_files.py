"""Files are written whole or not at all, with the mode that any new file gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from goemo_report.formats.files import whole_file, write_whole


def test_a_file_gets_the_mode_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_whole(tmp_path / "folder" / "whole", b"text")
    assert (tmp_path / "folder" / "whole").read_bytes() == b"text"
    modes = {path.stat().st_mode for path in (tmp_path / "plain", tmp_path / "folder" / "whole")}
    assert len(modes) == 1


def test_the_umask_is_never_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to the process: another thread would write with the wrong one meanwhile."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("set the umask"))
    write_whole(tmp_path / "whole", b"text")


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "whole"
    write_whole(target, b"before")

    def fail() -> None:
        with whole_file(target) as file:
            file.write(b"half")
            raise RuntimeError("lost")

    with pytest.raises(RuntimeError, match="lost"):
        fail()
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_symlink_is_replaced_and_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    link = tmp_path / "link"
    link.symlink_to(other)
    write_whole(link, b"new")
    assert other.read_bytes() == b"other"
    assert not link.is_symlink()
    assert link.read_bytes() == b"new"

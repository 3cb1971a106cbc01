"""Files are written whole or not at all, with the mode that any new file gets."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from goemo_report.formats.files import user_path, whole_file, write_output, write_whole


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


def test_output_keeps_mode_and_link_of_what_is_there(tmp_path: Path) -> None:
    secret, link = tmp_path / "secret", tmp_path / "link"
    secret.write_bytes(b"before")
    secret.chmod(0o600)
    link.symlink_to("secret")
    write_output(link, b"after")
    assert link.is_symlink()
    assert secret.read_bytes() == b"after"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    link.unlink()
    link.symlink_to("new")
    write_output(link, b"made")
    assert (tmp_path / "new").read_bytes() == b"made"


def test_output_to_a_pipe_reaches_its_reader(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_output(pipe, b"text")
    reader.join(10)
    assert got == [b"text"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("folder", ["/dev/fd", "/proc/self/fd"])
def test_output_to_an_open_descriptor_goes_on_where_that_is(tmp_path: Path, folder: str) -> None:
    if not Path(folder).is_dir():
        pytest.skip(f"no {folder} here")
    with (tmp_path / "log").open("wb", buffering=0) as file:
        file.write(b"head ")
        link = tmp_path / "link"
        link.symlink_to(f"{folder}/{file.fileno()}")
        write_output(link, b"text")
        file.write(b" tail")
    assert (tmp_path / "log").read_bytes() == b"head text tail"


def test_output_to_a_device_leaves_the_device(tmp_path: Path) -> None:
    write_output(Path("/dev/null"), b"text")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(IsADirectoryError):
        write_output(tmp_path, b"text")


def test_output_is_written_in_place_where_the_name_cannot_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is mounted, as containers do, is busy; others' folders are closed."""

    def busy(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    (tmp_path / "mounted").write_bytes(b"what was there before")
    monkeypatch.setattr(Path, "replace", busy)
    write_output(tmp_path / "mounted", b"text")
    assert (tmp_path / "mounted").read_bytes() == b"text"
    assert list(tmp_path.iterdir()) == [tmp_path / "mounted"]
    with pytest.raises(OSError, match="busy"):
        write_output(tmp_path / "other", b"text")


def test_paths_of_unknown_homes_and_circles_are_paths(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert user_path("~nosuchuser/x") == Path("~nosuchuser/x")
    assert user_path("~") == Path.home()
    assert user_path(tmp_path / "loop", real=True).name == "loop"


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("\U0001f600" * 63)
    write_whole(target, b"x")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]

"""What users read when something fails."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import goemo_report
from goemo_report.errors import DataError, GoemoError, argument, command_line

PACKAGE = Path(goemo_report.__file__).parent
COMMAND = re.compile(r"`[^`]*`|pip install --\w+")
FLAG = re.compile(r"(?<![\w-])--[a-z?][\w?-]*")


def test_a_refusal_is_one_line_whatever_it_repeats() -> None:
    error = DataError("a.parquet is damaged: type \x0e\r\n of \x1b[31m\u202e", "Write it again")
    assert str(error) == r"a.parquet is damaged: type \x0e of \x1b[31m\u202e. Write it again"


def test_other_texts_stay_as_they_are() -> None:
    assert str(GoemoError("émotion  日本 😀", "Écris")) == "émotion  日本 😀. Écris"


def test_an_argument_is_named_as_it_is_given() -> None:
    assert argument("map_to") == "map_to="
    assert argument("val", "NAME=FILE") == "val='NAME=FILE'"
    with command_line():
        assert argument("map_to", "ekman") == "--map-to ekman"
        assert argument("license_id") == "--license"
        with command_line():
            pass
        assert argument("map_to") == "--map-to"
    assert argument("map_to") == "map_to="


def said(module: Path) -> Iterator[str]:
    """Texts of a module that are no docstrings, with ? for what is filled in."""
    waiting: list[ast.AST] = [ast.parse(module.read_text("utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (one.value if isinstance(one, ast.Constant) else "?" for one in node.values)
            yield "".join(map(str, parts))
            waiting += (one for one in node.values if not isinstance(one, ast.Constant))
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            waiting += ast.iter_child_nodes(node)


@pytest.mark.parametrize("room", sorted({path.name for path in PACKAGE.iterdir()}))
def test_no_message_names_a_flag_but_the_command_lines_own(room: str) -> None:
    """Readers of a report read commands, and `goemo-train` has a command line alone."""
    if room in {"cli", "report", "corpora", "demo.py"}:
        return
    place = PACKAGE / room
    modules = place.rglob("*.py") if place.is_dir() else [place] if place.suffix == ".py" else []
    named = [
        f"{module.name}: {text}"
        for module in modules
        for text in said(module)
        if not FLAG.fullmatch(text) and FLAG.search(COMMAND.sub("", text))
    ]
    assert named == []

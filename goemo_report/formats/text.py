"""Hostile text made harmless: nothing in it is hidden, or a command to what shows it.

Run names, artifact names and data-set texts may hold anything. What is for people goes through
`visible` or `printable`; data files keep text as it is.
"""

from __future__ import annotations

import json
import re
from typing import Final

# Controls, direction overrides and isolates, line separators, lone surrogates, specials, and the
# invisible tags and variation selectors of plane 14, which can carry any text.
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_SPACES: Final = re.compile(r"[\t\n\r]+")
_LINE_COMMAND: Final = re.compile(r"^(\s*)::", re.MULTILINE)
_CELL_COMMAND: Final = re.compile(r"(^|[\r\n])(?=[^\S\r\n]*::)")


def visible(text: str, *, lines: bool = False) -> str:
    r"""Text in which nothing is hidden: control and direction characters become their code.

    A code is written as in Python, `\x1b` or `\u202e`. Line breaks and tabs become one space,
    unless `lines` keeps them.
    """
    text = text.replace("\r\n", "\n") if lines else _SPACES.sub(" ", text)
    return _HIDDEN.sub(_code, text)


def printable(text: str) -> str:
    r"""Visible text for a terminal, on one line: line breaks show as `\n`.

    No line of it is a command to GitHub Actions, which obeys lines that begin with `::` or
    hold `##[`.
    """
    text = _SPACES.sub(_code, visible(text, lines=True)).replace("\u00a0", " ")
    return _LINE_COMMAND.sub(r"\1\\x3a:", text).replace("##[", r"\x23#[")


def _code(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")


def escape_hidden_json(text: str) -> str:
    """A JSON document with hidden characters and `##[` escaped: it reads back as the same."""
    text = _HIDDEN.sub(lambda found: json.dumps(found[0])[1:-1], text)
    return text.replace("##[", "\\u0023#[")


def escape_workflow_commands(text: str) -> str:
    """A CSV cell that is no command to GitHub Actions, should a job print it.

    The runner obeys lines that begin with `::` and whatever follows `##[`: an apostrophe parts
    them, as it does formulas.
    """
    return _CELL_COMMAND.sub(r"\1'", text).replace("##[", "#'#[")


def shortened(text: str, limit: int) -> str:
    """Text of at most `limit` characters; a longer one loses its middle."""
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}\u2026{text[len(text) - (limit - 1 - limit // 2) :]}"


def shown(text: str, limit: int = 40) -> str:
    """Text from a file for a message: quoted, escaped and cut to `limit` characters."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")

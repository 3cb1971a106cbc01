"""Text from data, made safe for a terminal."""

from __future__ import annotations

import os
import re

_API_KEY = re.compile(r"wandb_v\d+_\w+")
_COMMAND_START = re.compile(r"^(\s*)::", re.MULTILINE)
_KEPT = frozenset("\u200d")  # joins emoji


def printable(text: str) -> str:
    r"""Text without control characters: each shows as an escape such as `\x1b`.

    Keeps a run name from moving the cursor, changing colours or reversing the line, and from
    being a command to GitHub Actions, which obeys lines that begin with `::` or hold `##[`.
    """
    text = _COMMAND_START.sub(r"\1\\x3a:", text).replace("##[", r"\x23#[")
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or char in _KEPT
        else " "
        if char.isspace() and ord(char) > 0x7F and char not in "\x85\u2028\u2029"
        else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


def one_line(text: str) -> str:
    """Printable text on one line, without any W&B API key."""
    key = os.environ.get("WANDB_API_KEY")
    if key:
        text = text.replace(key, "[API key]")
    text = _API_KEY.sub("[API key]", text)
    return printable(re.sub(r"[\r\n\t]+", " ", text.rstrip()))

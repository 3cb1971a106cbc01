"""The command lines of the documentation: consoles, the examples of help texts, prose."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.generated_docs import ROOT

PAGES_BY_HAND = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
)
PROGRAMS = ("goemo-report", "goemo-train", "torchrun", "accelerate", "python", "wandb", "make")

_CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_EXAMPLES = re.compile(r"^Examples:\n(.*?)(?:\n\n|^```)", re.MULTILINE | re.DOTALL)
_COMPLETION = re.compile(r"Shell completion: (.+)")
_CODE = re.compile(rf"`((?:{'|'.join(PROGRAMS)})(?: [^`]+))`")


def whole_lines() -> dict[str, str]:
    """What a reader would paste, once each, and the page where it stands first."""
    found: dict[str, str] = {}
    for page in PAGES_BY_HAND:
        text = page.read_text("utf-8")
        lines = [
            line.removeprefix("$ ")
            for block in _CONSOLE.findall(text)
            for line in block.splitlines()
            if line.startswith("$ ")
        ]
        help_texts = re.sub(r"^ +", "", text, flags=re.MULTILINE)
        lines += [line for block in _EXAMPLES.findall(help_texts) for line in block.splitlines()]
        lines += _COMPLETION.findall(text)
        for line in lines:
            found.setdefault(line, page.name)
    return found


def mentioned() -> Iterator[tuple[str, str]]:
    """Commands within sentences and tables, with their page."""
    for page in PAGES_BY_HAND:
        prose = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for line in dict.fromkeys(_CODE.findall(prose)):
            yield page.name, " ".join(line.split())

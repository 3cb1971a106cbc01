"""Settings of the wandb client, from the environment and its settings files, as it reads them.

The client is not imported for this (0.6 s); tests hold that both find the same.
"""

from __future__ import annotations

import configparser
import os
import re
from dataclasses import dataclass, field
from importlib import metadata
from typing import Final

from goemo_report.errors import SourceError
from goemo_report.formats.files import user_path

NEEDED: Final = {"publish": (0, 27), "sync": (0, 28)}
"""The oldest client for each command that lets it write. 0.22 has no `finish_timeout`; 0.27
writes the missing rows of a history over those that are there."""


def client_version() -> tuple[int, int]:
    """Major and minor version of the installed client, which is not imported for this.

    Raises PackageNotFoundError where there is none.
    """
    major, minor, *_ = [*re.findall(r"\d+", metadata.version("wandb")), "0"]
    return int(major), int(minor)


def require_client(command: str) -> None:
    """Raise SourceError where the installed client is too old for a command."""
    least = NEEDED[command]
    if client_version() < least:
        raise SourceError(
            f"`{command}` needs wandb {least[0]}.{least[1]} or later; "
            f"{metadata.version('wandb')} is installed",
            "pip install --upgrade wandb",
        )


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that may be secret, and the variable or file that it came from."""

    value: str = field(repr=False)
    source: str


def client_setting(name: str) -> Setting | None:
    """A field of the client's settings from its variable, else from its files.

    A field `x_name` has two variables, `WANDB_X_NAME` and `WANDB__NAME`; the last one set wins.
    """
    variables = {f"WANDB_{name.upper()}"}
    if name.startswith("x_"):
        variables.add(f"WANDB{name.upper().replace('X_', '__', 1)}")
    found = [Setting(v, key) for key, v in os.environ.items() if key in variables and v]
    return found[-1] if found else stored_setting(name)


def stored_setting(name: str) -> Setting | None:
    """What `wandb init` or `wandb login` left in the settings files; the nearer file wins."""
    folder = user_path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb")
    here = user_path(os.environ.get("WANDB_DIR") or ".")
    local = here / (".wandb" if (here / ".wandb").exists() else "wandb")
    for path in (local / "settings", folder / "settings"):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(path)
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # the client warns of such a file itself and goes on
        if value := parser.get("default", name, fallback=""):
            return Setting(value, f"{name} in {path}")
    return None

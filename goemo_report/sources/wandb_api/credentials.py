"""Which W&B server, and with which key: read where the wandb client reads it, in its order.

The client itself is not imported for this (0.6 s); a test holds that both agree.
"""

from __future__ import annotations

import configparser
import netrc
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from goemo_report.errors import SettingsError

DEFAULT_BASE_URL: Final = "https://api.forge.coreweave.com"
"""The client's default server since 0.31."""

# Each front host and the W&B API host behind it; keys may be stored under either.
_FORGE: Final = {
    "forge.coreweave.com": "api.wandb.ai",
    "qa.forge.coreweave.com": "api.qa.wandb.ai",
}


class Secret:
    """A string that no message, log or traceback shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself, for the request header and nothing else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        raise TypeError("a secret is not written anywhere")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A server and what it takes to talk to it.

    `key_source` says where the key came from; `api_key` is None where none is set.
    """

    base_url: str
    app_url: str
    api_key: Secret | None
    key_source: str = ""

    @property
    def host(self) -> str:
        """Host and port of the server, for messages."""
        return urlsplit(self.base_url).netloc.rsplit("@", 1)[-1]

    def run_url(self, entity: str, project: str, run_id: str) -> str:
        """Address of a run's page."""
        parts = (quote(part, safe="") for part in (entity, project))
        return f"{self.app_url}/{'/'.join(parts)}/runs/{quote(run_id, safe='')}"

    def serves(self, url: str) -> bool:
        """Whether a page's address belongs to this server."""
        return host_family(url) in {host_family(self.base_url), host_family(self.app_url)}


def host_family(url: str) -> str:
    """The deployment that an API or page address belongs to: its host without `api.`."""
    netloc = urlsplit(url).netloc.lower().rsplit("@", 1)[-1]
    for front, behind in _FORGE.items():
        if netloc in {front, f"api.{front}", behind, behind.removeprefix("api.")}:
            return front
    for prefix in ("api.", "app.", "www."):
        netloc = netloc.removeprefix(prefix)
    return netloc


def app_url(base_url: str) -> str:
    """Address of the pages that belong to an API address, as the client derives it."""
    host = urlsplit(base_url).hostname or ""
    for front, behind in _FORGE.items():
        if host in {front, f"api.{front}", behind}:
            return f"https://{front}/wandb"
    if "://api.wandb." in base_url:
        return base_url.replace("://api.", "://").strip("/")
    return base_url.replace("://api.", "://app.").strip("/")


def find_credentials() -> Credentials:
    """Server and key from the environment, the netrc file and wandb's settings files.

    Raises SettingsError where an address or a key cannot be used.
    """
    stored = _settings_files()
    base_url = _checked_url(
        os.environ.get("WANDB_BASE_URL") or stored.get("base_url") or DEFAULT_BASE_URL
    )
    pages = os.environ.get("WANDB_APP_URL") or app_url(base_url)
    key, source = _api_key(base_url, stored)
    return Credentials(base_url, pages.rstrip("/"), key, source)


def stored_default(name: str) -> str | None:
    """A default that `wandb init` or `wandb login` left in the settings files."""
    return _settings_files().get(name) or None


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    remedy = "Set WANDB_BASE_URL to the server's address, such as https://api.wandb.ai"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(f"{_redacted(url)!r} is not the address of a W&B server", remedy)
    if parts.username or parts.password:
        raise SettingsError("WANDB_BASE_URL holds a user name or password", remedy)
    if parts.hostname in _FORGE:
        return f"https://api.{parts.hostname}"
    if parts.hostname in {"wandb.ai", "www.wandb.ai", "app.wandb.ai"}:
        raise SettingsError(f"{url} serves pages, not the API", remedy)
    return url.rstrip("/")


def _redacted(url: str) -> str:
    return url.rsplit("@", 1)[-1]


def _api_key(base_url: str, stored: dict[str, str]) -> tuple[Secret | None, str]:
    if key := os.environ.get("WANDB_API_KEY"):
        return _checked_key(key, "WANDB_API_KEY"), "WANDB_API_KEY"
    path = _netrc_path()
    try:
        entries = netrc.netrc(path)
    except FileNotFoundError:
        entries = None
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
        # The parser quotes the line that it cannot read, which may hold a key.
        raise SettingsError(
            f"{path} cannot be read ({type(error).__name__})",
            "Repair the file, or set WANDB_API_KEY",
        ) from None
    if entries is not None:
        for host in _netrc_hosts(base_url):
            found = entries.authenticators(host)
            if found is not None and found[2]:
                return _checked_key(found[2], str(path)), str(path)
    if key := stored.get("api_key"):
        return _checked_key(key, "wandb's settings file"), "wandb's settings file"
    return None, ""


def _netrc_hosts(base_url: str) -> list[str]:
    parts = urlsplit(base_url)
    hosts = [parts.netloc]
    hosts += [behind for front, behind in _FORGE.items() if parts.hostname == f"api.{front}"]
    return hosts


def _netrc_path() -> Path:
    if chosen := os.environ.get("NETRC"):
        return Path(chosen).expanduser()
    usual = Path("~/.netrc").expanduser()
    other = Path("~/_netrc").expanduser()
    return other if other.exists() and not usual.exists() else usual


def _checked_key(key: str, source: str) -> Secret:
    """The key, if it can stand in a header; what is wrong is said without showing it."""
    if key != key.strip() or not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(
            f"the API key in {source} holds spaces or other characters that no key has",
            "Copy it again from the W&B settings page, or run `wandb login --relogin`",
        )
    return Secret(key)


def _settings_files() -> dict[str, str]:
    """`[default]` of wandb's settings files; the one in the working directory wins."""
    folder = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser()
    here = Path(os.environ.get("WANDB_DIR") or ".")
    local = next((p for p in (here / "wandb", here / ".wandb") if p.is_dir()), here / "wandb")
    merged: dict[str, str] = {}
    for path in (folder / "settings", local / "settings"):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(path)
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue  # the client warns of such a file itself and goes on
        if parser.has_section("default"):
            merged.update(parser["default"])
    return merged

"""Which W&B server, and with which key: read where the wandb client reads it, in its order.

The client itself is not imported for this (0.6 s); a test holds that both agree.
"""

from __future__ import annotations

import configparser
import json
import netrc
import os
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from goemo_report.errors import SettingsError, SourceError
from goemo_report.formats.files import user_path, whole_file

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
    """A value, and the variable or file that it came from. It may be secret: no message, log or
    traceback shows it."""

    value: str = field(repr=False)
    source: str

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("a secret is not written anywhere")


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


DEFAULT_BASE_URL: Final = "https://api.forge.coreweave.com"
"""The client's default server since 0.31."""

_CREDENTIALS: Final = "~/.config/wandb/credentials.json"

# Each front host and the W&B API host behind it; keys may be stored under either.
_FORGE: Final = {"forge.coreweave.com": "api.wandb.ai", "qa.forge.coreweave.com": "api.qa.wandb.ai"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """A server and what it takes to talk to it.

    `api_key` is None where none is set. With `identity_file`, a JWT, access tokens are fetched
    instead and kept in `credentials_file`.
    """

    base_url: str
    app_url: str
    api_key: Setting | None
    identity_file: Path | None = None
    credentials_file: Path | None = None

    @property
    def are_set(self) -> bool:
        """Whether there is a key or a JWT."""
        return self.api_key is not None or self.identity_file is not None

    @property
    def key_source(self) -> str:
        """Where the key or the JWT came from."""
        return self.api_key.source if self.api_key else "WANDB_IDENTITY_TOKEN_FILE"

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
    base = client_setting("base_url")
    base_url = _checked_url(base.value if base else DEFAULT_BASE_URL)
    pages = os.environ.get("WANDB_APP_URL") or app_url(base_url)
    key, identity = os.environ.get("WANDB_API_KEY"), os.environ.get("WANDB_IDENTITY_TOKEN_FILE")
    if key and identity:
        raise SettingsError(
            "WANDB_API_KEY and WANDB_IDENTITY_TOKEN_FILE are both set",
            "Unset one of them: the client, too, refuses to choose",
        )
    found = Credentials(base_url, pages.rstrip("/"), None)
    if identity:
        kept = client_setting("credentials_file")
        return replace(
            found,
            identity_file=Path(identity).absolute(),
            credentials_file=user_path(kept.value if kept else _CREDENTIALS).absolute(),
        )
    if key:
        return replace(found, api_key=_checked_key(Setting(key, "WANDB_API_KEY")))
    stored = stored_setting("api_key")
    held = _netrc_password(base_url, is_needed=stored is None) or stored
    return replace(found, api_key=_checked_key(held)) if held else found


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    remedy = "Set WANDB_BASE_URL to the server's address, such as https://api.wandb.ai"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        shown = url.rsplit("@", 1)[-1]
        raise SettingsError(f"{shown!r} is not the address of a W&B server", remedy)
    if parts.username or parts.password:
        raise SettingsError("WANDB_BASE_URL holds a user name or password", remedy)
    if parts.hostname in _FORGE:
        return f"https://api.{parts.hostname}"
    if parts.hostname in {"wandb.ai", "www.wandb.ai", "app.wandb.ai"}:
        raise SettingsError(f"{url} serves pages, not the API", remedy)
    return url.rstrip("/")


def _netrc_password(base_url: str, *, is_needed: bool) -> Setting | None:
    """What the netrc file holds for a server, ports and `default` included."""
    usual, other = user_path("~/.netrc"), user_path("~/_netrc")
    path = other if other.exists() and not usual.exists() else usual
    path = user_path(os.environ.get("NETRC") or path)
    try:
        entries = netrc.netrc(path)
    except FileNotFoundError:
        return None
    except (netrc.NetrcParseError, OSError, UnicodeDecodeError) as error:
        if not is_needed:  # as the client does
            return None
        # The parser quotes the line that it cannot read, which may hold a key.
        raise SettingsError(
            f"{path} cannot be read ({type(error).__name__})",
            "Repair the file, or set WANDB_API_KEY",
        ) from None
    parts = urlsplit(base_url)
    behind = [host for front, host in _FORGE.items() if parts.hostname == f"api.{front}"]
    found = (entries.authenticators(host) for host in (parts.netloc, *behind))
    return next((Setting(entry[2], str(path)) for entry in found if entry and entry[2]), None)


def _checked_key(found: Setting) -> Setting:
    """The key, if it can stand in a header; what is wrong is said without showing it."""
    key = found.value
    if key != key.strip() or not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(
            f"the API key in {found.source} holds spaces or other characters that no key has",
            "Copy it again from the W&B settings page, or run `wandb login --relogin`",
        )
    return found


# --- Access tokens for a JWT ------------------------------------------------------------
# The exchange is the JWT bearer flow of RFC 7523, at the server's own `/oidc/token`. Tokens are
# kept as the client keeps them, in the same file.

_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LAYOUT: Final = "%Y-%m-%d %H:%M:%S"  # UTC
_SPARE: Final = timedelta(minutes=5)  # a token is renewed so long before its end


class AccessToken:
    """The access token of one server, fetched when it is first needed. Threads may share it."""

    def __init__(self, base_url: str, identity_file: Path, credentials_file: Path) -> None:
        self._base_url = base_url
        self._identity_file = identity_file
        self._credentials_file = credentials_file
        self._lock = threading.Lock()
        self._token, self._until = "", datetime.min.replace(tzinfo=UTC)

    def get(self, exchange: Callable[[Mapping[str, str]], Mapping[str, Any]]) -> str:
        """The token. `exchange` sends a form and gives the answer.

        Raises SettingsError where the JWT cannot be read, and what `exchange` raises.
        """
        with self._lock:
            if self._is_over():
                self._read()
            if self._is_over():
                answer = exchange({"grant_type": _GRANT, "assertion": self._identity()})
                lasts = answer.get("expires_in")
                seconds = min(lasts, 1 << 30) if isinstance(lasts, int | float) else 0
                self._token = answer["access_token"]
                self._until = datetime.now(UTC) + timedelta(seconds=seconds)
                self._write()
            return self._token

    def _is_over(self) -> bool:
        return self._until < datetime.now(UTC) + _SPARE

    def _identity(self) -> str:
        try:
            return self._identity_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"WANDB_IDENTITY_TOKEN_FILE {self._identity_file} cannot be read "
                f"({type(error).__name__})",
                "Set it to the file that holds your identity token (JWT)",
            ) from None

    def _kept(self) -> dict[str, Any]:
        """The credentials file's entries by server, none where it cannot be read."""
        try:
            found = json.loads(self._credentials_file.read_bytes())["credentials"]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return found if isinstance(found, dict) else {}

    def _read(self) -> None:
        """Take the client's own token, where there is one."""
        with suppress(KeyError, TypeError, ValueError):
            entry = self._kept()[self._base_url]
            until = datetime.strptime(entry["expires_at"], _LAYOUT).replace(tzinfo=UTC)
            self._token, self._until = str(entry["access_token"]), until

    def _write(self) -> None:
        """For the next command and for the client; without it, tokens are fetched each time."""
        entry = {"expires_at": self._until.strftime(_LAYOUT), "access_token": self._token}
        kept = {"credentials": self._kept() | {self._base_url: entry}}
        with suppress(OSError):
            self._credentials_file.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self._credentials_file, mode=0o600) as file:
                file.write(json.dumps(kept, indent=2).encode())

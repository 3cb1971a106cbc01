"""Access tokens for a JWT: exchanged and kept as the wandb client does, in the same file.

The exchange is the JWT bearer flow of RFC 7523, at the server's own `/oidc/token`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from goemo_report.errors import SettingsError
from goemo_report.formats.files import whole_file
from goemo_report.sources.wandb_api.credentials import Credentials, Secret

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
        self._held: tuple[Secret, datetime] | None = None

    @classmethod
    def of(cls, credentials: Credentials) -> AccessToken | None:
        """For a server that is asked with a JWT."""
        if credentials.identity_file is None or credentials.credentials_file is None:
            return None
        return cls(credentials.base_url, credentials.identity_file, credentials.credentials_file)

    def get(self, exchange: Callable[[Mapping[str, str]], Mapping[str, Any]]) -> str:
        """The token. `exchange` sends a form and gives the answer.

        Raises SettingsError where the JWT cannot be read, and what `exchange` raises.
        """
        with self._lock:
            if not _holds(self._held):
                self._held = self._kept()
            if self._held is None:
                answer = exchange({"grant_type": _GRANT, "assertion": self._identity()})
                lasts = answer.get("expires_in")
                seconds = min(lasts, 1 << 30) if isinstance(lasts, int | float) else 0
                until = datetime.now(UTC) + timedelta(seconds=seconds)
                self._held = Secret(answer["access_token"]), until
                self._keep(*self._held)
            return self._held[0].reveal()

    def _identity(self) -> str:
        try:
            return self._identity_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"WANDB_IDENTITY_TOKEN_FILE {self._identity_file} cannot be read "
                f"({type(error).__name__})",
                "Set it to the file that holds your identity token (JWT)",
            ) from None

    def _all_kept(self) -> dict[str, Any]:
        """The credentials file's entries by server, none where it cannot be read."""
        try:
            found = json.loads(self._credentials_file.read_bytes())["credentials"]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return found if isinstance(found, dict) else {}

    def _kept(self) -> tuple[Secret, datetime] | None:
        """The client's own token, where it still holds."""
        try:
            entry = self._all_kept()[self._base_url]
            at = datetime.strptime(entry["expires_at"], _LAYOUT).replace(tzinfo=UTC)
            found = Secret(str(entry["access_token"])), at
        except (KeyError, TypeError, ValueError):
            return None
        return found if _holds(found) else None

    def _keep(self, token: Secret, at: datetime) -> None:
        """For the next command and for the client; without it, tokens are fetched each time."""
        entry = {"expires_at": at.strftime(_LAYOUT), "access_token": token.reveal()}
        kept = {"credentials": self._all_kept() | {self._base_url: entry}}
        try:
            self._credentials_file.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self._credentials_file, mode=0o600) as file:
                file.write(json.dumps(kept, indent=2).encode())
        except OSError:
            return


def _holds(token: tuple[Secret, datetime] | None) -> bool:
    return token is not None and token[1] - datetime.now(UTC) > _SPARE

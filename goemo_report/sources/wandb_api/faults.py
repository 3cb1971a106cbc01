"""What can go wrong between here and a W&B server, each with its remedy.

Messages never hold an address's query string or a header: these carry keys and signatures.
"""

from __future__ import annotations

import math
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import responses
from pathlib import Path
from typing import Final

from urllib3 import BaseHTTPResponse, exceptions

from goemo_report.errors import SettingsError, SourceError, argument


def read_offline() -> str:
    """The way without W&B, as the end of a remedy, with the place where such runs lie."""
    held = ("offline-run-*", "wandb/offline-run-*", "*/wandb/offline-run-*")
    for name in ("runs", "wandb"):
        if any(any(Path(name).glob(one)) for one in held):
            return f"; {argument('wandb_dir', name)} reads the offline runs in {name}"
    return f"; {argument('wandb_dir', 'DIR')} reads offline runs without W&B"


DEFAULT_TIMEOUT: Final = 12.0
"""Seconds for one request with its retries, so that a command fails within 15 s."""

_NO_TIME: Final = 0.01
_FIRST_DELAY: Final = 0.5
_MOST_DELAY: Final = 8.0
_QUICK_TRIES: Final = 3  # a host that refuses connections is not waited for until the deadline
_STATUS_PAGE: Final = "https://status.wandb.com"


class RequestRefusedError(SourceError):
    """The server said no; asking again would not help. `reason` are its own words."""

    def __init__(
        self, what: str, remedy: str = "", *, status: int | None = None, reason: str = ""
    ) -> None:
        super().__init__(what, remedy)
        self.status = status
        self.reason = reason


@dataclass(eq=False)
class TransientError(Exception):
    """A fault that may pass: worth another try while time is left."""

    what: str
    retry_after: float | None = None
    timed_out: bool = False
    unreachable: bool = False
    remedy: str = ""

    def lasting(self, seconds: float) -> SourceError:
        """What to tell the user when it did not pass within so many seconds."""
        if self.timed_out:
            return SourceError(
                f"{self.what} within {seconds:g} s",
                "Set WANDB_HTTP_TIMEOUT to more seconds, or try again later",
            )
        if self.retry_after is not None:
            return SourceError(
                f"{self.what} and asks for {self.retry_after:.0f} s of patience",
                f"Try again in {self.retry_after:.0f} s, or set WANDB_HTTP_TIMEOUT to more",
            )
        return SourceError(self.what, self.remedy or "Try again later")


# --- Trying again ---------------------------------------------------------------------

Notify = Callable[[str], None]


def http_timeout(environ: Mapping[str, str] = os.environ) -> float:
    """Seconds from WANDB_HTTP_TIMEOUT, or the default."""
    text = environ.get("WANDB_HTTP_TIMEOUT")
    if not text:
        return DEFAULT_TIMEOUT
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise SettingsError(
            f"WANDB_HTTP_TIMEOUT is {text!r}, which is no number of seconds",
            "Set it to a positive number, such as 60",
        )
    return seconds


class Backoff:
    """When to try again: doubling delays that never pass the deadline."""

    def __init__(self, seconds: float, notify: Notify) -> None:
        self._seconds = seconds
        self._notify = notify
        self.restart()

    def restart(self) -> None:
        """Count from now: something moved."""
        self._deadline = time.monotonic() + self._seconds
        self._delay = _FIRST_DELAY
        self._tries = 0

    @property
    def remaining(self) -> float:
        """Seconds until the deadline, never quite 0 (which would mean no time-out at all)."""
        return max(self._deadline - time.monotonic(), _NO_TIME)

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.remaining <= _NO_TIME

    def wait(self, fault: TransientError) -> None:
        """Sleep before the next try, or raise the fault's lasting form when time is up.

        As long as the server asks for, else so that a last try is made before the deadline.
        """
        self._tries += 1
        if fault.retry_after:
            delay, asked = max(fault.retry_after, _FIRST_DELAY), " as it asks"
            is_over = delay >= self.remaining
        else:
            delay, asked = min(self._delay, 0.75 * self.remaining), ""
            is_over = delay < _FIRST_DELAY
        if is_over or (fault.unreachable and self._tries >= _QUICK_TRIES):
            raise fault.lasting(self._seconds)
        self._notify(f"{fault.what}; trying again in {delay:.2g} s{asked}")
        time.sleep(delay)
        self._delay = min(self._delay * 2, _MOST_DELAY)


# --- What is said of each -------------------------------------------------------------


def not_a_server(host: str, status: int) -> SourceError:
    """Something answers, but not W&B."""
    return SourceError(
        f"{host} does not answer as a W&B server (HTTP {status})",
        "Set WANDB_BASE_URL to the API's address, such as https://api.wandb.ai, and look for a "
        "proxy in between",
    )


def transient_status(response: BaseHTTPResponse, host: str) -> TransientError | None:
    """The fault of a 408, 429 or 5xx answer; None for every other status."""
    status = response.status
    if status == 429:
        return TransientError(
            f"{host} limits the rate of requests (429)",
            retry_after=_retry_after(response.headers.get("Retry-After"))
            or _seconds(response.headers.get("RateLimit-Reset")),
            remedy="Wait a minute and try again",
        )
    if status == 408 or (status >= 500 and status != 501):
        return TransientError(
            f"{host} answers {status} {responses.get(status, '')}",
            retry_after=_retry_after(response.headers.get("Retry-After")),
            remedy=f"Try again later; {_STATUS_PAGE} tells of outages",
        )
    return None


def permanent_error(status: int, host: str) -> RequestRefusedError:
    """The fault of a file request that asking again would not mend."""
    remedies = {
        401: "Run `wandb login --relogin`",
        403: "Ask the project's owner for access, or try again: signed addresses expire",
        404: "It was deleted from W&B, or never fully uploaded: `goemo-report sync` sends runs "
        "again",
    }
    return RequestRefusedError(
        f"{host} answers {status} {responses.get(status, '')} to a file request",
        remedies.get(status, "Try again later"),
        status=status,
    )


def transient_exception(error: Exception, host: str) -> TransientError:
    """The fault behind an exception of urllib3 or the socket.

    Raises SourceError at once for what cannot pass: a certificate that does not fit.
    """
    cause = _root(error)
    if isinstance(error, exceptions.SSLError) or isinstance(cause, ssl.SSLError):
        reason = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or ""
        why = str(reason).replace("_", " ").lower() or "handshake failed"
        raise SourceError(
            f"no trusted TLS connection to {host} ({why})",
            "Set REQUESTS_CA_BUNDLE to the certificate of your server or proxy, or check that "
            "WANDB_BASE_URL says http or https as the server wants it",
        ) from None
    if isinstance(error, exceptions.LocationValueError):
        raise SourceError(f"{host} gave an address that cannot be used", "") from None
    if isinstance(error, exceptions.ProxyError):
        return TransientError(
            f"the proxy in front of {host} cannot be used",
            unreachable=True,
            remedy="`goemo-report doctor` names the proxy; check it, or NO_PROXY",
        )
    if isinstance(error, exceptions.ReadTimeoutError) or isinstance(cause, TimeoutError):
        is_connected = not isinstance(error, exceptions.ConnectTimeoutError)
        what = "did not answer" if is_connected else "accepts no connection"
        return TransientError(f"{host} {what}", timed_out=True)
    if isinstance(cause, OSError) and not isinstance(cause, ConnectionResetError | BrokenPipeError):
        known = (cause.strerror or "").lower() or "unreachable"
        why = "unknown host" if isinstance(cause, socket.gaierror) else known
        return TransientError(
            f"{host} cannot be reached ({why})",
            unreachable=True,
            remedy=f"Check the network and WANDB_BASE_URL{read_offline()}",
        )
    return TransientError(
        f"{host} dropped the connection", remedy=f"Try again later; {_STATUS_PAGE} tells of outages"
    )


def quota_gone(headers: Mapping[str, str]) -> float:
    """Seconds until another request is allowed, by the RateLimit headers of an answer."""
    left = _seconds(headers.get("RateLimit-Remaining"))
    if left is None or left >= 1:
        return 0.0
    return _seconds(headers.get("RateLimit-Reset")) or 0.0


def _retry_after(text: str | None) -> float | None:
    if (seconds := _seconds(text)) is not None or not text:
        return seconds
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _root(error: BaseException) -> BaseException:
    """The innermost cause of a nest of exceptions."""
    seen = {id(error)}
    while True:
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        if not isinstance(inner, BaseException):
            inner = next((a for a in error.args if isinstance(a, BaseException)), None)
        if inner is None or id(inner) in seen:
            return error
        seen.add(id(inner))
        error = inner

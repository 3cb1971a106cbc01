"""HTTP to a W&B server: time-outs that hold, retries that are seen, requests that are counted.

The wandb client's own API object is not used for reading: it hides failures for 19 s, has no
time-out in places, asks once per run and field, and never checks what it downloads. The same
GraphQL documents are sent here over one connection pool instead.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth

from goemo_report import __version__
from goemo_report.errors import SettingsError, SourceError
from goemo_report.sources.wandb_api.credentials import Credentials
from goemo_report.sources.wandb_api.faults import (
    READ_OFFLINE,
    RequestRefusedError,
    TransientError,
    hopeless_status,
    not_a_server,
    refused_key,
    transient_exception,
    transient_status,
)

DEFAULT_TIMEOUT: Final = 12.0
"""Seconds for one request with its retries, so that a command fails within 15 s."""

CONNECTIONS: Final = 16
"""Requests in flight at once."""

_NO_TIME: Final = 0.01
_PIECE: Final = 1 << 18
_FIRST_DELAY: Final = 0.5
_MOST_DELAY: Final = 8.0
_QUICK_TRIES: Final = 3  # a host that refuses connections is not waited for until the deadline

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


class _NoAuth(AuthBase):
    """Keeps the netrc file's password out of requests to signed addresses."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


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

    def wait(self, fault: TransientError) -> None:
        """Sleep before the next try, or raise the fault's lasting form when time is up."""
        self._tries += 1
        delay = max(self._delay, fault.retry_after or 0.0)
        if delay >= self.remaining or (fault.unreachable and self._tries >= _QUICK_TRIES):
            raise fault.lasting(self._seconds)
        self._notify(f"{fault.what}; trying again in {delay:.2g} s")
        time.sleep(delay)
        self._delay = min(self._delay * 2, _MOST_DELAY)


class Transport:
    """One connection pool to one server. Methods may be called from many threads.

    `requests` counts what was sent, by kind; `notify` is told of every retry.
    """

    def __init__(
        self, credentials: Credentials, *, notify: Notify, timeout: float | None = None
    ) -> None:
        self.credentials = credentials
        self.timeout = http_timeout() if timeout is None else timeout
        self.requests: Counter[str] = Counter()
        self._told: dict[str, float] = {}
        self._tell = notify
        self._lock = threading.Lock()
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"goemo-report/{__version__}"
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=CONNECTIONS, max_retries=0)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def notify(self, message: str) -> None:
        """Pass a line on, but the same line not more than once in two seconds."""
        now = time.monotonic()
        with self._lock:
            if now - self._told.get(message, -math.inf) < 2.0:
                return
            self._told[message] = now
        self._tell(message)

    def backoff(self) -> Backoff:
        """A fresh deadline for one request."""
        return Backoff(self.timeout, self.notify)

    def graphql(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The `data` of one GraphQL answer.

        Raises SourceError; RequestRefusedError with the server's own words where it refused.
        """
        url = f"{self.credentials.base_url}/graphql"
        backoff = self.backoff()
        while True:
            try:
                response = self._send(
                    "POST",
                    url,
                    backoff.remaining,
                    auth=self._key(),
                    json={
                        "operationName": _operation(document),
                        "query": document,
                        "variables": dict(variables),
                    },
                )
                return self._data(response, self._body(response, backoff))
            except TransientError as fault:
                backoff.wait(fault)

    def read(self, url: str, *, with_key: bool = False) -> bytes:
        """The whole body at an address; signed addresses are asked without the key."""
        backoff = self.backoff()
        while True:
            try:
                with self.open(url, backoff.remaining, with_key=with_key) as response:
                    return self._body(response, backoff)
            except TransientError as fault:
                backoff.wait(fault)

    @contextmanager
    def open(
        self, url: str, timeout: float, *, with_key: bool = False, offset: int = 0
    ) -> Iterator[requests.Response]:
        """A body to be read piece by piece, from an offset where the server can.

        Raises TransientError for what may pass, RequestRefusedError for what will not.
        """
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        auth = self._key() if with_key else _NoAuth()
        response = self._send("GET", url, timeout, auth=auth, headers=headers)
        try:
            if response.status_code not in {200, 206}:
                raise hopeless_status(response.status_code, self.credentials.host)
            yield response
        finally:
            response.close()

    def _key(self) -> HTTPBasicAuth:
        key = self.credentials.api_key
        if key is None:
            raise SourceError(
                f"no W&B API key is set for {self.credentials.host}",
                f"Run `wandb login`, or set WANDB_API_KEY{READ_OFFLINE}",
            )
        return HTTPBasicAuth("api", key.reveal())

    def _send(self, method: str, url: str, timeout: float, **arguments: Any) -> requests.Response:
        with self._lock:
            self.requests["graphql" if method == "POST" else "files"] += 1
        try:
            response = self._session.request(
                method, url, timeout=(min(timeout, 10.0), timeout), stream=True, **arguments
            )
        except requests.RequestException as error:
            raise transient_exception(error, self.credentials.host) from None
        if fault := transient_status(response, self.credentials.host):
            response.close()
            raise fault
        return response

    def pieces(self, response: requests.Response) -> Iterator[bytes]:
        """A body as it arrives. Raises TransientError where it breaks off."""
        try:
            while piece := response.raw.read1(_PIECE, decode_content=True):
                yield piece
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise transient_exception(error, self.credentials.host) from None

    def _body(self, response: requests.Response, backoff: Backoff) -> bytes:
        """All of a body before the deadline, however slowly it drips."""
        pieces = []
        try:
            for piece in self.pieces(response):
                pieces.append(piece)
                if backoff.remaining <= _NO_TIME:
                    what = f"{self.credentials.host} did not finish its answer"
                    raise TransientError(what, timed_out=True)
        finally:
            response.close()
        return b"".join(pieces)

    def _data(self, response: requests.Response, body: bytes) -> dict[str, Any]:
        host = self.credentials.host
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if response.status_code == 401:
            raise refused_key(self.credentials)
        if not isinstance(answer, dict) or not ("data" in answer or "errors" in answer):
            raise not_a_server(host, response.status_code)
        errors = answer.get("errors") or []
        data = answer.get("data")
        if response.status_code >= 400 or (errors and not data):
            messages = "; ".join(_message(error) for error in errors) or "no reason given"
            raise RequestRefusedError(
                f"{host} refuses the request ({response.status_code}): {messages}",
                "Check entity, project and what the key may see with `goemo-report doctor`",
                status=response.status_code,
                reason=messages,
            )
        return data if isinstance(data, dict) else {}


def _operation(document: str) -> str:
    """The name that a document gives its operation, for the server's own logs."""
    return document.split("(", 1)[0].split("{", 1)[0].removeprefix("query").strip()


def _message(error: Any) -> str:
    text = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(text).split())[:300]

"""HTTP to a W&B server: time-outs that hold, retries that are seen, requests that are counted.

The wandb client's own API object is not used for reading: it hides failures for 19 s, has no
time-out in places, asks once per run and field, and never checks what it downloads. The same
GraphQL documents are sent here over one connection pool instead.
"""

from __future__ import annotations

import base64
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import urlencode, urljoin, urlsplit

import requests.utils
import urllib3

from goemo_report import __version__
from goemo_report.errors import SourceError
from goemo_report.formats.text import printable, shortened
from goemo_report.sources.wandb_api.credentials import AccessToken, Credentials
from goemo_report.sources.wandb_api.faults import (
    Backoff,
    Notify,
    RequestRefusedError,
    TransientError,
    http_timeout,
    not_a_server,
    permanent_error,
    quota_gone,
    read_offline,
    transient_exception,
    transient_status,
)
from goemo_report.sources.wandb_api.network import Pools, find_network, origin

CONNECTIONS: Final = 16
"""Requests in flight at once."""

_USER_AGENT: Final = f"goemo-report/{__version__}"
_PIECE: Final = 1 << 18
_MOST_REDIRECTS: Final = 10


class Transport:
    """One connection pool to one server. Methods may be called from many threads.

    `requests` counts what was sent, by kind; `notify` is told of every retry.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        notify: Notify,
        timeout: float | None = None,
    ) -> None:
        self.credentials = credentials
        self.network = find_network()
        self.timeout = http_timeout() if timeout is None else timeout
        self.requests: Counter[str] = Counter()
        self._told: dict[str, float] = {}
        self._tell = notify
        self._lock = threading.Lock()
        self._home = origin(credentials.base_url)
        self._token = None
        if credentials.identity_file is not None and credentials.credentials_file is not None:
            own = credentials.identity_file, credentials.credentials_file
            self._token = AccessToken(credentials.base_url, *own)
        self._quota_from = -math.inf  # no request before, by the server's own word
        self._pools = Pools(self.network, CONNECTIONS)
        if self.network.insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            self.notify(f"certificates are not checked ({self.network.insecure})")

    def notify(self, message: str) -> None:
        """Pass a line on, but the same line not more than once in two seconds."""
        now = time.monotonic()
        with self._lock:
            if now - self._told.get(message, -math.inf) < 2.0:
                return
            self._told[message] = now
        self._tell(message)

    def graphql(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The `data` of one GraphQL answer.

        Raises SourceError; RequestRefusedError with the server's own words where it refused.
        """
        url = f"{self.credentials.base_url}/graphql"
        asked = {"operationName": _operation(document), "query": document}
        body = json.dumps(asked | {"variables": dict(variables)}).encode()
        headers = {"Content-Type": "application/json"}
        return self._data(*self._answer(url, body=body, with_key=True, headers=headers))

    def read(self, url: str, *, with_key: bool = False) -> bytes:
        """The whole body at an address; signed addresses are asked without the key."""
        status, body = self._answer(url, with_key=with_key)
        if status != 200:
            raise permanent_error(status, self.credentials.host)
        return body

    def _answer(self, url: str, **sent: Any) -> tuple[int, bytes]:
        """Status and body of an answer; what may pass is asked again while there is time."""
        backoff = Backoff(self.timeout, self.notify)
        while True:
            try:
                response = self._send(url, backoff.remaining, **sent)
                return response.status, self._body(response, backoff)
            except TransientError as fault:
                backoff.wait(fault)

    @contextmanager
    def open(
        self, url: str, *, with_key: bool = False, offset: int = 0
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """A body to be read piece by piece, from an offset where the server can.

        Raises TransientError for what may pass, RequestRefusedError for what will not.
        """
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        response = self._send(url, self.timeout, with_key=with_key, headers=headers)
        try:
            if response.status not in {200, 206}:
                raise permanent_error(response.status, self.credentials.host)
            yield response
        finally:
            response.close()

    def _authorization(self, timeout: float) -> str:
        if self._token is not None:
            return f"Bearer {self._token.get(lambda form: self._exchange(form, timeout))}"
        key = self.credentials.api_key
        if key is None:
            raise SourceError(
                f"no W&B API key is set for {self.credentials.host}",
                f"Run `wandb login`, or set WANDB_API_KEY{read_offline()}",
            )
        return "Basic " + base64.b64encode(f"api:{key.value}".encode()).decode()

    def _exchange(self, form: Mapping[str, str], timeout: float) -> dict[str, Any]:
        """An access token for a JWT. Raises SourceError where the server refuses it."""
        url = f"{self.credentials.base_url}/oidc/token"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        response = self._send(url, timeout, body=urlencode(form).encode(), headers=headers)
        body = self._body(response, Backoff(timeout, self.notify))
        answer = _parsed(body)
        if response.status != 200 or not answer:
            reason = _line(answer.get("error_description") or answer.get("error"))
            raise RequestRefusedError(
                f"{self.credentials.host} refused the identity token in "
                f"{self.credentials.identity_file} ({response.status}): {reason}",
                "Renew the token; WANDB_IDENTITY_TOKEN_FILE names its file",
                status=response.status,
                reason=reason,
            )
        token = answer.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise not_a_server(self.credentials.host, response.status)
        return answer

    def _send(
        self,
        url: str,
        timeout: float,
        *,
        body: bytes | None = None,
        with_key: bool = False,
        headers: Mapping[str, str] = {},
    ) -> urllib3.BaseHTTPResponse:
        """One request, which posts a body. Redirects are followed here, as only the
        server itself may be told the key and the extra headers: its scheme, host and port."""
        host = self.credentials.host
        for _ in range(_MOST_REDIRECTS):
            given = {"User-Agent": _USER_AGENT, "Accept-Encoding": "gzip, deflate", **headers}
            at_home = self._is_home(url)
            if at_home:
                self._keep_quota(timeout)
                given |= self.network.server_headers
                if with_key:
                    given["Authorization"] = self._authorization(timeout)
            response = self._once(url, timeout, given, body)
            if at_home:
                quota_from = time.monotonic() + quota_gone(response.headers)
                self._quota_from = max(self._quota_from, quota_from)
            if fault := transient_status(response, host):
                response.close()
                raise fault
            if not (target := response.get_redirect_location()):
                return response
            response.close()
            with suppress(ValueError):  # an address that is none is refused as it stands
                target = urljoin(url, target.encode("latin-1").decode("utf-8", "replace"))
            url = target
            if not self._is_home(url) and (body is not None or not url.startswith("http")):
                parts = urlsplit(url)
                place = printable(f"{parts.scheme}://{parts.netloc.rsplit('@', 1)[-1]}")
                raise SourceError(
                    f"{host} redirects to {shortened(place, 200)}, where no key is sent",
                    f"Set WANDB_BASE_URL to {shortened(place, 200)} if you trust it",
                )
        raise SourceError(f"{host} redirects in a circle", "Check WANDB_BASE_URL")

    def _is_home(self, url: str) -> bool:
        """Whether an address is the server's. Raises SourceError where it is none."""
        try:
            return origin(url) == self._home
        except ValueError:
            host = self.credentials.host
            raise SourceError(f"{host} gave an address that cannot be used", "") from None

    def _once(
        self, url: str, timeout: float, headers: Mapping[str, str], body: bytes | None
    ) -> urllib3.BaseHTTPResponse:
        method = "GET" if body is None else "POST"
        with self._lock:
            self.requests["files" if body is None else "graphql"] += 1
        try:
            return self._pools.to(url).urlopen(
                method,
                requests.utils.urldefragauth(url),
                redirect=False,
                retries=False,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(min(timeout, 10.0), timeout),
                preload_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise transient_exception(error, self.credentials.host) from None

    def _keep_quota(self, timeout: float) -> None:
        """Wait where the server has said that no request is left for now."""
        wait = self._quota_from - time.monotonic()
        if 0 < wait < timeout:
            what = f"{self.credentials.host} limits the rate of requests"
            self.notify(f"{what}; waiting {wait:.2g} s as it asks")
            time.sleep(wait)

    def pieces(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """A body as it arrives. Raises TransientError where it breaks off."""
        try:
            while piece := response.read1(_PIECE, decode_content=True):
                yield piece
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise transient_exception(error, self.credentials.host) from None

    def _body(self, response: urllib3.BaseHTTPResponse, backoff: Backoff) -> bytes:
        """All of a body before the deadline, however slowly it drips."""
        pieces = []
        try:
            for piece in self.pieces(response):
                pieces.append(piece)
                if backoff.is_over:
                    what = f"{self.credentials.host} did not finish its answer"
                    raise TransientError(what, timed_out=True)
        finally:
            response.close()
        return b"".join(pieces)

    def _data(self, status: int, body: bytes) -> dict[str, Any]:
        known, host = self.credentials, self.credentials.host
        if status == 401:
            is_token = known.identity_file is not None
            raise RequestRefusedError(
                f"{host} refused the {'access token' if is_token else 'API key'} from "
                f"{known.key_source} (401)",
                f"Delete {known.credentials_file} and renew the identity token"
                if is_token
                else "Run `wandb login --relogin`, or set WANDB_API_KEY to a key of this server",
                status=401,
            )
        answer = _parsed(body)
        if not ("data" in answer or "errors" in answer):
            raise not_a_server(host, status)
        errors = answer.get("errors") or []
        data = answer.get("data")
        if status >= 400 or (errors and not data):
            said = (error.get("message") if isinstance(error, dict) else error for error in errors)
            messages = "; ".join(map(_line, said)) or "no reason given"
            raise RequestRefusedError(
                f"{host} refuses the request ({status}): {messages}",
                "Check entity, project and what the key may see with `goemo-report doctor`",
                status=status,
                reason=messages,
            )
        return data if isinstance(data, dict) else {}


def _operation(document: str) -> str:
    """The name that a document gives its operation, for the server's own logs."""
    return document.split("(", 1)[0].split("{", 1)[0].removeprefix("query").strip()


def _parsed(body: bytes) -> dict[str, Any]:
    """The JSON object that a body is, empty where it is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _line(said: Any) -> str:
    """A server's own words in one line."""
    return " ".join(str(said or "no reason given").split())[:300]

"""The HTTP side: routes, keys and signatures, faults, the log of requests."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tests.wandb_server import api, routes
from tests.wandb_server.faults import Fault

if TYPE_CHECKING:
    from tests.wandb_server.server import WandbServer


@dataclass
class Request:
    """One request as the log keeps it: no headers, so no key."""

    method: str
    path: str  # unquoted, with the query
    operation: str  # of GraphQL; empty elsewhere
    started: float
    status: int = 0  # 0: no answer was sent
    seconds: float = 0.0
    received: int = 0
    sent: int = 0
    authorization: bool = False
    user_agent: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Answer:
    """What goes back."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: int, value: Any) -> Answer:
        """A JSON answer."""
        return cls(status, json.dumps(value).encode())


class DroppedError(Exception):
    """The connection is to be closed without another byte."""


class Listener(ThreadingHTTPServer):
    """Knows its connections, so that stopping cuts them as a dying server does."""

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, owner: WandbServer, port: int) -> None:
        self.owner = owner
        self.connections: set[socket.socket] = set()
        super().__init__((owner.host, port), Handler)
        if owner.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(owner.certificate)
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    def cut_connections(self) -> None:
        """Close every connection, whatever is going on in it."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""


class Handler(BaseHTTPRequestHandler):
    """One connection, kept alive."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """The server keeps its own log."""

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_OPTIONS = do_HEAD = do_GET  # noqa: N815 - names the base class looks for

    def _serve(self) -> None:
        try:
            self._answer()
        except (DroppedError, ConnectionError, TimeoutError):
            self.close_connection = True

    def _answer(self) -> None:
        owner, started = self.server.owner, time.monotonic()
        body = self._body()
        path = unquote(self.path)
        request = Request(
            self.command, path, "", started,
            received=len(body),
            authorization="Authorization" in self.headers,
            user_agent=self.headers.get("User-Agent", ""),
        )  # fmt: skip
        if urlsplit(self.path).path == "/graphql" and body:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                document = json.loads(body)
                request.variables = document.get("variables") or {}
                request.operation = api.operation_name(
                    document["query"], document.get("operationName")
                )
        if not path.startswith("/-/"):
            owner.requests.append(request)
        try:
            faults = owner.faults.meet(request.method, path, request.operation)
            if owner.latency and not path.startswith("/-/"):
                time.sleep(owner.latency)
            answer = self._before(faults, owner) or self._carry_out(body, request, owner)
            self._send(answer, faults, request)
        finally:
            request.seconds = time.monotonic() - started

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            wanted = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(wanted)
            if len(body) < wanted:
                raise DroppedError
        if self.headers.get("Content-Encoding") == "gzip" and not self.path.startswith("/storage"):
            body = gzip.decompress(body)
        return body

    def _before(self, faults: list[Fault], owner: WandbServer) -> Answer | None:
        for fault in faults:
            if fault.delay:
                time.sleep(fault.delay)
            if fault.hang:
                while not fault.removed.wait(0.05):
                    if not owner.running:
                        raise DroppedError
            if fault.down:
                owner.stop()
                raise DroppedError
            if fault.drop == "request":
                raise DroppedError
            if fault.status is not None:
                answer = Answer.of(fault.status, {"errors": [{"message": fault.message}]})
                if fault.retry_after is not None:
                    answer.headers["Retry-After"] = f"{fault.retry_after:g}"
                return answer
        return None

    def _carry_out(self, body: bytes, request: Request, owner: WandbServer) -> Answer:
        parts = urlsplit(self.path)
        method = "GET" if self.command == "HEAD" else self.command
        given = routes.Call(method, unquote(parts.path), parts.query, dict(self.headers), body)
        at_storage = parts.path.startswith("/storage/")
        if any(self.headers.get(k) != v for k, v in owner.gateway.items()) and not at_storage:
            return Answer.of(407, {"error": "the gateway asks for its headers"})
        for pattern, needs_key, function in routes.ROUTES:
            found = re.fullmatch(pattern, f"{method} {parts.path}")
            if not found:
                continue
            if needs_key and not self._key_is_right(owner):
                return Answer.of(401, {"errors": [{"message": "user is not logged in"}]})
            status, content, headers = function(owner, given, *map(unquote, found.groups()))
            if isinstance(content, bytes):
                kind = headers.pop("Content-Type", "application/octet-stream")
                return Answer(status, content, kind, headers)
            return Answer.of(status, content)
        return Answer.of(404, {"error": "not found"})

    def _key_is_right(self, owner: WandbServer) -> bool:
        given = self.headers.get("Authorization")
        if owner.identity_token:
            return given == f"Bearer {routes.ACCESS_TOKEN}"
        wanted = base64.b64encode(f"api:{owner.api_key}".encode()).decode()
        return given == f"Basic {wanted}"

    def _send(self, answer: Answer, faults: list[Fault], request: Request) -> None:
        body, stop_at = answer.body, None
        for fault in faults:
            if fault.drop == "answer":
                raise DroppedError
            if fault.truncate is not None:
                body = body[: fault.truncate]
            if fault.corrupt:
                body = bytes(byte ^ 0x55 for byte in body)
            if fault.drop == "body":
                stop_at = len(body) // 2
        request.status = answer.status
        reason = HTTPStatus(answer.status).phrase
        head = [f"HTTP/1.1 {answer.status} {reason}", f"Content-Type: {answer.content_type}"]
        head += [f"{name}: {value}" for name, value in answer.headers.items()]
        head += ["Access-Control-Allow-Origin: *", f"Content-Length: {len(body)}", "", ""]
        if self.command == "HEAD":
            body = b""
        # One write: head and body in two packets would wait for each other.
        self.wfile.write("\r\n".join(head).encode("latin-1") + body[:stop_at])
        request.sent = len(body[:stop_at])
        if stop_at is not None:
            raise DroppedError

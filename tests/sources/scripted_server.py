"""An HTTP server on loopback that answers as a test tells it, fault by fault."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class ScriptedServer:
    """Answers come from `script`, one a request, then always from `otherwise`."""

    url: str
    script: list[Answer] = field(default_factory=list)
    otherwise: Answer | None = None
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def scripted_server(certificate: Path | None = None) -> Iterator[ScriptedServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            with state.lock:
                state.paths.append(self.path)
                state.headers.append(dict(self.headers))
                reply = state.script.pop(0) if state.script else state.otherwise
            assert reply is not None, "the script is over"
            reply(self)

        do_GET = do_POST = answer  # noqa: N815 - http.server's names

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    state = ScriptedServer(
        f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_address[1]}"
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def status(code: int, body: bytes = b"{}", **headers: str) -> Answer:
    def reply(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return reply


def data(**values: Any) -> Answer:
    return status(200, json.dumps({"data": values}).encode())


def drop(request: BaseHTTPRequestHandler) -> None:
    """Close the connection without an answer."""
    request.close_connection = True
    request.connection.close()


def hang(seconds: float) -> Answer:
    def reply(request: BaseHTTPRequestHandler) -> None:
        threading.Event().wait(seconds)
        drop(request)

    return reply


def drip(request: BaseHTTPRequestHandler) -> None:
    """An answer that never ends, a byte at a time."""
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    try:
        while True:
            request.wfile.write(b" ")
            request.wfile.flush()
            threading.Event().wait(0.05)
    except OSError:
        request.close_connection = True


def content(
    body: bytes, *, cut_at: int | None = None, ranges: bool = True, claim: int | None = None
) -> Answer:
    """A file; cut off after `cut_at` bytes of this answer, or with a Content-Length claimed."""

    def reply(request: BaseHTTPRequestHandler) -> None:
        start = 0
        asked = request.headers.get("Range")
        if asked and ranges:
            start = int(asked.removeprefix("bytes=").split("-")[0])
            if start >= len(body):
                status(416)(request)
                return
        part = body[start:]
        request.send_response(206 if asked and ranges else 200)
        request.send_header("Content-Length", str(len(part) if claim is None else claim))
        request.end_headers()
        request.wfile.write(part if cut_at is None else part[:cut_at])
        if cut_at is not None and cut_at < len(part):
            request.wfile.flush()
            drop(request)

    return reply

"""A forward proxy on loopback that notes what goes through it."""

from __future__ import annotations

import http.client
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class ForwardProxy:
    """`targets` are the addresses asked for, or host and port of a tunnel."""

    url: str
    targets: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def forward_proxy() -> Iterator[ForwardProxy]:
    class Handler(BaseHTTPRequestHandler):
        def forward(self) -> None:
            self.note()
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kept = {k: v for k, v in self.headers.items() if not k.startswith("Proxy-")}
            connection = http.client.HTTPConnection(parts.netloc)
            connection.request(self.command, parts.path or "/", body, kept)
            answer = connection.getresponse()
            self.send_response(answer.status)
            self.end_headers()
            self.wfile.write(answer.read())
            connection.close()

        do_GET = do_POST = forward  # noqa: N815 - http.server's names

        def do_CONNECT(self) -> None:
            host, _, port = self.path.rpartition(":")
            if host not in {"127.0.0.1", "localhost"}:  # telemetry of a library in this process
                self.send_error(403)
                return
            self.note()
            with socket.create_connection((host, int(port))) as far, suppress(OSError):
                self.send_response(200)
                self.end_headers()
                ends = {self.connection: far, far: self.connection}
                while all(self.pass_on(end, ends[end]) for end in select.select(ends, (), ())[0]):
                    pass
            self.close_connection = True

        def pass_on(self, near: socket.socket, far: socket.socket) -> bool:
            piece = near.recv(1 << 16)
            far.sendall(piece)
            return bool(piece)

        def note(self) -> None:
            state.targets.append(self.path)
            state.headers.append(dict(self.headers))

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = ForwardProxy(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

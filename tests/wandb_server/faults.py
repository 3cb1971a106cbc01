"""Faults to order: which requests they meet, and what happens to those."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Literal

Drop = Literal["request", "answer", "body"]


@dataclass(eq=False)
class Fault:
    """One fault. Whom it meets:

    operation: the GraphQL operation's name, exactly. path: a regular expression searched in
    the path and query, unquoted. method: `GET`, `PUT`, `POST`. skip: leave that many matching
    requests alone first. times: meet that many, then stop (None: for ever).

    What happens (at least one):

    delay: seconds before anything else. status: answer that, do nothing (`retry_after` adds
    the header, `message` the text). hang: no answer until the fault is removed or the server
    stops. drop: close the connection: `request` before it is carried out, `answer` after it
    was but with no byte sent, `body` half way through the answer. truncate: send only so many
    bytes of the body, with a Content-Length that agrees. corrupt: same length, wrong bytes.
    down: the whole server stops; `server.start()` brings it back with its data.
    """

    operation: str | None = None
    path: str | None = None
    method: str | None = None
    skip: int = 0
    times: int | None = None

    delay: float = 0.0
    status: int | None = None
    retry_after: float | None = None
    message: str = "injected fault"
    hang: bool = False
    drop: Drop | None = None
    truncate: int | None = None
    corrupt: bool = False
    down: bool = False

    hits: int = field(default=0, init=False)
    seen: int = field(default=0, init=False)
    removed: threading.Event = field(default_factory=threading.Event, init=False)

    def matches(self, method: str, path: str, operation: str) -> bool:
        """Whether a request is one of those that this fault is for."""
        return (
            (self.operation is None or self.operation == operation)
            and (self.method is None or self.method == method)
            and (self.path is None or re.search(self.path, path) is not None)
        )

    def remove(self) -> None:
        """End it; requests that hang go on to be carried out."""
        self.removed.set()


class Faults:
    """The faults in force. Every one that matches a request happens to it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(
        self,
        *,
        operation: str | None = None,
        path: str | None = None,
        method: str | None = None,
        skip: int = 0,
        times: int | None = None,
        delay: float = 0.0,
        status: int | None = None,
        retry_after: float | None = None,
        message: str = "injected fault",
        hang: bool = False,
        drop: Drop | None = None,
        truncate: int | None = None,
        corrupt: bool = False,
        down: bool = False,
    ) -> Fault:
        """Put a fault into force; see `Fault` for what the arguments mean."""
        fault = Fault(
            operation, path, method, skip, times, delay, status, retry_after, message, hang,
            drop, truncate, corrupt, down,
        )  # fmt: skip
        if not (delay or status or hang or drop or truncate is not None or corrupt or down):
            raise ValueError("the fault does nothing: give delay, status, hang, drop, ...")
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            for fault in self._faults:
                fault.remove()
            self._faults.clear()

    def meet(self, method: str, path: str, operation: str) -> list[Fault]:
        """The faults that happen to this request; counts it."""
        met = []
        with self._lock:
            for fault in self._faults:
                if fault.removed.is_set() or not fault.matches(method, path, operation):
                    continue
                fault.seen += 1
                if fault.seen <= fault.skip:
                    continue
                if fault.times is not None and fault.hits >= fault.times:
                    continue
                fault.hits += 1
                met.append(fault)
        return met

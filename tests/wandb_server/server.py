"""The server as tests see it."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from tests.wandb_server.blobs import Signer
from tests.wandb_server.faults import Faults
from tests.wandb_server.httpd import Listener, Request
from tests.wandb_server.resolvers.history import export
from tests.wandb_server.resolvers.registry import Context
from tests.wandb_server.seeding import SeedRun, seed
from tests.wandb_server.store import Artifact, Run, Store

API_KEY = "local-" + "0123456789abcdef" * 2 + "01234567"  # the client wants 40 characters after `-`
PROJECT = "goemotions-emotion-classification"

FEATURES = (
    "LARGE_FILENAMES", "ARTIFACT_TAGS", "CLIENT_IDS", "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILE_DOWNLOAD_HANDLER",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION", "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
    "ARTIFACT_MEMBERSHIP_IN_LINK_ARTIFACT_RESPONSE", "TOTAL_COUNT_IN_FILE_CONNECTION",
    "ARTIFACT_COLLECTIONS_FILTERING_SORTING", "ARTIFACT_V2_DOWNLOAD_HANDLER_SUPPORTS_ARTIFACT_ID",
    "MARK_RUN_FILES_UPLOADED", "SWEEPS_QUERY_FILTERING", "FILESTREAM_GZIP",
    "ARTIFACT_DIGEST_ALGORITHM",
)  # fmt: skip


class WandbServer:
    """A W&B server on loopback, in threads of this process.

    `with WandbServer() as server:` starts and stops it. `stop()` and `start()` in between are a
    server that dies and comes back at its address with its data.

    latency: seconds added to every request. faults: see `Faults.add`. requests: the log.
    problems: schema errors and bugs of the server itself; a test wants it empty.
    shuffled_pages: pages of runs by offset instead of by key, so that runs which arrive or go
    between pages come twice or not at all (the service has done that).
    certificate: a PEM file with key and certificate, to speak https. gateway: headers that all
    but storage asks for. identity_token: a JWT to exchange; keys are refused then.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        port: int = 0,
        api_key: str = API_KEY,
        username: str = "tester",
        entities: Sequence[str] = ("goemo-team", "tester"),
        latency: float = 0.0,
        url_seconds: float = 3600.0,
        certificate: Path | None = None,
    ) -> None:
        self.certificate = certificate
        self.gateway: dict[str, str] = {}
        self.identity_token = ""
        self.api_key = api_key
        self.latency = latency
        self.faults = Faults()
        self.requests: list[Request] = []
        self.running = False
        self._port = port
        self._directory = Path(tempfile.mkdtemp(prefix="wandb-server-"))
        (self._directory / "blobs").mkdir()
        self.store = Store(self._directory / "blobs", username, list(entities))
        self.signer = Signer(url_seconds)
        self.problems: list[str] = []
        self._features = dict.fromkeys(FEATURES, True)
        self.context = Context(self.store, self.signer, "", "", self._features, notes=self.problems)
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None

    # --- Life ---------------------------------------------------------------------------

    def start(self) -> WandbServer:
        """Listen; the first time at a free port, later at the same one."""
        if self.running:
            return self
        self._listener = Listener(self, self._port)  # listens from here on
        self._port = self._listener.server_port
        self.context.base_url = self.url
        # Another host name than the API's, as in production: nobody sends it the key by mistake.
        self.context.storage_url = self.url.replace(self.host, "localhost")
        self.running = True
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Die: close the address and cut every connection. The data stays."""
        listener, self._listener = self._listener, None
        self.running = False
        if listener is not None:
            listener.shutdown()
            listener.server_close()
            listener.cut_connections()

    def close(self) -> None:
        """Stop and delete what was stored."""
        self.faults.clear()
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> WandbServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- For clients --------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The base URL."""
        return f"{'https' if self.certificate else 'http'}://{self.host}:{self._port}"

    @property
    def shuffled_pages(self) -> bool:
        """Whether pages of runs go by offset; see the class."""
        return self.context.shuffled_pages

    @shuffled_pages.setter
    def shuffled_pages(self, on: bool) -> None:
        self.context.shuffled_pages = on

    def grow_old(self) -> None:
        """Become a server before 0.70, which does not know the files of a membership."""
        self.context.is_old = True
        for name in self.context.features:
            self.context.features[name] &= "MEMBERSHIP" not in name

    @property
    def entity(self) -> str:
        """The default entity."""
        return self.store.entities[0]

    def env(self, home: Path | None = None, *, key: str | None = None) -> dict[str, str]:
        """A whole environment for a client of this server and of nothing else.

        Nothing named WANDB_* is inherited. Home, caches and settings lie below `home`, or
        below a directory of the server's own; `key` replaces the right API key.
        """
        home = home or self._directory / "home"
        private = {
            "HOME": home,
            "NETRC": home / "netrc",
            "WANDB_DIR": home / "runs",
            "WANDB_CACHE_DIR": home / "cache",
            "WANDB_CONFIG_DIR": home / "config",
            "WANDB_DATA_DIR": home / "data",
            "WANDB_ARTIFACT_DIR": home / "artifacts",
        }
        for name, path in private.items():
            if name != "NETRC":
                path.mkdir(parents=True, exist_ok=True)
        kept = {name: v for name, v in os.environ.items() if not name.startswith("WANDB_")}
        return {
            **kept,
            **{name: str(path) for name, path in private.items()},
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": self.api_key if key is None else key,
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_X_DISABLE_MACHINE_INFO": "true",
            "WANDB_X_DISABLE_STATS": "true",
            "WANDB_DISABLE_GIT": "true",
            "WANDB_DISABLE_CODE": "true",
            "WANDB_CONSOLE": "off",
            "WANDB_SILENT": "true",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    # --- Looking at requests --------------------------------------------------------------

    def count(self, what: str | None = None) -> int:
        """How many requests: of a GraphQL operation, or whose `METHOD path` starts with it."""
        return sum(what is None or what in _names(request) for request in self.requests) or sum(
            f"{request.method} {request.path}".startswith(what or "") for request in self.requests
        )

    def counts(self) -> Counter[str]:
        """Requests by operation, or by method and the first part of the path."""
        return Counter(_names(request)[0] for request in self.requests)

    def forget_requests(self) -> None:
        """Start counting anew."""
        self.requests.clear()

    def wait_for(self, what: str, times: int = 1, *, timeout: float = 10.0) -> None:
        """Wait until `count(what)` is at least `times`. Raises TimeoutError."""
        until = time.monotonic() + timeout
        while self.count(what) < times:
            if time.monotonic() > until:
                raise TimeoutError(f"{what}: {self.count(what)} requests, not {times}")
            time.sleep(0.01)

    # --- Looking at and changing the data ---------------------------------------------------

    def run(self, name: str, *, project: str | None = None) -> Run:
        """The run of an id, in any project. Raises KeyError."""
        for found in self.store.projects.values():
            if name in found.runs and project in (None, found.name):
                return found.runs[name]
        raise KeyError(name)

    def artifact(self, name: str) -> Artifact:
        """The artifact `collection:alias`, in any project. Raises KeyError."""
        collection, _, alias = name.partition(":")
        for project in self.store.projects.values():
            if collection in project.collections:
                found = project.collections[collection].find(alias or "latest")
                if found is not None:
                    return found
        raise KeyError(name)

    def seed(
        self, runs: Iterable[SeedRun], project: str = PROJECT, entity: str | None = None
    ) -> list[Run]:
        """Put runs straight into the store; see `SeedRun`. Raises ApiError: unknown entity."""
        return seed(self.context, runs, project, entity)

    def export_history(self, name: str, rows: int | None = None, files: int = 1) -> None:
        """Move the first rows of a run's history, all by default, to Parquet files."""
        export(self.run(name), self.context, rows, files)

    def crash(self, name: str) -> None:
        """Do what the service's time-out does to a run whose client has vanished."""
        self.run(name).state = "crashed"


def _names(request: Request) -> tuple[str, ...]:
    """How a request may be counted."""
    if request.operation:
        return (request.operation,)
    first = request.path.split("?")[0].strip("/").split("/")
    if request.path.split("?")[0].endswith("/file_stream"):
        return (f"{request.method} file_stream",)
    return (f"{request.method} /{'/'.join(first[:2] if first[0] == 'storage' else first[:1])}",)

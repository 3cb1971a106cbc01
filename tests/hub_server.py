"""A stand-in for the Hugging Face hub's API on loopback, as far as a push asks it.

Paths, fields, header names and statuses are those that huggingface_hub sends and reads; uploads of
large files go to a store of its own, as on the hub, which takes no token. Commits are checked: the
parent must be the head, and every large file must have been uploaded whole.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_" + "aB3dE5" * 6


@dataclass
class Repo:
    """A repository: the files of its head, and every commit as (message, paths)."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[tuple[str, list[str]]] = field(default_factory=list)

    @property
    def head(self) -> str:
        return hashlib.sha1(repr((self.commits, sorted(self.files))).encode()).hexdigest()


@dataclass
class Hub:
    """What the server holds and was asked; `faults` are statuses by a pattern of METHOD path."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    meanwhile: Callable[[], None] | None = None
    requests: list[str] = field(default_factory=list)
    with_token: list[str] = field(default_factory=list)


def _oid(data: bytes) -> str:
    """What the hub compares: sha256 of a large file, git's own of a small one."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _is_large(path: str) -> bool:
    return path.endswith((".safetensors", ".bin", ".csv"))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    hub: Hub

    def answer(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub, asked = self.hub, f"{self.command} {self.path}"
        hub.requests.append(asked)
        sent = self.headers.get("Authorization")
        if sent:
            hub.with_token.append(asked)
        if "/store/" not in self.path and sent != f"Bearer {TOKEN}":
            return self.reply(401, {"error": f"Invalid user token {sent}"})
        for pattern, status in hub.faults.items():
            if re.search(pattern, asked):
                return self.reply(status, {"error": f"as the test asks, to {sent}"})
        for pattern, handle in ROUTES:
            if found := re.fullmatch(pattern, asked):
                return handle(self, body, *found.groups())
        return self.reply(404, {"error": f"no route for {asked}"})

    do_GET = do_POST = do_PUT = do_HEAD = answer  # noqa: N815 - http.server's names

    def reply(self, status: int, value: Any = None, **headers: str) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass

    def who(self, body: bytes) -> None:
        self.reply(200, {"type": "user", "name": "ada", "auth": {"type": "access_token"}})

    def info(self, body: bytes, name: str) -> None:
        repo = self.hub.repos.get(name)
        if repo is None:
            return self.reply(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
        files = [{"rfilename": path} for path in sorted(repo.files)]
        about = {"id": name, "sha": repo.head, "private": repo.private, "siblings": files}
        return self.reply(200, about)

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        name = f"{asked['organization'] or 'ada'}/{asked['name']}"
        if name.split("/")[0] not in {"ada", "my-team"}:
            return self.reply(403, {"error": "You don't have the rights"})
        url = f"{self.hub.url}/{name}"
        if name in self.hub.repos:
            return self.reply(409, {"error": "You already created this repo", "url": url})
        private = asked.get("visibility") == "private" or asked.get("private") is True
        self.hub.repos[name] = Repo(private, {".gitattributes": b"*.bin filter=lfs\n"})
        return self.reply(200, {"url": url, "name": name, "id": name})

    def validate(self, body: bytes) -> None:
        import yaml

        _, front, _ = json.loads(body)["content"].split("---\n", 2)
        assert isinstance(yaml.safe_load(front), dict)
        self.reply(200, {"errors": [], "warnings": []})

    def preupload(self, body: bytes, name: str) -> None:
        held, files = self.hub.repos[name].files, []
        for one in json.loads(body)["files"]:
            path = one["path"]
            large = _is_large(path)
            oid = None
            if path in held:
                data = held[path]
                oid = hashlib.sha256(data).hexdigest() if large else _oid(data)
            mode = "lfs" if large else "regular"
            files.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.reply(200, {"files": files})

    def batch(self, body: bytes, name: str) -> None:
        objects = []
        for one in json.loads(body)["objects"]:
            store = {"href": f"{self.hub.url}/store/{one['oid']}"}
            objects.append(one if one["oid"] in self.hub.stored else one | {"actions": {
                "upload": store}})  # fmt: skip
        self.reply(200, {"transfer": "basic", "objects": objects})

    def store(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.stored[oid] = body
        self.reply(200, {})

    def commit(self, body: bytes, name: str) -> None:
        repo = self.hub.repos[name]
        if self.hub.meanwhile:
            self.hub.meanwhile()
        header, *operations = map(json.loads, body.splitlines())
        if header["value"].get("parentCommit", repo.head) != repo.head:
            return self.reply(412, {"error": "The expected parent commit is another"})
        files = dict(repo.files)
        for one in operations:
            value = one["value"]
            if one["key"] == "deletedFile":
                del files[value["path"]]
            elif one["key"] == "lfsFile":
                files[value["path"]] = self.hub.stored[value["oid"]]
            else:
                assert not _is_large(value["path"])
                files[value["path"]] = base64.b64decode(value["content"])
        repo.files = files
        repo.commits.append(
            (header["value"]["summary"], [one["value"]["path"] for one in operations])
        )
        url = f"{self.hub.url}/{name}/commit/{repo.head}"
        return self.reply(200, {"commitUrl": url, "commitOid": repo.head})

    def resolve(self, body: bytes, name: str, path: str) -> None:
        repo = self.hub.repos[name]
        data = repo.files[path]
        self.reply(200, data, ETag=f'"{_oid(data)}"', X_Repo_Commit=repo.head)


_NAME = r"([\w.-]+/[\w.-]+)"
ROUTES: tuple[tuple[str, Callable[..., None]], ...] = (
    (r"GET /api/whoami-v2", Handler.who),
    (r"POST /api/repos/create", Handler.create),
    (r"POST /api/validate-yaml", Handler.validate),
    (rf"GET /api/models/{_NAME}(?:/revision/main)?", Handler.info),
    (rf"POST /api/models/{_NAME}/preupload/main", Handler.preupload),
    (rf"POST /{_NAME}\.git/info/lfs/objects/batch", Handler.batch),
    (r"PUT /store/(\w+)", Handler.store),
    (rf"POST /api/models/{_NAME}/commit/main", Handler.commit),
    (rf"(?:GET|HEAD) /{_NAME}/resolve/\w+/([\w./-]+)", Handler.resolve),
)


@contextmanager
def hub_server() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

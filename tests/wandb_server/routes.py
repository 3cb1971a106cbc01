"""What each path does. A route answers (status, JSON value or bytes, headers)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.wandb_server import api, filestream
from tests.wandb_server.blobs import Blob, b64_md5
from tests.wandb_server.errors import ApiError

if TYPE_CHECKING:
    from tests.wandb_server.server import WandbServer

ACCESS_TOKEN = "access-token-of-the-stand-in"

Result = tuple[int, Any, dict[str, str]]


@dataclass
class Call:
    """A request as routes see it."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    def header(self, name: str) -> str | None:
        """A header by its name in any case."""
        return next((v for k, v in self.headers.items() if k.lower() == name.lower()), None)


def graphql(server: WandbServer, call: Call) -> Result:
    """All queries and mutations."""
    try:
        status, answer = api.run_query(call.body, server.context)
    except (ValueError, KeyError) as error:
        return 400, {"errors": [{"message": f"bad request: {error!r}"}]}, {}
    return status, answer, {}


def access_token(server: WandbServer, call: Call) -> Result:
    """An access token for the JWT that this server was told to believe."""
    form = parse_qs(call.body.decode())
    if (
        form.get("assertion") != [server.identity_token]
        or "jwt-bearer" not in form["grant_type"][0]
    ):
        return 400, {"error": "invalid_grant", "error_description": "unknown identity"}, {}
    return 200, {"access_token": ACCESS_TOKEN, "expires_in": 3600}, {}


def file_stream(server: WandbServer, call: Call, entity: str, project: str, run: str) -> Result:
    """Lines of a running run."""
    with server.store.lock:
        try:
            found = server.store.need_run(entity, project, run)
        except ApiError as error:
            return error.status, {"error": error.message}, {}
        return 200, filestream.receive(found, json.loads(call.body)), {}


def run_file(
    server: WandbServer, call: Call, entity: str, project: str, run: str, name: str
) -> Result:
    """A run file, for whoever has the key."""
    try:
        key = server.store.need_run(entity, project, run).file_key(name)
    except ApiError as error:
        return error.status, {"error": error.message}, {}
    return _content(server.store.blobs.get(key), call)


def artifact_file(server: WandbServer, call: Call, md5: str) -> Result:
    """The client's way around storage that refuses: by digest, with the key."""
    return _content(server.store.blobs.get(f"artifacts/{md5}"), call)


def storage_get(server: WandbServer, call: Call, rest: str) -> Result:
    """A download by signed URL."""
    return _refusal(server, call) or _content(server.store.blobs.get(_key(rest)), call)


def storage_put(server: WandbServer, call: Call, rest: str) -> Result:
    """An upload by signed URL; Content-MD5 is checked where it is given."""
    refused = _refusal(server, call)
    if refused:
        return refused
    wanted, key = call.header("Content-MD5"), _key(rest)
    digest = b64_md5(call.body)
    if wanted and wanted != digest:
        return 400, b"<Code>BadDigest</Code>", {"Content-Type": "application/xml"}
    server.store.blobs.put(key, call.body)
    return 200, b"", {"ETag": f'"{digest}"'}


def _key(rest: str) -> str:
    """The blob's key: an artifact's or manifest's path goes on after it, to be read only."""
    kind, first, *_ = [*rest.split("/", 2), ""]
    return rest if kind == "runs" else f"{kind}/{first}"


def _refusal(server: WandbServer, call: Call) -> Result | None:
    """Storage knows signatures and no keys; a request with both is refused, as S3 does."""
    kind = {"Content-Type": "application/xml"}
    if call.header("Authorization") is not None:
        return 400, b"<Code>InvalidArgument: only one auth mechanism allowed</Code>", kind
    problem = server.signer.problem(call.method, call.path, call.query)
    return (403, f"<Code>{problem}</Code>".encode(), kind) if problem else None


def _content(blob: Blob | None, call: Call) -> Result:
    """A stored file, whole or the part that a Range header asks for."""
    if blob is None:
        return 404, b"<Code>NoSuchKey</Code>", {"Content-Type": "application/xml"}
    etag = f'"{blob.md5}"'
    headers = {"ETag": etag, "Accept-Ranges": "bytes"}
    content = blob.path.read_bytes()
    ranged = re.fullmatch(r"bytes=(\d+)-(\d*)", call.header("Range") or "")
    if not ranged or call.header("If-Range") not in (None, etag):
        return 200, content, headers
    start, end = int(ranged[1]), min(int(ranged[2] or blob.size - 1), blob.size - 1)
    if start >= blob.size or end < start:
        return 416, b"", headers | {"Content-Range": f"bytes */{blob.size}"}
    headers["Content-Range"] = f"bytes {start}-{end}/{blob.size}"
    return 206, content[start : end + 1], headers


def cors(server: WandbServer, call: Call) -> Result:
    """Every origin may GET and PUT."""
    return 204, b"", {"Access-Control-Allow-Methods": "GET, PUT, POST"}


def counts(server: WandbServer, call: Call) -> Result:
    """For benchmarks that run the server in another process: requests by what they did."""
    return 200, {"total": len(server.requests), "by": dict(server.counts())}, {}


def reset(server: WandbServer, call: Call) -> Result:
    """Forget the log."""
    server.requests.clear()
    return 200, {}, {}


def hello(server: WandbServer, call: Call) -> Result:
    """For a person who opens the address in a browser."""
    return 200, b"A stand-in W&B server for tests.\n", {"Content-Type": "text/plain"}


ROUTES: list[tuple[str, bool, Callable[..., Result]]] = [
    (r"POST /graphql", True, graphql),
    (r"POST /oidc/token", False, access_token),
    (r"POST /files/([^/]+)/([^/]+)/([^/]+)/file_stream", True, file_stream),
    (r"GET /files/([^/]+)/([^/]+)/([^/]+)/(.+)", True, run_file),
    (r"GET /artifactsV2/(?:[^/]+/){6}([0-9a-f]{32})/.+", True, artifact_file),
    (r"GET /storage/(.+)", False, storage_get),
    (r"PUT /storage/(.+)", False, storage_put),
    (r"OPTIONS .*", False, cors),
    (r"GET /-/requests", False, counts),
    (r"POST /-/reset", False, reset),
    (r"GET /", False, hello),
]
"""Method and path, whether the API key is asked for, what to do."""

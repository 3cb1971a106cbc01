"""The stand-in server over plain HTTP: filters, pages, signatures, ranges, faults, schema."""

from __future__ import annotations

import base64
import http.client
import importlib.util
import json
import runpy
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from graphql import parse, validate

from tests.wandb_server import SeedArtifact, SeedRun, WandbServer, api

RUNS = """query Runs($project: String!, $cursor: String, $first: Int, $order: String, $filters:
JSONString) { project(name: $project) { runCount(filters: $filters)
runs(filters: $filters, after: $cursor, first: $first, order: $order) {
edges { node { name } cursor } pageInfo { endCursor hasNextPage } } } }"""


@pytest.fixture
def server() -> Iterator[WandbServer]:
    with WandbServer() as started:
        started.seed(
            [
                SeedRun(
                    f"r{number}",
                    tags=["final", *(["odd"] if number % 2 else [])],
                    config={"model_name": "ab"[number % 2], "lr": number / 10, "a.b": number},
                    summary={"test/macro_f1": 0.5 - number / 100},
                    state="failed" if number == 3 else "finished",
                )
                for number in range(5)
            ],
            project="p",
        )
        yield started


def send(
    server: WandbServer,
    method: str,
    url: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    *,
    timeout: float = 5.0,
) -> tuple[int, bytes, dict[str, str]]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port or 0, timeout=timeout)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


def ask(server: WandbServer, query: str, **variables: Any) -> dict[str, Any]:
    key = base64.b64encode(f"api:{server.api_key}".encode()).decode()
    body = json.dumps({"query": query, "variables": variables, "operationName": ""}).encode()
    status, content, _ = send(
        server, "POST", f"{server.url}/graphql", body, {"Authorization": f"Basic {key}"}
    )
    return {"status": status, **json.loads(content)}


def names(server: WandbServer, filters: Any = None, **more: Any) -> list[str]:
    answer = ask(server, RUNS, project="p", filters=json.dumps(filters or {}), **more)
    assert answer["status"] == 200, answer
    project = answer["data"]["project"]
    found = [edge["node"]["name"] for edge in project["runs"]["edges"]]
    assert more.get("first") or project["runCount"] == len(found)
    return found


# --- Filters and pages ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"tags": "odd"}, "13"),
        ({"$and": [{"tags": "final"}, {"tags": "odd"}]}, "13"),
        ({"$or": [{"tags": "odd"}, {"config.lr.value": 0.4}]}, "134"),
        ({"tags": {"$ne": "odd"}}, "024"),
        ({"$not": {"tags": "odd"}}, "024"),
        ({"$nor": [{"tags": "odd"}, {"state": "finished"}]}, ""),
        ({"tags": {"$not": {"$eq": "odd"}}}, "024"),
        ({"state": "failed"}, "3"),
        ({"state": {"$in": ["failed", "running"]}}, "3"),
        ({"state": {"$nin": ["failed"]}}, "0124"),
        ({"config.model_name.value": "b"}, "13"),
        ({"config.model_name": {"$regex": "^a"}}, "024"),
        ({"config.lr": {"$gt": 0.1, "$lte": 0.3}}, "23"),
        ({"config.a.b.value": 2}, "2"),
        ({"config.nothing": {"$exists": True}}, ""),
        ({"summary_metrics.test/macro_f1": {"$lt": 0.48}}, "34"),
        ({"name": {"$in": ["r1", "r2", "none"]}}, "12"),
        ({"display_name": "r4"}, "4"),
        ({"created_at": {"$gte": "2024-12-10T14:34:00"}}, "34"),
    ],
)
def test_filters(server: WandbServer, filters: Any, expected: str) -> None:
    assert names(server, filters) == [f"r{digit}" for digit in expected]


@pytest.mark.parametrize(
    "filters",
    [
        {"tags": {"$in": ["a"]}},
        {"tags": {"$all": ["a"]}},
        {"$and": [{"tags": {"$not": {"$in": ["a"]}}}]},
        {"state": {"$near": 1}},
        {"$where": "1"},
        {"shoe_size": 1},
    ],
)
def test_filters_that_nobody_should_rely_on(server: WandbServer, filters: Any) -> None:
    answer = ask(server, RUNS, project="p", filters=json.dumps(filters))
    assert answer["status"] == 400
    assert answer["errors"]


def test_orders(server: WandbServer) -> None:
    assert names(server) == ["r0", "r1", "r2", "r3", "r4"]
    assert names(server, order="-created_at")[0] == "r4"
    assert names(server, order="+summary_metrics.test/macro_f1")[0] == "r4"
    assert names(server, order="-config.lr.value")[0] == "r4"


@pytest.mark.parametrize("order", ["+created_at", "-created_at", "-config.lr.value"])
def test_runs_arriving_between_pages_shift_nothing(server: WandbServer, order: str) -> None:
    before = names(server, order=order)
    found: list[str] = []
    cursor, more = None, True
    while more:
        page = ask(server, RUNS, project="p", first=2, cursor=cursor, order=order)
        runs = page["data"]["project"]["runs"]
        found += [edge["node"]["name"] for edge in runs["edges"]]
        cursor, more = runs["pageInfo"]["endCursor"], runs["pageInfo"]["hasNextPage"]
        if len(found) <= 4:  # after the first two pages; newest, and first by config
            server.seed([SeedRun(f"new{len(found)}", config={"lr": 9.0})], project="p")
    assert [name for name in found if name in before] == before
    assert len(found) == len(set(found))


def test_shuffled_pages_repeat_runs(server: WandbServer) -> None:
    server.shuffled_pages = True
    first = ask(server, RUNS, project="p", first=2, order="-created_at")["data"]["project"]["runs"]
    server.seed([SeedRun("new")], project="p")
    cursor = first["pageInfo"]["endCursor"]
    second = ask(server, RUNS, project="p", first=2, cursor=cursor, order="-created_at")
    again = second["data"]["project"]["runs"]["edges"][0]["node"]["name"]
    assert again == first["edges"][-1]["node"]["name"]


# --- The schema -----------------------------------------------------------------------------


def test_unknown_fields_are_errors(server: WandbServer) -> None:
    answer = ask(server, "query Q { viewer { shoeSize } }")
    assert answer["status"] == 400
    assert "shoeSize" in answer["errors"][0]["message"]
    assert server.problems == ["Cannot query field 'shoeSize' on type 'User'."]


# What the schema leaves out on purpose: see its first lines.
LEFT_OUT = (
    "REGISTRY", "REGISTRIES", "ORGANIZATION", "PORTFOLIO", "LINK", "TEAM", "INVITE", "ACCOUNT",
    "CREATE_USER", "API_KEY", "SEQUENCE_TYPE",
)  # fmt: skip


def test_every_document_of_the_client_in_scope_is_valid() -> None:
    spec = importlib.util.find_spec("wandb")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    checked = 0
    for path in ("sdk/artifacts/_generated/operations.py", "apis/_generated/operations.py"):
        for name, document in runpy.run_path(str(package / path)).items():
            if name.endswith("_GQL") and not any(part in name for part in LEFT_OUT):
                assert not validate(api.schema(), parse(document), api.RULES), name
                checked += 1
    assert checked > 30


# --- Keys, signatures, ranges ------------------------------------------------------------------

CSV = bytes(range(256)) * 4
FILES = """query F { project(name: "files") { artifactCollectionMembership(name: "art:v0") {
files { edges { node { name directUrl } } } } } }"""


@pytest.fixture
def download(server: WandbServer) -> str:
    """A signed URL."""
    artifact = SeedArtifact("art", "dataset", {"dir/a b.csv": CSV})
    server.seed([SeedRun("one", artifacts=[artifact])], project="files")
    answer = ask(server, FILES)["data"]["project"]["artifactCollectionMembership"]
    return str(answer["files"]["edges"][0]["node"]["directUrl"])


def test_no_key_and_wrong_key(server: WandbServer) -> None:
    for headers in ({}, {"Authorization": "Basic YXBpOndyb25n"}):
        status, body, _ = send(server, "POST", f"{server.url}/graphql", b"{}", headers)
        assert status == 401
        assert json.loads(body) == {"errors": [{"message": "user is not logged in"}]}


def test_signed_urls(server: WandbServer, download: str) -> None:
    assert send(server, "GET", download)[:2] == (200, CSV)
    assert send(server, "GET", download.split("?")[0])[0] == 403
    assert send(server, "GET", download[:-1] + ("0" if download[-1] != "0" else "1"))[0] == 403
    assert send(server, "GET", download.replace("a%20b", "other"))[0] == 403
    assert send(server, "PUT", download, b"x")[0] == 403
    assert send(server, "GET", download, headers={"Authorization": "Basic x"})[0] == 400


def test_signed_urls_expire() -> None:
    with WandbServer(url_seconds=-1) as server:
        url = server.signer.sign(server.url, "GET", "/storage/artifacts/00/x")
        status, body, _ = send(server, "GET", url)
    assert (status, b"expired" in body) == (403, True)


def test_uploads_are_checked_against_their_md5(server: WandbServer) -> None:
    url = server.signer.sign(server.url, "PUT", "/storage/artifacts/00/x")
    assert send(server, "PUT", url, b"x", {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})[0] == 400
    assert server.store.blobs.get("artifacts/00") is None


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=1000-", 206, CSV[1000:]),
        ("bytes=10-19", 206, CSV[10:20]),
        ("bytes=1024-", 416, b""),
        ("lines=1-2", 200, CSV),
    ],
)
def test_ranges(server: WandbServer, download: str, asked: str, status: int, part: bytes) -> None:
    got = send(server, "GET", download, headers={"Range": asked})
    assert got[:2] == (status, part)
    etag = send(server, "GET", download)[2]["ETag"]
    fresh = send(server, "GET", download, headers={"Range": asked, "If-Range": '"old"'})
    assert fresh[:2] == (200, CSV)
    same = send(server, "GET", download, headers={"Range": asked, "If-Range": etag})
    assert same[0] == status


# --- Faults ---------------------------------------------------------------------------------


def test_status_for_a_while(server: WandbServer) -> None:
    fault = server.faults.add(operation="Runs", skip=1, times=2, status=429, retry_after=1.5)
    statuses = [ask(server, RUNS, project="p")["status"] for _ in range(4)]
    assert statuses == [200, 429, 429, 200]
    assert (fault.hits, server.count("Runs"), server.count()) == (2, 4, 4)
    assert ask(server, "query Viewer { viewer { id } }")["status"] == 200


def test_retry_after_is_sent(server: WandbServer, download: str) -> None:
    server.faults.add(path=r"/storage/.*a b\.csv", status=429, retry_after=2)
    assert send(server, "GET", download)[2]["Retry-After"] == "2"


def test_bodies_that_are_wrong(server: WandbServer, download: str) -> None:
    server.faults.add(method="GET", path="/storage/", times=1, truncate=100)
    assert send(server, "GET", download)[:2] == (200, CSV[:100])
    server.faults.add(method="GET", path="/storage/", times=1, corrupt=True)
    status, body, _ = send(server, "GET", download)
    assert (status, len(body), body == CSV) == (200, len(CSV), False)
    assert send(server, "GET", download)[1] == CSV


def test_dropped_connections(server: WandbServer, download: str) -> None:
    server.faults.add(path="/storage/", times=1, drop="body")
    with pytest.raises(http.client.IncompleteRead) as caught:
        send(server, "GET", download)
    assert len(caught.value.partial) == len(CSV) // 2
    for drop in ("request", "answer"):
        server.faults.add(path="/storage/", times=1, drop=drop)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            send(server, "GET", download)


@pytest.mark.parametrize(("drop", "arrived"), [("request", False), ("answer", True)])
def test_a_dropped_request_may_have_been_carried_out(
    server: WandbServer, drop: Any, *, arrived: bool
) -> None:
    server.faults.add(method="PUT", drop=drop)
    url = server.signer.sign(server.url, "PUT", "/storage/artifacts/00/x")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        send(server, "PUT", url, b"content")
    assert (server.store.blobs.get("artifacts/00") is not None) == arrived


def test_latency_and_hanging(server: WandbServer) -> None:
    server.latency = 0.15
    started = time.monotonic()
    ask(server, RUNS, project="p")
    assert 0.15 <= time.monotonic() - started < 2
    server.latency = 0.0
    fault = server.faults.add(hang=True)
    with pytest.raises(TimeoutError):
        send(server, "GET", f"{server.url}/", timeout=0.2)
    threading.Timer(0.1, fault.remove).start()
    assert send(server, "GET", f"{server.url}/")[0] == 200


def test_dies_and_comes_back_with_its_data(server: WandbServer, download: str) -> None:
    server.faults.add(path="/storage/", times=1, down=True)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        send(server, "GET", download)
    with pytest.raises(ConnectionRefusedError):
        send(server, "GET", download)
    server.start()
    assert send(server, "GET", download)[:2] == (200, CSV)
    assert names(server) == ["r0", "r1", "r2", "r3", "r4"]


def test_connections_stay_open(server: WandbServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port or 0, timeout=5)
    for _ in range(3):
        connection.request("GET", "/")
        assert connection.getresponse().read()
    assert connection.sock is not None
    connection.close()


def test_a_fault_must_do_something(server: WandbServer) -> None:
    with pytest.raises(ValueError, match="does nothing"):
        server.faults.add(operation="Runs")

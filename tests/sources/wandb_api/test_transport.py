"""HTTP to the server: what passes is retried and seen, what does not is one clear line."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from goemo_report.errors import SettingsError, SourceError
from goemo_report.sources.wandb_api.credentials import Credentials, Setting
from goemo_report.sources.wandb_api.faults import DEFAULT_TIMEOUT, RequestRefusedError, http_timeout
from goemo_report.sources.wandb_api.transport import Transport
from tests.sources import scripted_server as scripted
from tests.sources.scripted_server import ScriptedServer, scripted_server

KEY = "s3cret" * 8
QUERY = "query Viewer { viewer { id } }"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


def transport(url: str, notes: list[str], *, timeout: float = 2.0) -> Transport:
    credentials = Credentials(url, url, Setting(KEY, "WANDB_API_KEY"))
    return Transport(credentials, notify=notes.append, timeout=timeout)


@pytest.mark.parametrize(
    ("fault", "note"),
    [
        (scripted.status(500), "500 Internal Server Error"),
        (scripted.status(502, b"<html>bad gateway</html>"), "502 Bad Gateway"),
        (scripted.status(429, Retry_After="0.6"), "limits the rate"),
        (scripted.drop, "dropped the connection"),
    ],
)
def test_a_passing_fault_is_retried_and_told(
    server: ScriptedServer, fault: scripted.Answer, note: str
) -> None:
    server.script += [fault, scripted.data(viewer={"id": "1"})]
    notes: list[str] = []
    assert transport(server.url, notes).graphql(QUERY, {}) == {"viewer": {"id": "1"}}
    [line] = notes
    assert note in line
    assert "trying again in" in line


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        (scripted.status(503), "503 Service Unavailable"),
        (scripted.status(429), "limits the rate of requests (429)"),
        (scripted.hang(9), "did not answer within 2 s"),
        (scripted.drip, "did not finish its answer within 2 s"),
        (scripted.drop, "dropped the connection"),
    ],
)
def test_a_lasting_fault_ends_by_the_deadline(
    server: ScriptedServer, fault: scripted.Answer, what: str
) -> None:
    server.otherwise = fault
    started = time.monotonic()
    with pytest.raises(SourceError) as caught:
        transport(server.url, []).graphql(QUERY, {})
    assert time.monotonic() - started < 2.8
    assert what in caught.value.what
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_a_long_retry_after_is_not_waited_for(server: ScriptedServer) -> None:
    server.otherwise = scripted.status(429, Retry_After="3600")
    started = time.monotonic()
    with pytest.raises(SourceError, match="3600 s"):
        transport(server.url, []).graphql(QUERY, {})
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (scripted.status(401, b'{"errors":[{"message":"no"}]}'), "wandb login --relogin"),
        (scripted.status(200, b"<html>hello</html>"), "WANDB_BASE_URL"),
        (scripted.status(404, b"not found"), "WANDB_BASE_URL"),
        (scripted.status(403, b'{"errors":[{"message":"not yours"}]}'), "not yours"),
        (scripted.status(200, b'{"errors":[{"message":"no field x"}]}'), "no field x"),
    ],
)
def test_a_refusal_is_told_at_once(
    server: ScriptedServer, answer: scripted.Answer, words: str
) -> None:
    server.script.append(answer)
    with pytest.raises(SourceError) as caught:
        transport(server.url, []).graphql(QUERY, {})
    assert words in str(caught.value)
    assert KEY not in repr(caught.value)


def test_a_host_that_is_down_is_told_soon() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(SourceError) as caught:
        transport(f"http://127.0.0.1:{port}", [], timeout=12).graphql(QUERY, {})
    assert "connection refused" in caught.value.what
    assert f"127.0.0.1:{port}" in caught.value.what
    assert time.monotonic() - started < 5


def test_an_unknown_host_is_told() -> None:
    with pytest.raises(SourceError) as caught:
        transport("http://wandb.invalid", [], timeout=6).graphql(QUERY, {})
    assert "wandb.invalid cannot be reached (unknown host)" in caught.value.what


def test_no_key_is_told_before_anything_is_sent(server: ScriptedServer) -> None:
    credentials = Credentials(server.url, server.url, None)
    with pytest.raises(SourceError, match="wandb login"):
        Transport(credentials, notify=print).graphql(QUERY, {})
    assert server.paths == []


def test_signed_addresses_are_asked_without_the_key(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password hidden\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.otherwise = scripted.status(200, b"body")
    client = transport(server.url, [])
    assert client.read(f"{server.url}/signed?token=x") == b"body"
    assert client.read(f"{server.url}/files/x", with_key=True) == b"body"
    assert "Authorization" not in server.headers[0]
    assert server.headers[1]["Authorization"].startswith("Basic ")
    assert client.requests == {"files": 2}


def test_an_untrusted_certificate_is_told(tmp_path: Path) -> None:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 2"
    files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    listening = socket.create_server(("127.0.0.1", 0))

    def shake_hands() -> None:
        connection, _ = listening.accept()
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()

    thread = threading.Thread(target=shake_hands)
    thread.start()
    started = time.monotonic()
    with pytest.raises(SourceError) as caught:
        transport(f"https://127.0.0.1:{listening.getsockname()[1]}", []).graphql(QUERY, {})
    thread.join()
    listening.close()
    assert "no trusted TLS connection" in caught.value.what
    assert "REQUESTS_CA_BUNDLE" in caught.value.remedy
    assert time.monotonic() - started < 1.5


def test_https_to_a_plain_server_is_told(server: ScriptedServer) -> None:
    server.otherwise = scripted.status(200)
    with pytest.raises(SourceError, match="no trusted TLS connection"):
        transport(server.url.replace("http:", "https:"), []).graphql(QUERY, {})


def test_the_time_out_comes_from_the_environment() -> None:
    assert http_timeout({"WANDB_HTTP_TIMEOUT": "2.5"}) == 2.5
    assert http_timeout({}) == DEFAULT_TIMEOUT < 15
    for text in ("soon", "0", "-1", "nan", "inf"):
        with pytest.raises(SettingsError, match="WANDB_HTTP_TIMEOUT"):
            http_timeout({"WANDB_HTTP_TIMEOUT": text})


def test_many_threads_say_a_retry_once(server: ScriptedServer) -> None:
    server.script += [scripted.status(503)] * 8
    server.otherwise = scripted.data(viewer=None)
    notes: list[str] = []
    client = transport(server.url, notes, timeout=6)
    threads = [threading.Thread(target=client.graphql, args=(QUERY, {})) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(notes) == len(set(notes)) <= 4
    assert client.requests["graphql"] == 16


def test_a_refusal_keeps_the_servers_words(server: ScriptedServer) -> None:
    server.script.append(
        scripted.status(404, b'{"errors":[{"message":"project\\n not found"}],"data":null}')
    )
    with pytest.raises(RequestRefusedError) as caught:
        transport(server.url, []).graphql(QUERY, {})
    assert (caught.value.status, caught.value.reason) == (404, "project not found")

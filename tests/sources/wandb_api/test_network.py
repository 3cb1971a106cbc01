"""The client's ways to a server, for reading, `sync` and `publish`: what goes where, and to whom
no credential goes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from goemo_report.contract import PROJECT
from goemo_report.errors import SettingsError, SourceError
from goemo_report.report.publish import require_publishable
from goemo_report.settings import SourceChoice
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.doctor import diagnose
from goemo_report.sources.offline_logs.source import LogSource
from goemo_report.sources.wandb_api.credentials import (
    Credentials,
    Setting,
    client_setting,
    find_credentials,
)
from goemo_report.sources.wandb_api.network import find_network, origin
from goemo_report.sources.wandb_api.transport import Transport
from goemo_report.syncing.sync import Patience, sync
from tests.sources import scripted_server as scripted
from tests.sources.clients import newest_client
from tests.sources.forward_proxy import ForwardProxy, forward_proxy
from tests.sources.online import open_api, point_at, put, some_runs
from tests.sources.scripted_server import ScriptedServer, scripted_server
from tests.wandb_server import WandbServer, run_client
from tests.wandb_server.routes import ACCESS_TOKEN

KEY = "s3cret" * 8
PASSWORD = "netrc-password"
QUERY = "query Viewer { viewer { id } }"
RUN = "distilbertbases1"
PUBLISH = """\
import goemo_report as gr
report = gr.compare("one.csv", "two.csv", labels="goemotions", resamples=100)
print(report.publish("x", entity="goemo-team", project="reports").artifact)
"""
TABLE = "text,true_labels,pred_labels\nso glad,joy,joy\nhow sad,sadness,joy\nfine,neutral,neutral\n"
SECRET = {"X-Gate": "open-sesame"}


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's, and a netrc file that knows every host."""
    proxies = [f"{scheme}_PROXY" for scheme in ("HTTP", "HTTPS", "NO")]
    bundles = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "WANDB_DIR"]
    names = [*proxies, *map(str.lower, proxies), *bundles, "WANDB_HTTP_PROXY", "WANDB_HTTPS_PROXY"]
    names += ["WANDB_IDENTITY_TOKEN_FILE", "WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_CONFIG_DIR"]
    names += ["WANDB_X_EXTRA_HTTP_HEADERS", "WANDB__EXTRA_HTTP_HEADERS"]
    names += ["WANDB_INSECURE_DISABLE_SSL", "WANDB_CREDENTIALS_FILE"]
    for name in names:
        monkeypatch.delenv(name, raising=False)
    netrc = tmp_path / "netrc"
    netrc.write_text(f"default login user password {PASSWORD}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as server:
        yield server


@pytest.fixture
def stranger() -> Iterator[ScriptedServer]:
    """Another port of the same host, to which redirects lead."""
    with scripted_server() as server:
        server.otherwise = scripted.data(viewer={"id": "stranger"})
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of 127.0.0.1 and localhost in one file, signed by itself."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 2"
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run(
        [*command.split(), *names, "-keyout", str(path), "-out", f"{path}.crt"],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


def transport(url: str, notes: list[str] | None = None, **options: Any) -> Transport:
    credentials = Credentials(url, url, Setting(KEY, "WANDB_API_KEY"))
    told = (notes if notes is not None else []).append
    return Transport(credentials, notify=told, **{"timeout": 3, **options})


def set_headers(monkeypatch: pytest.MonkeyPatch, headers: Mapping[str, str] = SECRET) -> None:
    monkeypatch.setenv("WANDB_X_EXTRA_HTTP_HEADERS", json.dumps(headers))


def redirect(status: int, target: str) -> scripted.Answer:
    return scripted.status(status, Location=target, Set_Cookie="session=cookie-secret; Path=/")


def told(server: ScriptedServer) -> str:
    return repr(server.headers)


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    @pytest.mark.parametrize("kind", ["files", "storage", "graphql"])
    def test_nothing_secret_goes_elsewhere(
        self,
        server: ScriptedServer,
        stranger: ScriptedServer,
        monkeypatch: pytest.MonkeyPatch,
        status: int,
        kind: str,
    ) -> None:
        set_headers(monkeypatch)
        for elsewhere in (stranger.url, stranger.url.replace("127.0.0.1", "localhost")):
            server.otherwise = redirect(status, f"{elsewhere}/there?signature=x")
            client = transport(server.url)
            if kind == "graphql":
                with pytest.raises(SourceError, match="redirects to http") as caught:
                    client.graphql(QUERY, {})
                assert elsewhere in caught.value.remedy
            else:
                client.read(f"{server.url}/{kind}/x", with_key=kind == "files")
        assert ("Basic " in told(server)) is (kind != "storage")
        assert "open-sesame" in told(server)
        assert stranger.paths == ([] if kind == "graphql" else ["/there?signature=x"] * 2)
        assert not any(name in told(stranger) for name in ("Authorization", "X-Gate", "Cookie"))

    def test_http_instead_of_https_is_another_place(
        self, stranger: ScriptedServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with scripted_server(certificate) as secure:
            secure.otherwise = redirect(302, f"{stranger.url}/x")
            transport(secure.url).read(f"{secure.url}/files/x", with_key=True)
        assert "Basic " in told(secure)
        assert "Authorization" not in told(stranger)
        same = {origin("https://H.example"), origin("https://h.example:443/x")}
        assert same != {origin("http://h.example:443"), origin("https://h.example:444")}
        assert len(same) == 1

    def test_at_home_key_and_headers_stay(
        self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        set_headers(monkeypatch)
        answer = scripted.data(viewer={"id": "1"})
        server.script += [redirect(307, "/graphql/"), answer, redirect(302, "/x"), answer]
        client = transport(server.url)
        assert client.graphql(QUERY, {}) == {"viewer": {"id": "1"}}
        client.read(f"{server.url}/files/x", with_key=True)
        assert [h["X-Gate"] for h in server.headers] == ["open-sesame"] * 4
        assert all(h["Authorization"].startswith("Basic ") for h in server.headers)
        assert "cookie-secret" not in told(server)

    @pytest.mark.parametrize(
        "target", ["file:///etc/passwd", "ftp://host/x", "/again", "http://h:99999/", "http://[x/"]
    )
    def test_one_that_leads_nowhere_ends(self, server: ScriptedServer, target: str) -> None:
        server.otherwise = redirect(302, target)
        with pytest.raises(SourceError, match=r"redirects|gave an address"):
            transport(server.url).read(f"{server.url}/files/x", with_key=True)
        assert len(server.paths) <= 10

    def test_passwords_in_addresses_and_netrc_are_not_used(self, server: ScriptedServer) -> None:
        server.otherwise = scripted.status(200)
        transport(server.url).read(server.url.replace("//", "//user:hidden@") + "/signed")
        assert "Authorization" not in server.headers[0]


class TestQuota:
    @pytest.mark.parametrize("name", ["RateLimit_Reset", "Retry_After"])
    def test_it_is_waited_for_as_told(self, server: ScriptedServer, name: str) -> None:
        headers = {name: "0.7", "RateLimit_Remaining": "0"}
        limited = scripted.status(429, b"{}", **headers)
        server.script += [limited, scripted.data(viewer={"id": "1"})]
        notes: list[str] = []
        assert transport(server.url, notes).graphql(QUERY, {}) == {"viewer": {"id": "1"}}
        assert "trying again in 0.7 s as it asks" in notes[0]

    def test_a_request_waits_where_none_is_left(self, server: ScriptedServer) -> None:
        spent = scripted.status(
            200, b'{"data": {}}', RateLimit_Remaining="0", RateLimit_Reset="0.6"
        )
        server.script += [spent, scripted.data(), scripted.data()]
        notes: list[str] = []
        client = transport(server.url, notes)
        for _ in range(3):
            client.graphql(QUERY, {})
        [note] = notes
        assert "limits the rate of requests; waiting 0.6 s as it asks" in note

    def test_more_than_the_time_out_is_told_at_once(self, server: ScriptedServer) -> None:
        server.otherwise = scripted.status(429, RateLimit_Reset="3600")
        with pytest.raises(SourceError, match="3600 s") as caught:
            transport(server.url).graphql(QUERY, {})
        assert "WANDB_HTTP_TIMEOUT" in caught.value.remedy
        assert len(server.paths) == 1

    def test_the_last_try_is_near_the_deadline(self, server: ScriptedServer) -> None:
        limited = threading.Event()
        timer = threading.Timer(2.2, limited.set)
        timer.start()

        def answer(request: BaseHTTPRequestHandler) -> None:
            done = scripted.data(viewer=None) if limited.is_set() else scripted.status(429)
            done(request)

        server.otherwise = answer
        assert transport(server.url, timeout=4).graphql(QUERY, {}) == {"viewer": None}
        timer.join()


class TestIdentity:
    @pytest.fixture
    def trusting(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WandbServer]:
        """A server that knows a JWT and no key."""
        with WandbServer() as server:
            point_at(monkeypatch, server, tmp_path)
            server.identity_token = "header.payload.signature"
            (tmp_path / "jwt").write_text(f"{server.identity_token}\n")
            monkeypatch.delenv("WANDB_API_KEY")
            monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", "jwt")
            yield server
            assert not server.problems

    @newest_client
    def test_a_token_is_fetched_once_and_kept_as_the_client_keeps_it(
        self, trusting: WandbServer, tmp_path: Path
    ) -> None:
        put(trusting, some_runs(2))
        for _ in range(2):
            source = open_api()
            runs = source.list_runs(RunQuery()).runs
            source.histories(runs)
            assert len(runs) == 2
        assert trusting.count("POST /oidc/token") == 1
        kept = tmp_path / ".config" / "wandb" / "credentials.json"
        assert kept.stat().st_mode & 0o777 == 0o600
        entry = json.loads(kept.read_text())["credentials"][trusting.url]
        assert entry["access_token"] == ACCESS_TOKEN
        code = "result = [run.id for run in wandb.Api().runs('goemo-team/goemotions')]"
        home = tmp_path / "client"
        home.mkdir()
        (home / "jwt").write_text(trusting.identity_token)
        trusting.seed(some_runs(1), project="goemotions")
        found = run_client(
            trusting,
            code,
            home,
            WANDB_API_KEY="",
            WANDB_CREDENTIALS_FILE=str(kept),
            WANDB_IDENTITY_TOKEN_FILE="jwt",
        )
        assert found == ["run0"]
        assert trusting.count("POST /oidc/token") == 1  # the client believes what was kept

    @pytest.mark.parametrize(
        ("expires_at", "asked"), [("2001-01-01 00:00:00", 1), ("2999-01-01 00:00:00", 0)]
    )
    def test_a_token_that_the_client_kept_is_used_while_it_holds(
        self, trusting: WandbServer, tmp_path: Path, expires_at: str, asked: int
    ) -> None:
        kept = tmp_path / ".config" / "wandb" / "credentials.json"
        kept.parent.mkdir(parents=True)
        entry = {"expires_at": expires_at, "access_token": ACCESS_TOKEN}
        other = {"https://other": entry}
        kept.write_text(json.dumps({"credentials": {trusting.url: entry} | other}))
        assert open_api().viewer()["username"] == "tester"
        assert trusting.count("POST /oidc/token") == asked
        assert other.items() <= json.loads(kept.read_text())["credentials"].items()

    def test_what_is_refused_is_told_without_the_token(
        self, trusting: WandbServer, tmp_path: Path
    ) -> None:
        (tmp_path / "jwt").write_text("another.secret.jwt")
        with pytest.raises(
            SourceError, match=r"refused the identity token .*unknown identity"
        ) as e:
            open_api().viewer()
        assert "another" not in str(e.value)
        (tmp_path / "jwt").unlink()
        with pytest.raises(SettingsError, match="WANDB_IDENTITY_TOKEN_FILE"):
            open_api().viewer()

    def test_the_jwt_goes_nowhere_else(
        self, trusting: WandbServer, stranger: ScriptedServer
    ) -> None:
        with scripted_server() as moved:
            moved.otherwise = redirect(307, f"{stranger.url}/oidc/token")
            credentials = replace(find_credentials(), base_url=moved.url)
            with pytest.raises(SourceError, match="redirects to"):
                Transport(credentials, notify=print, timeout=3).graphql(QUERY, {})
        assert stranger.paths == []

    def test_a_key_beside_it_is_refused_as_by_the_client(
        self, trusting: WandbServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        with pytest.raises(SettingsError, match="both set"):
            find_credentials()


class TestSettings:
    """What is found is what the client's own settings say."""

    @newest_client
    @pytest.mark.parametrize(
        ("variable", "field", "value"),
        [
            ("WANDB_X_EXTRA_HTTP_HEADERS", "x_extra_http_headers", '{"X-A": "b"}'),
            ("WANDB__EXTRA_HTTP_HEADERS", "x_extra_http_headers", '{"X-A": "b"}'),
            ("WANDB_HTTP_PROXY", "http_proxy", "http://user:pw@proxy.example:3128/"),
            ("WANDB_HTTPS_PROXY", "https_proxy", "http://proxy.example:3128"),
            ("WANDB_INSECURE_DISABLE_SSL", "insecure_disable_ssl", "true"),
            ("WANDB_INSECURE_DISABLE_SSL", "insecure_disable_ssl", "0"),
            ("WANDB_CREDENTIALS_FILE", "credentials_file", "/tmp/credentials.json"),
            ("WANDB_BASE_URL", "base_url", "http://127.0.0.1:9"),
        ],
    )
    @pytest.mark.parametrize("in_file", [False, True])
    def test_they_agree_with_the_client(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, field: str, value: str, in_file: bool
    ) -> None:
        from wandb import Settings

        theirs = Settings()
        if in_file:
            folder = Path(".config") / "wandb"
            folder.mkdir(parents=True)
            (folder / "settings").write_text(f"[default]\n{field} = {value}\n")
            theirs.settings_system = str(folder / "settings")
            theirs.update_from_system_settings()
        else:
            monkeypatch.setenv(variable, value)
            theirs.update_from_env_vars({variable: value})
        network, expected = find_network(), getattr(theirs, field)
        ours: dict[str, object] = {
            "x_extra_http_headers": dict(network.headers),
            "http_proxy": network.proxies.get("http"),
            "https_proxy": network.proxies.get("https"),
            "insecure_disable_ssl": bool(network.insecure),
        }
        found = client_setting(field)
        assert found is not None
        assert ours.get(field, found.value) == expected

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("WANDB_X_EXTRA_HTTP_HEADERS", "X-Gate: open-sesame"),
            ("WANDB_X_EXTRA_HTTP_HEADERS", '{"X-Gate": "open-sesame\\nX: y"}'),
            ("WANDB__EXTRA_HTTP_HEADERS", '{"X-Gate": 1}'),
            ("WANDB_HTTPS_PROXY", "open-sesame"),
            ("WANDB_INSECURE_DISABLE_SSL", "open-sesame"),
            ("REQUESTS_CA_BUNDLE", "missing.pem"),
        ],
    )
    def test_what_cannot_be_used_is_named_without_its_value(
        self, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
    ) -> None:
        monkeypatch.setenv(variable, value)
        with pytest.raises(SettingsError, match=variable) as caught:
            find_network()
        assert "sesame" not in str(caught.value)
        check = diagnose(SourceChoice(project="p"), print).checks[1]
        assert (check.name, check.status) == ("network", "failed")


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with forward_proxy() as proxy:
        yield proxy


class TestProxies:
    @pytest.mark.parametrize("variable", ["WANDB_HTTP_PROXY", "HTTP_PROXY", "http_proxy"])
    def test_reading_goes_through_it(
        self,
        server: ScriptedServer,
        proxy: ForwardProxy,
        monkeypatch: pytest.MonkeyPatch,
        variable: str,
    ) -> None:
        monkeypatch.setenv(variable, proxy.url.replace("//", "//user:proxy-password@"))
        set_headers(monkeypatch, SECRET | {"Proxy-Authorization": "Basic eDp5"})
        server.otherwise = scripted.data(viewer={"id": "1"})
        assert transport(server.url).graphql(QUERY, {}) == {"viewer": {"id": "1"}}
        assert proxy.targets == [f"{server.url}/graphql"]
        assert "Proxy-Authorization" in repr(proxy.headers)
        assert "Proxy-Authorization" not in told(server)
        assert server.headers[0]["X-Gate"] == "open-sesame"

    def test_no_proxy_holds_for_the_environment_but_not_for_the_clients_own(
        self, server: ScriptedServer, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.otherwise = scripted.data(viewer=None)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        transport(server.url).graphql(QUERY, {})
        assert proxy.targets == []
        monkeypatch.setenv("WANDB_HTTP_PROXY", proxy.url)
        transport(server.url).graphql(QUERY, {})
        assert len(proxy.targets) == 1

    @pytest.mark.parametrize(
        ("address", "why"),
        [
            ("127.0.0.1:1", "the proxy in front of"),
            ("http://[", "address of the proxy"),
            ("ftp://x", "address of the proxy"),
        ],
    )
    def test_one_that_cannot_be_used_is_told(
        self, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, address: str, why: str
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", address)
        with pytest.raises(SourceError, match=why) as caught:
            transport(server.url).graphql(QUERY, {})
        assert "doctor" in caught.value.remedy


@pytest.mark.parametrize("command", ["publish", "sync"])
def test_a_client_that_is_too_old_to_write_is_told(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.26.1")
    calls: dict[str, Callable[[], object]] = {
        "sync": lambda: sync(LogSource(Path()), [], open_api(), notify=print),
        "publish": lambda: require_publishable(None, native=False),
    }
    with pytest.raises(SourceError, match=rf"`{command}` needs wandb 0\.2\d or later; 0\.26\.1"):
        calls[command]()


class TestCertificates:
    @pytest.mark.parametrize(
        "variable",
        ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "WANDB_INSECURE_DISABLE_SSL"],
    )
    def test_any_of_the_variables_is_enough(
        self, certificate: Path, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        value = "true" if variable.startswith("WANDB") else str(certificate)
        with scripted_server(certificate) as server:
            server.otherwise = scripted.data(viewer=None)
            with pytest.raises(SourceError, match="no trusted TLS connection"):
                transport(server.url).graphql(QUERY, {})
            monkeypatch.setenv(variable, value)
            notes: list[str] = []
            assert transport(server.url, notes).graphql(QUERY, {}) == {"viewer": None}
            assert bool(notes) is variable.startswith("WANDB")

    def test_through_a_proxy(
        self, certificate: Path, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        set_headers(monkeypatch, {"Proxy-Authorization": "Basic eDp5"})
        with scripted_server(certificate) as server:
            server.otherwise = scripted.data(viewer=None)
            assert transport(server.url).graphql(QUERY, {}) == {"viewer": None}
            assert proxy.targets == [server.url.removeprefix("https://")]
            assert proxy.headers[0]["Proxy-Authorization"] == "Basic eDp5"
            assert "Proxy-Authorization" not in told(server)

    def test_a_bundle_that_is_none_is_told(
        self, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "empty.pem").write_text("nothing")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "empty.pem"))
        with scripted_server(certificate) as server, pytest.raises(SourceError, match="no trusted"):
            transport(server.url).graphql(QUERY, {})


@newest_client
def test_reading_sync_and_publish_go_one_way(
    certificate: Path,
    proxy: ForwardProxy,
    offline_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server behind https, a proxy and a gateway that asks for a header; a JWT for a key."""
    with WandbServer(certificate=certificate) as server:
        server.gateway, server.identity_token = dict(SECRET), "header.payload.signature"
        point_at(monkeypatch, server, tmp_path / "home")
        for name in ("WANDB_API_KEY", "NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name)
        (tmp_path / "jwt").write_text(server.identity_token)
        (tmp_path / "ca.pem").write_bytes(certificate.read_bytes())
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "ca.pem")  # unknown to the client's Go half
        monkeypatch.setenv("WANDB_IDENTITY_TOKEN_FILE", "jwt")
        monkeypatch.setenv("WANDB_HTTPS_PROXY", proxy.url.replace("//", "//user:proxy-password@"))
        settings = tmp_path / "home" / "config" / "settings"
        settings.write_text(f"[default]\nx_extra_http_headers = {json.dumps(SECRET)}\n")

        root = Path(shutil.copytree(offline_root, tmp_path / "offline", symlinks=True))
        source = LogSource(root)
        remote, notes = open_api(timeout=5), list[str]()
        patience = Patience(upload=60, settle=1, silence=10)
        [arrival] = sync(
            source, [source.find_run(RUN)], remote, patience=patience, notify=notes.append
        )
        assert arrival.complete, arrival

        for name in ("one.csv", "two.csv"):
            (tmp_path / name).write_text(TABLE)
        done = subprocess.run(
            [sys.executable, "-c", PUBLISH], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.stdout.split()[-1:] == ["report-x:v0"], done.stderr
        checks = diagnose(SourceChoice(project=PROJECT), print).checks
        [network] = [check for check in checks if check.name == "network"]
        for part in (
            "proxy http://127.0.0.1:",
            "WANDB_HTTPS_PROXY",
            "X-Gate",
            "REQUESTS_CA_BUNDLE",
        ):
            assert part in network.detail
        assert "sesame" not in repr(checks)
        assert "proxy-password" not in repr(checks)
        assert not server.problems
    assert len(proxy.targets) > 3

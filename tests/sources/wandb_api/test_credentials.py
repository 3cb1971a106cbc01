"""Server and key are found where the wandb client finds them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from goemo_report.errors import SettingsError
from goemo_report.sources.wandb_api.credentials import (
    Setting,
    app_url,
    find_credentials,
    host_family,
    stored_setting,
)
from tests.sources.clients import newest_client

KEY = "k" * 40
OTHER_KEY = "o" * 40


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("BASE_URL", "API_KEY", "APP_URL", "CONFIG_DIR", "DIR", "ENTITY"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_netrc(home: Path, host: str, key: str = KEY) -> None:
    path = home / ".netrc"
    with path.open("a") as file:
        file.write(f"machine {host}\n  login user\n  password {key}\n")
    path.chmod(0o600)


def revealed(secret: Setting | None) -> str | None:
    return secret.value if secret else None


def stored(name: str) -> str | None:
    found = stored_setting(name)
    return found.value if found else None


@newest_client
def test_nothing_set_is_the_clients_default_server_without_a_key() -> None:
    from wandb.sdk.lib import urls

    found = find_credentials()
    assert found.base_url == urls.DEFAULT_BASE_URL
    assert found.api_key is None


@newest_client
@pytest.mark.parametrize(
    "url",
    [
        "https://api.wandb.ai",
        "https://api.forge.coreweave.com",
        "https://forge.coreweave.com/api/wandb",
        "https://api.wandb.example.org",
        "https://wandb.example.org/",
        "http://127.0.0.1:8080",
    ],
)
def test_addresses_agree_with_the_client(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from wandb.sdk.lib.wbauth.host_url import HostUrl

    monkeypatch.setenv("WANDB_BASE_URL", url)
    ours, theirs = find_credentials(), HostUrl(url)
    assert (ours.base_url, ours.app_url) == (theirs.url, theirs.app_url)


@newest_client
@pytest.mark.parametrize("host", ["api.forge.coreweave.com", "api.wandb.ai"])
def test_netrc_agrees_with_the_client(home: Path, host: str) -> None:
    from wandb.sdk.lib.wbauth.wbnetrc import read_netrc_auth

    write_netrc(home, "elsewhere.example", OTHER_KEY)
    write_netrc(home, host)
    found = find_credentials()
    assert revealed(found.api_key) == KEY == read_netrc_auth(host=found.base_url)
    assert found.key_source.endswith(".netrc")


@newest_client
@pytest.mark.parametrize("machine", ["127.0.0.1:8080", "default"])
def test_ports_and_the_default_of_netrc_count_as_for_the_client(
    home: Path, monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    from wandb.sdk.lib.wbauth.wbnetrc import read_netrc_auth

    write_netrc(home, "127.0.0.1", OTHER_KEY)
    write_netrc(home, "127.0.0.1:9090", OTHER_KEY)
    write_netrc(home, machine)
    netrc = home / ".netrc"
    netrc.write_text(netrc.read_text().replace("machine default", "default"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:8080")
    assert (
        revealed(find_credentials().api_key) == KEY == read_netrc_auth(host="http://127.0.0.1:8080")
    )


def test_the_environment_wins_over_netrc(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_netrc(home, "api.wandb.ai", OTHER_KEY)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    found = find_credentials()
    assert (revealed(found.api_key), found.key_source) == (KEY, "WANDB_API_KEY")


def test_settings_files_give_server_and_entity(home: Path) -> None:
    settings = home / ".config" / "wandb" / "settings"
    settings.parent.mkdir(parents=True)
    settings.write_text("[default]\nbase_url = http://127.0.0.1:9\nentity = team%1\n")
    assert find_credentials().base_url == "http://127.0.0.1:9"
    assert stored("entity") == "team%1"
    (home / "wandb").mkdir()
    (home / "wandb" / "settings").write_text("[default]\nentity = nearer\n")
    assert stored("entity") == "nearer"


@pytest.mark.parametrize(
    "url", ["wandb.ai", "https://wandb.ai", "ftp://host", f"http://user:{KEY}@host", "http://"]
)
def test_an_unusable_address_is_one_line_without_secrets(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", url)
    with pytest.raises(SettingsError) as caught:
        find_credentials()
    assert "WANDB_BASE_URL" in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", [f"{KEY} x", f" {KEY}", f"{KEY}\n", f"{KEY}é"])
def test_an_unusable_key_is_refused_without_showing_it(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", key)
    with pytest.raises(SettingsError) as caught:
        find_credentials()
    assert KEY not in str(caught.value)


def test_a_broken_netrc_is_named_without_its_lines(home: Path) -> None:
    (home / ".netrc").write_text(f"machine\n nonsense {KEY}\n")
    with pytest.raises(SettingsError) as caught:
        find_credentials()
    assert ".netrc" in str(caught.value)
    assert KEY not in f"{caught.value!r} {caught.value.__cause__}"
    settings = home / ".config" / "wandb" / "settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"[default]\napi_key = {OTHER_KEY}\n")
    assert revealed(find_credentials().api_key) == OTHER_KEY  # as the client goes on


def test_a_secret_shows_itself_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    found = find_credentials()
    assert KEY not in f"{found} {found!r} {found.api_key} {found.api_key!r}"
    with pytest.raises(TypeError):
        pickle.dumps(found.api_key)


@pytest.mark.parametrize(
    ("page", "base"),
    [
        ("https://wandb.ai/e/p/runs/r", "https://api.wandb.ai"),
        ("https://wandb.ai/e/p/runs/r", "https://api.forge.coreweave.com"),
        ("https://forge.coreweave.com/wandb/e/p/runs/r", "https://api.forge.coreweave.com"),
        ("https://app.corp.example/e/p/runs/r", "https://api.corp.example"),
        ("http://127.0.0.1:8080/e/p/runs/r", "http://127.0.0.1:8080"),
    ],
)
def test_pages_and_apis_of_one_deployment_belong_together(
    page: str, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", base)
    assert find_credentials().serves(page)
    assert not find_credentials().serves("https://wandb.other.example/e/p/runs/r")


def test_hosts_that_only_look_alike_are_different() -> None:
    assert host_family("https://wandb.ai.evil.example") != host_family("https://wandb.ai")
    assert host_family("http://127.0.0.1:8080") != host_family("http://127.0.0.1:8081")
    assert app_url("https://api.wandb.ai") == "https://forge.coreweave.com/wandb"

"""How a server is reached: proxies, certificates and extra headers, as the wandb client takes them.

The client is two programs: its Go half trusts the system's certificates or SSL_CERT_FILE, its
Python half those of certifi or REQUESTS_CA_BUNDLE. Here all of them are trusted. Its extra
headers may hold passwords, so that they go to the server alone and not to storage.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import requests
import requests.utils
from requests.adapters import HTTPAdapter
from urllib3.util.ssl_ import create_urllib3_context

from goemo_report.errors import SettingsError
from goemo_report.sources.wandb_api.credentials import Setting, client_setting

Origin = tuple[str, str, int | None]

_PORTS: Final = {"http": 80, "https": 443}
_TRUE: Final = {"y", "yes", "t", "true", "on", "1"}
_FALSE: Final = {"n", "no", "f", "false", "off", "0"}
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PROXY_HEADER: Final = "proxy-authorization"
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def origin(url: str) -> Origin:
    """Scheme, host and port of an address: what credentials are bound to.

    Raises ValueError where it is none.
    """
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme)


@dataclass(frozen=True, slots=True)
class Network:
    """What is in force between here and a server. `headers` may be secret.

    `insecure` is the variable that switches the check of certificates off. `sources` say where
    proxies (`http_proxy`, `https_proxy`) and headers were set.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    bundle: str | None = None
    insecure: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def server_headers(self) -> dict[str, str]:
        """The extra headers of requests to the server, without the proxy's own."""
        return {k: v for k, v in self.headers.items() if k.lower() != _PROXY_HEADER}

    def proxies_for(self, url: str) -> dict[str, str]:
        """Proxies by scheme: the client's own first, else the environment's with its NO_PROXY."""
        return {**requests.utils.get_environ_proxies(url), **self.proxies}

    def environment(self) -> dict[str, str]:
        """Variables that make a client in another directory take the same way."""
        variables = {
            name: str(Path(path).absolute())
            for name in ("SSL_CERT_FILE", *_BUNDLES)
            if (path := os.environ.get(name))
        }
        if self.bundle:  # the client's Go half knows only these names
            name = "SSL_CERT_DIR" if Path(self.bundle).is_dir() else "SSL_CERT_FILE"
            variables.setdefault(name, str(Path(self.bundle).absolute()))
        for scheme, proxy in self.proxies.items():
            variables[f"WANDB_{scheme.upper()}_PROXY"] = proxy
        if self.headers:
            variables["WANDB_X_EXTRA_HTTP_HEADERS"] = json.dumps(dict(self.headers))
        if self.insecure:
            variables["WANDB_INSECURE_DISABLE_SSL"] = "true"
        return variables

    def described(self, url: str) -> Iterator[str]:
        """What is in force towards an address and where it was set, without secret values."""
        scheme = urlsplit(url).scheme
        proxy = requests.utils.select_proxy(url, self.proxies_for(url))
        if proxy:
            source = self.sources.get(f"{scheme}_proxy") or f"{scheme.upper()}_PROXY"
            yield f"proxy {_without_password(proxy)} ({source})"
        elif urllib.request.getproxies().get(scheme):
            yield "no proxy (NO_PROXY)"
        if self.headers:
            yield f"headers {', '.join(self.headers)} ({self.sources['headers']})"
        if self.insecure:
            yield f"certificates are not checked ({self.insecure})"
            return
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", *_BUNDLES):
            if path := os.environ.get(name):
                yield f"certificates of {path} ({name})"


def find_network() -> Network:
    """Read where the client reads it, and its environment's usual variables.

    Raises SettingsError, without showing the value, for what cannot be used.
    """
    sources = {}
    proxies = {}
    for scheme in _PORTS:
        if proxy := client_setting(f"{scheme}_proxy"):
            proxies[scheme] = _checked_proxy(proxy)
            sources[f"{scheme}_proxy"] = proxy.source
    headers, insecure = {}, ""
    if extra := client_setting("x_extra_http_headers"):
        headers = _checked_headers(extra)
        sources["headers"] = extra.source
    if flag := client_setting("insecure_disable_ssl"):
        if flag.value.lower() not in _TRUE | _FALSE:
            raise SettingsError(f"{flag.source} is neither true nor false", "Set it to true")
        insecure = flag.source if flag.value.lower() in _TRUE else ""
    bundle = next((name for name in _BUNDLES if os.environ.get(name)), None)
    if bundle and not Path(os.environ[bundle]).exists():
        raise SettingsError(
            f"{bundle} names {os.environ[bundle]}, which is not there",
            "Set it to a file of certificates in PEM format, or unset it",
        )
    return Network(headers, proxies, bundle and os.environ[bundle], insecure, sources)


def _checked_proxy(setting: Setting) -> str:
    if urlsplit(setting.value).scheme not in _PORTS or not urlsplit(setting.value).hostname:
        raise SettingsError(
            f"{setting.source} is not the address of a proxy", "Set it to http://HOST:PORT"
        )
    return setting.value.rstrip("/")


def _checked_headers(setting: Setting) -> dict[str, str]:
    try:
        headers = json.loads(setting.value)
    except ValueError:
        headers = None
    if not isinstance(headers, dict) or not all(
        isinstance(value, str)
        and value.isprintable()
        and value.isascii()
        and _HEADER.fullmatch(name)
        for name, value in headers.items()
    ):
        raise SettingsError(
            f"{setting.source} is no JSON object of header names and their values",
            """Write it as {"X-Name": "value"}""",
        )
    return headers


def _without_password(url: str) -> str:
    scheme, _, rest = url.rpartition("://")
    return f"{scheme or 'http'}://{rest.rsplit('@', 1)[-1]}"


class Session(requests.Session):
    """Sends what it is given and nothing else: no cookies, no passwords of netrc files or
    addresses. Redirects are not followed: that is for the caller, who knows the secrets."""

    def __init__(self, network: Network, connections: int) -> None:
        super().__init__()
        self.trust_env = False
        self.auth = _no_auth
        self.verify = not network.insecure
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        adapter = _Adapter(network, connections)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, which keeps requests from preparing a request for it."""


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def redirect_target(response: requests.Response, url: str) -> str:
    """Where a redirect leads from an address."""
    target = response.headers["Location"].encode("latin-1").decode("utf-8", "replace")
    try:
        return urljoin(url, target)
    except ValueError:
        return target


class _Adapter(HTTPAdapter):
    """Connections that trust what both halves of the client trust. One context serves them all:
    reading the certificates takes 0.1 s, and requests would read them anew for every connection."""

    def __init__(self, network: Network, connections: int) -> None:
        self._network = network
        self._lock = threading.Lock()
        self._made: ssl.SSLContext | None = None
        super().__init__(pool_connections=4, pool_maxsize=connections, max_retries=0)

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        """Add the context to what requests says of a connection."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https" and verify:
            pool["ssl_context"] = self._context()
        return host, pool

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave the certificates to the context, where they are checked at all."""
        if not verify:
            super().cert_verify(conn, url, verify, cert)

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """What only the proxy may know."""
        own = {k: v for k, v in self._network.headers.items() if k.lower() == _PROXY_HEADER}
        return super().proxy_headers(proxy) | own

    def _context(self) -> ssl.SSLContext:
        with self._lock:
            if self._made is None:
                made = create_urllib3_context()
                made.load_default_certs()  # the system's, or SSL_CERT_FILE and SSL_CERT_DIR
                place = Path(self._network.bundle or requests.utils.DEFAULT_CA_BUNDLE_PATH)
                made.load_verify_locations(*((None, place) if place.is_dir() else (place, None)))
                self._made = made
            return self._made

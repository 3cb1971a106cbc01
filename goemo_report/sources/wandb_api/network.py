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
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests.utils
import urllib3
from urllib3.util.ssl_ import create_urllib3_context

from goemo_report.errors import SettingsError, SourceError
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

    def proxy_for(self, url: str) -> str | None:
        """The client's own proxy for an address, else the environment's with its NO_PROXY."""
        proxies = {**requests.utils.get_environ_proxies(url), **self.proxies}
        proxy = requests.utils.select_proxy(url, proxies)
        return proxy if proxy is None or "://" in proxy else f"http://{proxy}"

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
        if proxy := self.proxy_for(url):
            source = self.sources.get(f"{scheme}_proxy") or f"{scheme.upper()}_PROXY"
            way, _, place = proxy.rpartition("://")
            yield f"proxy {way}://{place.rsplit('@', 1)[-1]} ({source})"  # without its password
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


class Pools:
    """Connections, direct and by proxy, which trust what both halves of the client trust.

    They send what they are given and nothing else: no cookies, no passwords of netrc files.
    """

    def __init__(self, network: Network, connections: int) -> None:
        self._network = network
        self._connections = connections
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str | None], urllib3.PoolManager] = {}

    def to(self, url: str) -> urllib3.PoolManager:
        """The pool for an address. Raises ssl.SSLError for certificates that are none, and
        SourceError for a proxy that cannot be used."""
        way = urlsplit(url).scheme, self._network.proxy_for(url)
        with self._lock:  # reading the certificates takes 0.1 s: once
            if way not in self._made:
                try:
                    self._made[way] = self._pool(*way)
                except ValueError:  # what is no address of a proxy
                    raise SourceError(
                        "the address of the proxy cannot be used",
                        "`goemo-report doctor` names the proxy; check it, or NO_PROXY",
                    ) from None
            return self._made[way]

    def _pool(self, scheme: str, proxy: str | None) -> urllib3.PoolManager:
        options: dict[str, Any] = {"num_pools": 4, "maxsize": self._connections}
        if self._network.insecure:
            options["cert_reqs"] = "CERT_NONE"
        elif "https" in {scheme, urlsplit(proxy or "").scheme}:
            options["ssl_context"] = self._certificates()
        if proxy is None:
            return urllib3.PoolManager(**options)
        if proxy.startswith("socks"):
            try:
                from urllib3.contrib.socks import SOCKSProxyManager
            except ImportError:
                raise SourceError("the proxy speaks SOCKS", "pip install pysocks") from None
            return SOCKSProxyManager(proxy, **options)
        user, password = requests.utils.get_auth_from_url(proxy)
        own = {k: v for k, v in self._network.headers.items() if k.lower() == _PROXY_HEADER}
        if user and not own:
            own = urllib3.make_headers(proxy_basic_auth=f"{user}:{password}")
        options["proxy_ssl_context"] = options.get("ssl_context")
        return urllib3.ProxyManager(proxy, proxy_headers=own, **options)

    def _certificates(self) -> ssl.SSLContext:
        context = create_urllib3_context()
        context.load_default_certs()  # the system's, or SSL_CERT_FILE and SSL_CERT_DIR
        place = Path(self._network.bundle or requests.utils.DEFAULT_CA_BUNDLE_PATH)
        context.load_verify_locations(*((None, place) if place.is_dir() else (place, None)))
        return context

"""Stored bytes, and URLs to them that carry a signature instead of a key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlencode

from tests.wandb_server.values import now, stamp


def b64_md5(content: bytes) -> str:
    """MD5 in base64, which is what W&B calls a file's digest."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def hex_of(b64_digest: str) -> str:
    """The hexadecimal form of a base64 digest."""
    return base64.b64decode(b64_digest).hex()


@dataclass(frozen=True)
class Blob:
    """One stored file."""

    key: str
    path: Path
    size: int
    md5: str
    updated_at: str


class Blobs:
    """Files in a directory by key. A key is `artifacts/<hex md5>`, `manifests/<id>` or
    `runs/<id>/<name>`; what follows the key in a URL's path is only there to be read.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._by_key: dict[str, Blob] = {}
        self._paths: dict[str, Path] = {}  # by MD5: equal content is stored once
        self._lock = threading.Lock()

    def put(self, key: str, content: bytes) -> Blob:
        """Store or replace."""
        md5 = b64_md5(content)
        with self._lock:
            path = self._paths.get(md5)
            if path is None:
                path = self.directory / hex_of(md5)
                path.write_bytes(content)
                self._paths[md5] = path
            blob = Blob(key, path, len(content), md5, stamp(now()) or "")
            self._by_key[key] = blob
        return blob

    def get(self, key: str) -> Blob | None:
        """The blob, or None where nothing has been uploaded."""
        return self._by_key.get(key)

    def read(self, key: str) -> bytes:
        """The content. Raises KeyError where nothing has been uploaded."""
        return self._by_key[key].path.read_bytes()

    def delete(self, key: str) -> None:
        """Forget a key; its content stays on disk, other keys may share it."""
        self._by_key.pop(key, None)

    def keys(self, prefix: str = "") -> list[str]:
        """What is stored, in the order of first upload."""
        return [key for key in self._by_key if key.startswith(prefix)]


class Signer:
    """Makes and checks signed URLs, valid for one method, one path and a while."""

    def __init__(self, valid_for: float = 3600.0) -> None:
        self.valid_for = valid_for
        self._secret = secrets.token_bytes(32)

    def sign(self, base: str, method: str, path: str) -> str:
        """`base` + `path` with expiry and signature in the query string."""
        path = quote(path)
        expires = int(time.time() + self.valid_for)
        query = urlencode(
            {"X-Expires": expires, "X-Signature": self._digest(method, path, expires)}
        )
        return f"{base}{path}?{query}"

    def problem(self, method: str, path: str, query: str) -> str | None:
        """Why a request's signature does not hold, or None where it does."""
        fields = parse_qs(query)
        try:
            expires, given = int(fields["X-Expires"][0]), fields["X-Signature"][0]
        except (KeyError, ValueError):
            return "AccessDenied: the request carries no signature"
        if expires < time.time():
            return "ExpiredToken: the signed URL has expired"
        if not hmac.compare_digest(given, self._digest(method, quote(unquote(path)), expires)):
            return "SignatureDoesNotMatch"
        return None

    def _digest(self, method: str, path: str, expires: int) -> str:
        message = f"{method}\n{path}\n{expires}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

"""Files that an artifact names and does not hold: references to other places, followed as the
W&B client follows them.

An artifact may be anybody's. A `file://` reference is therefore read only where size and digest
are those of its manifest, and what is asked over the network is asked without the key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final
from urllib.parse import urlparse, urlsplit
from urllib.request import url2pathname

from goemo_report.sources.base import Progress
from goemo_report.sources.model import ArtifactFile, LocalFile, SkippedFile
from goemo_report.sources.store import Cache, file_digest, md5_of
from goemo_report.sources.wandb_api.transfer import Download, download_all
from goemo_report.sources.wandb_api.transport import Transport

_LIBRARIES: Final = {
    "s3": ("boto3", "boto3"),
    "gs": ("google.cloud.storage", "google-cloud-storage"),
}
"""By scheme of a bucket: what the client reads it with, as module and as distribution."""

_LONGEST: Final = 200  # characters of a reference in a message


def fetch_external(
    wanted: Sequence[ArtifactFile],
    connect: Callable[[], Transport],
    cache: Cache,
    progress: Progress,
) -> list[LocalFile]:
    """A local copy of what each reference names, or why there is none, in order."""
    found: list[LocalFile | None] = [_at_hand(file) for file in wanted]
    asked = {n: _download(wanted[n], cache) for n, local in enumerate(found) if local is None}
    fetched = download_all(list(asked.values()), connect(), progress) if asked else []
    for number, local in zip(asked, fetched, strict=True):
        file = wanted[number]
        if isinstance(local, SkippedFile):
            local = unfollowed(file, local.reason, changed=local.changed)
        elif file.digest != file.reference:  # an ETag names one content
            cache.put("digests", _place(file), [local.stat().st_size, md5_of(local)])
        found[number] = local
    return [local for local in found if local is not None]


def unfollowed(file: ArtifactFile, why: str, *, changed: bool = False) -> SkippedFile:
    """A reference that leads to no file, and why."""
    shown = file.reference[:_LONGEST] + ("..." if len(file.reference) > _LONGEST else "")
    reason = f"by reference to {shown}: {why}"
    return SkippedFile(file.path, reason, changed=changed, cause=f"by reference: {why}")


def _at_hand(file: ArtifactFile) -> LocalFile | None:
    """What needs no request of ours; None for an address to be asked over HTTP."""
    if file.scheme in {"http", "https"}:
        try:
            urlsplit(file.reference)
        except ValueError as error:
            return unfollowed(file, str(error))
        return None
    if file.scheme == "file":
        return _on_this_machine(file)
    if file.scheme in _LIBRARIES:
        return _in_bucket(file)
    return unfollowed(file, "goemo-report cannot follow this kind")


def _on_this_machine(file: ArtifactFile) -> LocalFile:
    try:
        path = Path(url2pathname(urlparse(file.reference).path))
        if path.stat().st_size == file.size and file_digest(path, file.digest):
            return path
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return unfollowed(file, f"it cannot be read on this machine: {reason}")
    why = "the file there is not the one that was logged, or it was logged without a checksum"
    return unfollowed(file, why, changed=True)


def _in_bucket(file: ArtifactFile) -> LocalFile:
    """What the client's own reader of a bucket gives; it compares the ETag."""
    module, distribution = _LIBRARIES[file.scheme]
    try:
        import_module(module)
    except ImportError:
        return unfollowed(file, f"it needs `pip install {distribution}`")
    from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry
    from wandb.sdk.artifacts.storage_handlers.gcs_handler import GCSHandler
    from wandb.sdk.artifacts.storage_handlers.s3_handler import S3Handler
    from wandb.sdk.lib.paths import LogicalPath

    extra = {"etag": file.digest} | ({"versionID": file.generation} if file.generation else {})
    try:
        entry = ArtifactManifestEntry(
            path=LogicalPath(file.path),
            digest=file.digest,
            ref=file.reference,
            size=file.size,
            extra=extra,
        )
        handler = S3Handler() if file.scheme == "s3" else GCSHandler()
        return Path(handler.load_path(entry, local=True))
    except Exception as error:  # noqa: BLE001 - whatever the cloud's library raises
        return unfollowed(file, " ".join(str(error).split()) or type(error).__name__)


def _place(file: ArtifactFile) -> tuple[str, str]:
    return file.reference, file.digest


def _download(file: ArtifactFile, cache: Cache) -> Download:
    """A plain GET. The digest is the ETag, or the address itself where it had none: such a file
    may have changed, so it is fetched each time."""
    size, digest = cache.get("digests", _place(file)) or (0, "")
    target = cache.named_file_path(*_place(file))
    url = file.reference
    return Download(file.path, size, digest, target, [lambda: (url, False)], etag=file.digest)

"""Manifests and files of artifacts on a server, and the places where they may lie."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, TypeGuard
from urllib.parse import quote

from goemo_report.errors import ChangedFileError, GoemoError, NotFoundError, SourceError
from goemo_report.sources.base import Progress
from goemo_report.sources.model import ArtifactFile, ArtifactRef, LocalFile, SkippedFile
from goemo_report.sources.store import Cache
from goemo_report.sources.wandb_api import decode, queries
from goemo_report.sources.wandb_api.faults import RequestRefusedError
from goemo_report.sources.wandb_api.project import Project, batches, in_parallel
from goemo_report.sources.wandb_api.transfer import (
    Address,
    Download,
    download_all,
    fetch_external,
    is_cached,
    unfollowed,
)

Artifact = tuple[Project, ArtifactRef]
Wanted = tuple[Project, ArtifactRef, ArtifactFile]
_LINK = "wandb-artifact"
"""Scheme of a reference to a file of another artifact."""
_MOST_LINKS = 8
_FILES_PER_ALIAS = 500
_MANIFEST_HEADER = b"wandb-artifact-manifest-v1\n"


def manifests(
    wanted: Sequence[Artifact], cache: Cache
) -> list[tuple[ArtifactFile, ...] | GoemoError]:
    """The files of each artifact, or why they cannot be known, in the order asked.

    What refers to a file of another artifact has that file's size and digest. A manifest whose
    digest is the artifact's own is kept in the cache.
    """
    found = _manifests(wanted, cache)
    links = {
        (number, file.path): (*wanted[number], file)
        for number, files in enumerate(found)
        for file in (() if isinstance(files, GoemoError) else files)
        if file.scheme == _LINK
    }
    targets = dict(zip(links, follow(list(links.values()), cache), strict=True))

    def known(number: int, file: ArtifactFile) -> ArtifactFile:
        target = targets.get((number, file.path))
        if not isinstance(target, tuple):
            return file
        reference = target[2].reference or file.reference
        return replace(target[2], path=file.path, reference=reference)

    return [
        files if isinstance(files, GoemoError) else tuple(known(number, file) for file in files)
        for number, files in enumerate(found)
    ]


def follow(links: Sequence[Wanted], cache: Cache) -> list[Wanted | GoemoError]:
    """The file that each reference to another artifact leads to, or why it leads to none."""
    found: list[Wanted | GoemoError] = list(links)
    for _ in range(_MOST_LINKS):
        pending = {n: item for n, item in enumerate(found) if _is_link(item)}
        if not pending:
            return found
        holders = _artifacts_by_id(list(pending.values()))
        manifests = zip(holders, _manifests(list(holders.values()), cache), strict=True)
        held = {
            holder: files if isinstance(files, GoemoError) else {one.path: one for one in files}
            for holder, files in manifests
        }
        for number, (_, _, file) in pending.items():
            holder = _holder_id(file)
            found[number] = _target(file, holders.get(holder), held.get(holder, {}))
    endless = SourceError("it refers to a reference that refers to another without end")
    return [endless if _is_link(item) else item for item in found]


def _is_link(item: Wanted | GoemoError) -> TypeGuard[Wanted]:
    return isinstance(item, tuple) and item[2].scheme == _LINK


def _holder_id(file: ArtifactFile) -> str:
    """The id of the artifact that a reference names, which the client writes in hexadecimal."""
    try:
        return base64.b64encode(bytes.fromhex(file.reference.split("/", 3)[2])).decode()
    except (IndexError, ValueError):
        return ""


def _artifacts_by_id(links: Sequence[Wanted]) -> dict[str, Artifact]:
    """The artifacts that references name, as far as the server has them, by id."""
    ids = sorted({_holder_id(file) for _, _, file in links} - {""})
    transport = links[0][0].transport
    found: dict[str, Artifact] = {}
    for group in batches(ids, queries.BATCH):
        answer = transport.graphql(*queries.artifacts_by_id(group))
        for number, artifact_id in enumerate(group):
            node = answer.get(f"a{number}")
            place = ((node or {}).get("artifactSequence") or {}).get("project")
            if node and place:
                project = Project(transport, str(place["entity"]["name"]), str(place["name"]))
                found[artifact_id] = project, decode.artifact_ref(node, "")
    return found


def _target(
    file: ArtifactFile, holder: Artifact | None, files: dict[str, ArtifactFile] | GoemoError
) -> Wanted | GoemoError:
    if isinstance(files, GoemoError):
        return files
    if holder is None:
        return NotFoundError("its artifact is not on W&B any more, or the key may not see it")
    path = (*file.reference.split("/", 3), "", "")[3]
    if path not in files:
        return NotFoundError(f"{holder[1].qualified_name} holds no {path}")
    target = files[path]
    if target.digest.rpartition(":")[2] != file.digest.rpartition(":")[2]:
        return ChangedFileError(f"{path} of {holder[1].qualified_name} is not what was logged")
    return (*holder, target)


def _manifests(
    wanted: Sequence[Artifact], cache: Cache
) -> list[tuple[ArtifactFile, ...] | GoemoError]:
    found: dict[str, tuple[ArtifactFile, ...] | GoemoError] = {}
    missing: dict[str, Artifact] = {}
    for project, reference in wanted:
        if reference.kind == "run-files":
            found[reference.id] = (ArtifactFile(reference.name, reference.size, reference.digest),)
        elif (manifest := cache.get("manifests", _identity(project, reference))) is not None:
            found[reference.id] = decode.manifest_files(manifest)
        else:
            missing[reference.id] = (project, reference)
    groups = batches(list(missing.values()), queries.BATCH)
    addresses = [address for group in in_parallel(_manifest_addresses, groups) for address in group]

    def one(item: tuple[Artifact, str | None]) -> tuple[ArtifactFile, ...] | GoemoError:
        (project, reference), address = item
        try:
            return _read_manifest(project, reference, address, cache)
        except GoemoError as error:
            return error

    answers = in_parallel(one, list(zip(missing.values(), addresses, strict=True)))
    found |= dict(zip(missing, answers, strict=True))
    return [found[reference.id] for _, reference in wanted]


def _identity(project: Project, reference: ArtifactRef) -> tuple[str, ...]:
    """Identify a manifest by artifact id: a digest leaves out what entries refer to."""
    return project.transport.credentials.base_url, reference.id, reference.digest


def _manifest_addresses(group: Sequence[Artifact]) -> list[str | None]:
    document, variables = queries.manifests_of([reference.id for _, reference in group])
    answer = group[0][0].transport.graphql(document, variables)
    found = []
    for number in range(len(group)):
        manifest = (answer.get(f"a{number}") or {}).get("currentManifest") or {}
        found.append((manifest.get("file") or {}).get("directUrl"))
    return found


def _read_manifest(
    project: Project, reference: ArtifactRef, address: str | None, cache: Cache
) -> tuple[ArtifactFile, ...]:
    name = reference.qualified_name
    if not address:
        raise NotFoundError(
            f"{name} is not on W&B any more", "It was deleted: upload it again from its run"
        )
    transport = project.transport
    for attempt in (1, 2):
        body = transport.read(address)
        try:
            manifest = json.loads(body)
            files = decode.manifest_files(manifest)
        except (ValueError, RecursionError, SourceError):
            if attempt == 1:
                transport.notify(f"the manifest of {name} arrived damaged; fetching it again")
            continue
        if manifest_digest(manifest) == reference.digest:
            kept = {"contents": manifest["contents"]}
            cache.put("manifests", _identity(project, reference), kept)
        return files
    raise SourceError(f"the manifest of {name} cannot be read", "Try again, or upload it again")


def manifest_digest(manifest: Mapping[str, Any]) -> str:
    """The digest that W&B gives an artifact with these contents, by MD5."""
    hasher = hashlib.md5(_MANIFEST_HEADER, usedforsecurity=False)
    for path, entry in sorted(manifest["contents"].items()):
        hasher.update(f"{path}:{entry['digest']}\n".encode(errors="surrogatepass"))
    return hasher.hexdigest()


def fetch(wanted: Sequence[Wanted], cache: Cache, progress: Progress) -> list[LocalFile]:
    """A checked copy of each file in the cache; only what is not there is downloaded."""
    found: dict[int, LocalFile] = {}
    held = dict(enumerate(wanted))
    links = {n: item for n, item in held.items() if _is_link(item)}
    for number, target in zip(links, follow(list(links.values()), cache), strict=True):
        if isinstance(target, GoemoError):
            found[number] = unfollowed(held.pop(number)[2], str(target))
        else:
            held[number] = target
    external = {n: held.pop(n)[2] for n, item in list(held.items()) if item[2].reference}
    if external:
        transport = wanted[0][0].transport
        files = fetch_external(list(external.values()), lambda: transport, cache, progress)
        found |= dict(zip(external, files, strict=True))
    found |= dict(zip(held, _fetch_held(list(held.values()), cache, progress), strict=True))
    return [found[number] for number in range(len(wanted))]


def _fetch_held(wanted: Sequence[Wanted], cache: Cache, progress: Progress) -> list[LocalFile]:
    """Files whose bytes are with W&B."""
    found: dict[int, LocalFile] = {}
    downloads: dict[int, Download] = {}
    known: _Known = {}
    for number, item in enumerate(wanted):
        try:
            downloads[number] = _download_of(item, known, cache)
        except ValueError as error:  # what the manifest calls a digest is none
            found[number] = SkippedFile(item[2].path, str(error))
    checked = in_parallel(is_cached, list(downloads.values()))
    found |= {number: one.target for number, one in downloads.items()}
    lacking = [n for n, there in zip(downloads, checked, strict=True) if not there]
    if lacking:
        known |= _ask_addresses([wanted[n] for n in lacking])
        transport = wanted[0][0].transport
        fetched = download_all([downloads[n] for n in lacking], transport, progress)
        found |= dict(zip(lacking, fetched, strict=True))
    return [found[number] for number in range(len(wanted))]


# --- Where files lie ------------------------------------------------------------------

_Known = dict[tuple[str, str], tuple[str, bool]]
"""Addresses by artifact id and path, and whether they want the key."""


def _download_of(item: Wanted, known: _Known, cache: Cache) -> Download:
    """A file with the places to be tried in this order: as `known` then, asked for again, and the
    client's own fallback for signed addresses that do not work. Raises ValueError for a digest
    that is none."""
    project, reference, file = item
    key = reference.id, file.path
    target = (
        cache.file_path(file.digest)
        if file.digest
        else cache.named_file_path(reference.run_id, reference.id, file.path, file.size)
    )

    def fresh() -> tuple[str, bool]:
        address = _ask_addresses([item]).get(key)
        if address is None:
            raise NotFoundError(
                f"{file.path} of {reference.qualified_name} is not on W&B any more",
                "It was deleted, or its upload never finished",
            )
        return address

    def in_storage() -> tuple[str, bool]:
        kept: Any = cache.get("manifests", _identity(project, reference)) or {"contents": {}}
        birth = kept["contents"].get(file.path, {}).get("birthArtifactID") or reference.id
        parts = ("default", project.entity, project.name, reference.name, reference.id, birth)
        middle = "/".join(quote(part, safe="") for part in parts)
        place = target.name[:32]
        name = quote(PurePosixPath(file.path).name)
        base = project.transport.credentials.base_url
        return f"{base}/artifactsV2/{middle}/{place}/{name}", True

    addresses: list[Address] = [lambda: known.get(key) or fresh(), fresh]
    addresses += [in_storage] if reference.kind != "run-files" else []
    return Download(file.path, file.size, file.digest, target, addresses)


def _ask_addresses(wanted: Sequence[Wanted]) -> _Known:
    places: dict[tuple[str, str], dict[str, list[Wanted]]] = {}
    for item in wanted:
        project, reference, _ = item
        held = places.setdefault((reference.kind, project.path), {})
        held.setdefault(reference.id, []).append(item)
    groups: list[Sequence[Sequence[Wanted]]] = []
    for held in places.values():
        units = [unit for items in held.values() for unit in batches(items, _FILES_PER_ALIAS)]
        groups += batches(units, queries.BATCH)
    found: _Known = {}
    for answer in in_parallel(_ask_group, groups):
        found |= answer
    return found


def _ask_group(group: Sequence[Sequence[Wanted]]) -> _Known:
    """Ask for files of one project; those of one artifact, or one run, in one request."""
    project, first, _ = group[0][0]
    is_artifact = first.kind == "artifact"
    answer = (
        _artifact_addresses(project, group)
        if is_artifact
        else project.ask(
            *queries.run_file_urls([(unit[0][1].run_id, _paths(unit)) for unit in group])
        )
    )
    own = project.transport.credentials.base_url
    found: _Known = {}
    for number, unit in enumerate(group):
        holder = answer.get(f"{'c' if is_artifact else 'r'}{number}") or {}
        for node in decode.edges((holder.get("artifactMembership") or holder).get("files")):
            if url := node.get("directUrl"):
                found[unit[0][1].id, str(node["name"])] = url, False
            elif url := node.get("url"):
                found[unit[0][1].id, str(node["name"])] = url, url.startswith(f"{own}/")
    return found


def _artifact_addresses(project: Project, group: Sequence[Sequence[Wanted]]) -> decode.Node:
    """By collection and version or, where a server is older than 0.70, by id, as clients did."""
    wanted = [(unit[0][1].name, unit[0][1].version or "latest", _paths(unit)) for unit in group]
    try:
        return project.ask(*queries.artifact_file_urls(wanted))
    except RequestRefusedError as error:
        if "cannot query field" not in error.reason.lower():
            raise
    by_id = queries.artifact_file_urls_by_id([(unit[0][1].id, _paths(unit)) for unit in group])
    return project.transport.graphql(*by_id)


def _paths(unit: Sequence[Wanted]) -> list[str]:
    return [file.path for *_, file in unit]

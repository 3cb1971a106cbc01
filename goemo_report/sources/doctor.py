"""Is W&B set up? One check a line: what was found, and what to do where it is wrong."""

from __future__ import annotations

import copy
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

from goemo_report import __version__
from goemo_report.contract import STATUS_TAGS
from goemo_report.errors import GoemoError, argument
from goemo_report.formats.json_text import SCHEMA_VERSION
from goemo_report.formats.wording import plural, size
from goemo_report.settings import SourceChoice
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.model import ArtifactFile, ArtifactRef, SkippedFile
from goemo_report.sources.resolve import open_source
from goemo_report.sources.store import Cache
from goemo_report.sources.wandb_api.credentials import NEEDED, client_version, find_credentials
from goemo_report.sources.wandb_api.faults import Notify
from goemo_report.sources.wandb_api.source import ApiSource

Status = Literal["ok", "warning", "failed"]

_NEWEST_TRIED: Final = (0, 31)
_LITTLE_SPACE: Final = 5 << 30
_NO_SPACE: Final = 200 << 20
_RUNS_TRIED: Final = 10  # newest runs among which a small artifact is looked for
_TAGS_SHOWN: Final = 8


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, how it is, and the remedy where it is not well."""

    name: str
    status: Status
    detail: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """Status, name and detail, with the remedy."""
        line = f"{self.status:<8} {self.name}: {self.detail}"
        return f"{line}. {self.remedy}" if self.remedy else line


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks in order."""

    checks: tuple[Check, ...]

    @property
    def failed(self) -> bool:
        """Whether something must be repaired."""
        return any(check.status == "failed" for check in self.checks)

    def lines(self) -> list[str]:
        """A line a check."""
        return [check.line for check in self.checks]

    def document(self) -> dict[str, Any]:
        """What `doctor --format json` prints."""
        return {
            "schema_version": SCHEMA_VERSION,
            "failed": self.failed,
            "checks": [asdict(check) for check in self.checks],
        }


def diagnose(choice: SourceChoice, notify: Notify) -> Diagnosis:
    """Check what the settings choose: W&B's server, or another source such as a directory of
    offline runs, for which no key is needed."""
    cache = Cache()
    found = _server(choice, notify, cache) if choice.kind == "wandb" else _elsewhere(choice)
    return Diagnosis((_versions(), *found, _cache(cache), _disk(cache)))


def _elsewhere(choice: SourceChoice) -> Iterator[Check]:
    place, name = choice.directory, "offline runs" if choice.directory else "runs"
    try:
        source = open_source(choice)
        listing = source.list_runs(RunQuery())
    except GoemoError as error:
        yield _failed(name, error)
        return
    runs, where = listing.runs, f"below {place}" if place else f"in {source.description}"
    if runs:
        yield Check(name, "ok", f"{len(runs)} {where}")
    else:
        remedy = f"Check {argument('wandb_dir' if place else 'source')}"
        yield Check(name, "failed", f"none {where}", remedy)
    for item in listing.skipped:
        yield Check(name, "warning", f"{item.name}: {item.reason}", "Copy it again")
    if runs:
        tags = _tags(Counter(tag for run in runs for tag in run.tags))
        yield tags if place else replace(tags, status="ok", remedy="")


def _server(choice: SourceChoice, notify: Notify, cache: Cache) -> Iterator[Check]:
    """Checks that build on each other; after the first failure the rest is not tried."""
    looked_for = "key"
    try:
        credentials = find_credentials()
        looked_for = "network"
        source = ApiSource(
            entity=choice.entity,
            project=choice.project,
            credentials=credentials,
            cache=cache,
            notify=notify,
        )
    except GoemoError as error:
        yield _failed(looked_for, error)
        return
    broken = ""
    steps = (_key, _network, _host, _entity, _project, _runs_by_tag, _artifact_download)
    for step in steps:
        name = step.__name__.strip("_").replace("_", " ")
        if broken:
            yield Check(name, "warning", "not tried", f"Repair {broken} first")
            continue
        try:
            for check in step(source):
                yield check
                if check.status == "failed":
                    broken = check.name
        except GoemoError as error:
            yield _failed(name, error)
            broken = name


def _failed(name: str, error: GoemoError) -> Check:
    return Check(name, "failed", error.what, error.remedy)


def _versions() -> Check:
    try:
        wandb = metadata.version("wandb")
    except metadata.PackageNotFoundError:
        return Check("versions", "failed", "wandb is not installed", "pip install wandb")
    detail = f"goemo {__version__}, wandb {wandb}, Python {platform.python_version()}"
    version = client_version()
    if version > _NEWEST_TRIED:
        newest = ".".join(map(str, _NEWEST_TRIED))
        return Check("versions", "warning", detail, f"wandb was tried up to {newest}")
    if lacking := [command for command, least in NEEDED.items() if version < least]:
        remedy = f"pip install --upgrade wandb, for {' and '.join(lacking)}"
        return Check("versions", "warning", detail, remedy)
    return Check("versions", "ok", detail)


def _key(source: ApiSource) -> Iterator[Check]:
    found, remedy = source.credentials, "Run `wandb login`, or set WANDB_API_KEY"
    if found.are_set:
        yield Check("key", "ok", f"from {found.key_source}")
    else:
        yield Check("key", "failed", f"none is set for {found.host}", remedy)


def _network(source: ApiSource) -> Iterator[Check]:
    """Check proxies and certificates on the way to the server, before it is asked."""
    network = source.transport.network
    in_force = "; ".join(network.described(source.credentials.base_url))
    status: Status = "warning" if network.insecure else "ok"
    remedy = f"Unset {network.insecure}, and name your certificates" if network.insecure else ""
    yield Check("network", status, in_force or "nothing between here and the server", remedy)


def _host(source: ApiSource) -> Iterator[Check]:
    started = time.monotonic()
    viewer = source.viewer()
    taken = 1000 * (time.monotonic() - started)
    yield Check("host", "ok", f"{source.credentials.base_url} answers in {taken:.0f} ms")
    if viewer:
        yield Check("key", "ok", f"accepted, user {viewer.get('username') or 'without name'}")
    else:
        what = "the server knows no user for it"
        yield Check("key", "failed", what, "Run `wandb login --relogin`")


def _entity(source: ApiSource) -> Iterator[Check]:
    projects = source.project().neighbours()
    if projects is None:
        what = f"no {source.entity} on {source.credentials.host}, or the key may not see it"
        yield Check("entity", "failed", what, f"Check {argument('entity')} or WANDB_ENTITY")
    else:
        yield Check("entity", "ok", f"{source.entity} has {plural(len(projects), 'project')}")


def _project(source: ApiSource) -> Iterator[Check]:
    count, path = source.project().count_runs(), source.project().path
    if count:
        yield Check("project", "ok", f"{path} has {plural(count, 'run')}")
    else:
        yield Check("project", "warning", f"{path} has no runs", f"Check {argument('project')}")


def _runs_by_tag(source: ApiSource) -> Iterator[Check]:
    yield _tags(source.project().tags())


def _tags(counted: Mapping[str, int]) -> Check:
    shown = sorted(counted.items(), key=lambda item: (item[0] not in STATUS_TAGS, -item[1]))
    detail = ", ".join(f"{tag} {count}" for tag, count in shown[:_TAGS_SHOWN])
    if any(tag in counted for tag in STATUS_TAGS):
        return Check("runs by tag", "ok", detail)
    remedy = f"`compare --tag final` finds runs tagged {', '.join(STATUS_TAGS)}"
    return Check("runs by tag", "warning", detail or "no run has a tag", remedy)


def _artifact_download(source: ApiSource) -> Iterator[Check]:
    """The smallest artifact file of the newest runs, downloaded afresh."""
    runs = source.newest_runs(_RUNS_TRIED)
    logged = (one for own in source.artifacts(runs).values() for one in own)
    artifacts = [one for one in logged if one.kind == "artifact"]
    if not artifacts:
        what = f"none of the {len(runs)} newest runs has artifacts"
        remedy = "`goemo-report sync` uploads offline runs with their artifacts"
        yield Check("artifact download", "warning", what, remedy)
        return
    tried = sorted(artifacts, key=lambda one: one.size)[:3]
    wanted: list[tuple[ArtifactRef, ArtifactFile]] = [
        (reference, file)
        for reference, files in zip(tried, source.manifests(tried), strict=True)
        for file in files
        if file.size
    ]
    if not wanted:
        yield Check("artifact download", "warning", "the smallest artifacts hold no files", "")
        return
    reference, file = min(wanted, key=lambda pair: pair[1].size)
    with tempfile.TemporaryDirectory() as folder:
        afresh = copy.copy(source)
        afresh.cache = Cache(Path(folder))
        [local] = afresh.fetch([(reference, file)])
    if isinstance(local, SkippedFile):
        yield Check("artifact download", "failed", f"{local.path}: {local.reason}", "")
    else:
        detail = f"{reference.qualified_name}/{file.path}, {size(file.size)}, digest right"
        yield Check("artifact download", "ok", detail)


def _cache(cache: Cache) -> Check:
    sizes = cache.sizes()
    count = sum(files for files, _ in sizes.values())
    total = sum(size for _, size in sizes.values())
    detail = f"{cache.root} holds {plural(count, 'file')}, {size(total)}"
    try:
        cache.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache.root):
            pass
    except OSError as error:
        what = f"{cache.root} cannot be written to ({error.strerror})"
        return Check("cache", "failed", what, "Set GOEMO_CACHE_DIR to a directory of your own")
    return Check("cache", "ok", detail)


def _disk(cache: Cache) -> Check:
    free = cache.free_bytes()
    status: Status = "ok" if free >= _LITTLE_SPACE else "warning"
    if free < _NO_SPACE:
        status = "failed"
    remedy = "" if status == "ok" else f"Free some space, or delete {cache.root}"
    return Check("disk space", status, f"{size(free)} free for the cache", remedy)

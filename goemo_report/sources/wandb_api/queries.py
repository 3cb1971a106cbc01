"""The GraphQL documents, made only of fields that the wandb client itself asks for.

Questions about many runs or artifacts become one document with an alias each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from goemo_report.contract import PREDICTIONS_FOLDER
from goemo_report.sources.conditions import RunQuery

RUNS_PER_PAGE: Final = 100
"""Full runs in one answer: about 1 MB with the guide's 140 summary values each."""

TAGS_PER_PAGE: Final = 500
BATCH: Final = 25
"""Aliases in one document."""

MOST_ARTIFACTS: Final = 100
MOST_RUN_FILES: Final = 50

_Variables = dict[str, tuple[str, Any]]
"""Variables of a document: the client's type of each, and its value."""

_RUN: Final = """
fragment RunFields on Run {
  id name displayName state tags config summaryMetrics createdAt heartbeatAt
  group jobType notes description sweepName historyLineCount historyKeys
}"""

_ARTIFACT: Final = """
fragment ArtifactFields on Artifact {
  id
  artifactSequence { name }
  versionIndex
  artifactType { name }
  description
  metadata
  state
  size
  digest
  createdAt
  aliases { artifactCollection { name } alias }
}"""

ORDER: Final = "+created_at"
NEWEST_FIRST: Final = "-created_at"


def _each(
    part: str, kinds: Mapping[str, str], wanted: Iterable[Sequence[Any]]
) -> tuple[list[str], _Variables]:
    """The part once for each item, with its number for `#`, and variables for the item's values."""
    parts: list[str] = []
    variables: _Variables = {}
    for number, values in enumerate(wanted):
        parts.append(part.replace("#", str(number)))
        for (name, kind), value in zip(kinds.items(), values, strict=True):
            variables[f"{name}{number}"] = kind, value
    return parts, variables


def _most(wanted: Sequence[Sequence[Any]]) -> _Variables:
    """Limit the files of each item to the number of its paths, which come last."""
    return {"most": ("Int", max(len(item[-1]) for item in wanted))}


def _in_project(
    name: str, parts: Sequence[str], variables: _Variables, fragments: str = ""
) -> tuple[str, dict[str, Any]]:
    """A document of fields of one project; entity and project are for the caller to add."""
    own: _Variables = {"entity": ("String!", None), "project": ("String!", None)}
    body = "\n    ".join(parts)
    place = f"project(name: $project, entityName: $entity) {{\n    {body}\n  }}"
    document, values = _query(name, [place], own | variables)
    return document + fragments, {key: values[key] for key in variables}


def _query(name: str, parts: Sequence[str], variables: _Variables) -> tuple[str, dict[str, Any]]:
    """A document and the values of its variables."""
    declared = ", ".join(f"${key}: {kind}" for key, (kind, _) in variables.items())
    document = f"query {name}({declared}) {{\n  " + "\n  ".join(parts) + "\n}"
    return document, {key: value for key, (_, value) in variables.items()}


_LISTED: Final[_Variables] = {
    "cursor": ("String", None),
    "perPage": ("Int", None),
    "order": ("String", None),
    "filters": ("JSONString", None),
}


def _page_of(call: str, edge: str) -> str:
    """A page of a connection."""
    return f"{call} {{ edges {{ {edge} }} pageInfo {{ endCursor hasNextPage }} }}"


_RUNS: Final = "runs(filters: $filters, after: $cursor, first: $perPage, order: $order)"
_COUNT: Final = "runCount(filters: $filters)"
_WHOLE: Final = _page_of(_RUNS, "node { ...RunFields } cursor")
RUNS, _ = _in_project("Runs", [_COUNT, _WHOLE], _LISTED, _RUN)
FIND_RUN, _ = _in_project(
    "FindRun",
    ["run(name: $name) { ...RunFields }", _WHOLE],
    {"name": ("String!", None), **_LISTED},
    _RUN,
)
TAGS, _ = _in_project(
    "RunTags", [_page_of(_RUNS, "node { id name displayName tags } cursor")], _LISTED
)
COUNT, _ = _in_project("RunCount", [_COUNT], {"filters": ("JSONString", None)})
_CREATOR: Final = "__typename ... on Run { id name project { name entity { name } } }"
FIND_ARTIFACT, _ = _in_project(
    "FindArtifact",
    [f"artifact(name: $name) {{ ...ArtifactFields createdBy {{ {_CREATOR} }} }}"],
    {"name": ("String!", None)},
    _ARTIFACT,
)
DEFAULT_ENTITY: Final = "query GetDefaultEntity { viewer { id entity } }"
VIEWER: Final = """query Viewer {
  viewer { id entity username teams { edges { node { name } } } }
}"""
PROJECTS: Final = """query GetProjects($entity: String, $cursor: String, $perPage: Int = 50) {
  models(entityName: $entity, after: $cursor, first: $perPage) { edges { node { name } } }
}"""

_LOGGED: Final = "\n      ".join(
    (
        _page_of("outputArtifacts(after: $cursor, first: $most)", "node { ...ArtifactFields }"),
        _page_of(
            "files(after: $filesCursor, first: $mostFiles, pattern: $pattern)",
            "node { id name sizeBytes md5 updatedAt }",
        ),
    )
)


def artifacts_of(
    run_ids: Sequence[str], cursor: str | None = None, files_cursor: str | None = None
) -> tuple[str, dict[str, Any]]:
    """A page of what each run logged, and one of the files that it kept under `predictions/`."""
    part = f"r#: run(name: $r#) {{\n      {_LOGGED}\n    }}"
    parts, variables = _each(part, {"r": "String!"}, zip(run_ids))
    variables |= {
        "cursor": ("String", cursor),
        "most": ("Int", MOST_ARTIFACTS),
        "filesCursor": ("String", files_cursor),
        "mostFiles": ("Int", MOST_RUN_FILES),
        "pattern": ("String", f"{PREDICTIONS_FOLDER}%"),
    }
    return _in_project("RunsOutputArtifacts", parts, variables, _ARTIFACT)


def histories_of(spans: Sequence[tuple[str, int, int]], most: int) -> tuple[str, dict[str, Any]]:
    """At most so many history rows of (run id, first step, step after the last), an alias each."""
    part = "r#: run(name: $r#) { history(minStep: $first#, maxStep: $end#, samples: $most) }"
    kinds = {"r": "String!", "first": "Int64!", "end": "Int64!"}
    parts, variables = _each(part, kinds, spans)
    return _in_project("HistoryPages", parts, {"most": ("Int!", most), **variables})


def exported_histories_of(run_ids: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The Parquet files that hold the history of each run, an alias each, and from which step on
    it is not exported yet."""
    part = "r#: run(name: $r#) { parquetHistory(liveKeys: $keys) { parquetUrls liveData } }"
    parts, variables = _each(part, {"r": "String!"}, zip(run_ids))
    variables["keys"] = "[String!]!", ["_step"]
    return _in_project("RunParquetHistories", parts, variables)


def manifests_of(artifact_ids: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Where the manifest of each artifact lies."""
    return _by_id("FetchArtifactManifests", "currentManifest { file { directUrl } }", artifact_ids)


def artifacts_by_id(artifact_ids: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Artifacts of any project, which they name."""
    place = "...ArtifactFields artifactSequence { project { name entity { name } } }"
    document, variables = _by_id("ArtifactsByID", place, artifact_ids)
    return document + _ARTIFACT, variables


def _by_id(name: str, fields: str, artifact_ids: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Fields of artifacts, an alias each."""
    part = f"a#: artifact(id: $a#) {{ {fields} }}"
    return _query(name, *_each(part, {"a": "ID!"}, zip(artifact_ids)))


_ADDRESSES: Final = "edges { node { name: displayName directUrl } }"


def artifact_file_urls(
    wanted: Sequence[tuple[str, str, Sequence[str]]],
) -> tuple[str, dict[str, Any]]:
    """Addresses of (collection, version, paths), an alias each."""
    part = (
        "c#: artifactCollection(name: $c#) { __typename\n"
        "      artifactMembership(aliasName: $v#) {\n"
        f"        files(names: $f#, first: $most) {{ {_ADDRESSES} }} }} }}"
    )
    kinds = {"c": "String!", "v": "String!", "f": "[String!]"}
    parts, variables = _each(part, kinds, wanted)
    return _in_project("ArtifactFileUrls", parts, _most(wanted) | variables)


def artifact_file_urls_by_id(
    wanted: Sequence[tuple[str, Sequence[str]]],
) -> tuple[str, dict[str, Any]]:
    """Addresses of (artifact id, paths), an alias each: for servers before 0.70."""
    part = f"c#: artifact(id: $c#) {{ files(names: $f#, first: $most) {{ {_ADDRESSES} }} }}"
    parts, variables = _each(part, {"c": "ID!", "f": "[String!]"}, wanted)
    return _query("ArtifactFileUrlsByID", parts, _most(wanted) | variables)


def run_file_urls(wanted: Sequence[tuple[str, Sequence[str]]]) -> tuple[str, dict[str, Any]]:
    """Addresses of (run id, names of its files), an alias each."""
    part = (
        "r#: run(name: $r#) { files(names: $f#, first: $most) "
        "{ edges { node { name url(upload: $upload) directUrl } } } }"
    )
    parts, variables = _each(part, {"r": "String!", "f": "[String]"}, wanted)
    variables |= {**_most(wanted), "upload": ("Boolean", False)}
    return _in_project("RunFileUrls", parts, variables)


def run_filters(query: RunQuery) -> dict[str, Any]:
    """A query as the server's filter: more runs may fit it than match, which whoever asks sorts
    out."""
    filters = [one for condition in query.where if (one := condition.on_server()) is not None]
    return {"$and": filters} if filters else {}

"""The GraphQL documents, made only of fields that the wandb client itself asks for.

Questions about many runs or artifacts become one document with an alias each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from goemo_report.contract import PREDICTIONS_FOLDER
from goemo_report.sources.model import RunQuery

RUNS_PER_PAGE: Final = 100
"""Full runs in one answer: about 1 MB with the guide's 140 summary values each."""

TAGS_PER_PAGE: Final = 500
BATCH: Final = 25
"""Aliases in one document."""

MOST_ARTIFACTS: Final = 100
MOST_RUN_FILES: Final = 50

_RUN: Final = """fragment RunFields on Run {
  id name displayName state tags config summaryMetrics createdAt heartbeatAt
  group jobType notes description sweepName historyLineCount historyKeys
}"""

RUNS: Final = f"""query Runs($project: String!, $entity: String!, $cursor: String, $perPage: Int,
    $order: String, $filters: JSONString) {{
  project(name: $project, entityName: $entity) {{
    runCount(filters: $filters)
    runs(filters: $filters, after: $cursor, first: $perPage, order: $order) {{
      edges {{ node {{ ...RunFields }} cursor }}
      pageInfo {{ endCursor hasNextPage }}
    }}
  }}
}}
{_RUN}"""

FIND_RUN: Final = f"""query FindRun($project: String!, $entity: String!, $name: String!,
    $perPage: Int, $order: String, $filters: JSONString) {{
  project(name: $project, entityName: $entity) {{
    run(name: $name) {{ ...RunFields }}
    runs(filters: $filters, first: $perPage, order: $order) {{
      edges {{ node {{ ...RunFields }} cursor }}
      pageInfo {{ endCursor hasNextPage }}
    }}
  }}
}}
{_RUN}"""

TAGS: Final = """query RunTags($project: String!, $entity: String!, $cursor: String, $perPage: Int,
    $order: String, $filters: JSONString) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, after: $cursor, first: $perPage, order: $order) {
      edges { node { id name displayName tags } cursor }
      pageInfo { endCursor hasNextPage }
    }
  }
}"""

COUNT: Final = """query RunCount($project: String!, $entity: String!, $filters: JSONString) {
  project(name: $project, entityName: $entity) { runCount(filters: $filters) }
}"""

DEFAULT_ENTITY: Final = "query GetDefaultEntity { viewer { id entity } }"
VIEWER: Final = """query Viewer {
  viewer { id entity username teams { edges { node { name } } } }
}"""
PROJECTS: Final = """query GetProjects($entity: String, $cursor: String, $perPage: Int = 50) {
  models(entityName: $entity, after: $cursor, first: $perPage) { edges { node { name } } }
}"""

_ARTIFACT: Final = """fragment ArtifactFields on Artifact {
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


def run_filters(query: RunQuery) -> dict[str, Any]:
    """A query as the server's filter.

    Lists of tags are spelt out: `$all` and `$in` fail on them. "Not this tag" is written as
    the client's own query generator writes it, so that runs without any tag are kept.
    """
    conditions: list[dict[str, Any]] = [{"tags": tag} for tag in query.tags]
    if query.any_tags:
        conditions.append({"$or": [{"tags": tag} for tag in query.any_tags]})
    conditions += [{"$or": [{"tags": None}, {"tags": {"$ne": tag}}]} for tag in query.not_tags]
    if query.states:
        conditions.append({"$or": [{"state": state} for state in query.states]})
    if query.models:
        conditions.append({"$or": [{"config.model_name.value": m} for m in query.models]})
    return {"$and": conditions} if conditions else {}


_RUN_FILES: Final = f"""files({{}}first: {MOST_RUN_FILES}, pattern: "{PREDICTIONS_FOLDER}%") {{{{
        edges {{{{ node {{{{ id name sizeBytes md5 updatedAt }}}} }}}}
        pageInfo {{{{ endCursor hasNextPage }}}}
      }}}}"""


def artifacts_of(run_ids: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """What each run logged, with the files that it kept under `predictions/`."""
    parts = [
        f"""r{n}: run(name: $r{n}) {{
      outputArtifacts(first: {MOST_ARTIFACTS}) {{
        edges {{ node {{ ...ArtifactFields }} }}
        pageInfo {{ endCursor hasNextPage }}
      }}
      {_RUN_FILES.format("")}
    }}"""
        for n in range(len(run_ids))
    ]
    return _in_project(
        "RunsOutputArtifacts", parts, {f"r{n}": r for n, r in enumerate(run_ids)}, f"\n{_ARTIFACT}"
    )


MORE_ARTIFACTS: Final = f"""query RunOutputArtifacts($entity: String!, $project: String!,
    $run: String!, $cursor: String) {{
  project(name: $project, entityName: $entity) {{
    run(name: $run) {{
      outputArtifacts(after: $cursor, first: {MOST_ARTIFACTS}) {{
        edges {{ node {{ ...ArtifactFields }} }}
        pageInfo {{ endCursor hasNextPage }}
      }}
    }}
  }}
}}
{_ARTIFACT}"""


MORE_RUN_FILES: Final = f"""query RunFiles($entity: String!, $project: String!, $run: String!,
    $cursor: String) {{
  project(name: $project, entityName: $entity) {{
    run(name: $run) {{ {_RUN_FILES.format("after: $cursor, ")} }}
  }}
}}"""


def histories_of(spans: Sequence[tuple[str, int, int, int]]) -> tuple[str, dict[str, Any]]:
    """History rows of (run id, first step, step after the last, most rows), an alias each."""
    parts = [
        f"r{n}: run(name: $r{n}) {{ history(minStep: {first}, maxStep: {end}, samples: {most}) }}"
        for n, (_, first, end, most) in enumerate(spans)
    ]
    return _in_project("HistoryPages", parts, {f"r{n}": span[0] for n, span in enumerate(spans)})


def exported_histories_of(run_ids: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The Parquet files that hold the history of each run, an alias each, and from which step on
    it is not exported yet."""
    parts = [
        f"r{n}: run(name: $r{n}) {{ parquetHistory(liveKeys: $keys) {{ parquetUrls liveData }} }}"
        for n in range(len(run_ids))
    ]
    variables = {f"r{n}": run_id for n, run_id in enumerate(run_ids)} | {"keys": ["_step"]}
    return _in_project("RunParquetHistories", parts, variables)


def manifests_of(artifact_ids: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Where the manifest of each artifact lies."""
    return _by_id("FetchArtifactManifests", "currentManifest { file { directUrl } }", artifact_ids)


def artifacts_by_id(artifact_ids: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Artifacts of any project, which they name."""
    place = "...ArtifactFields artifactSequence { project { name entity { name } } }"
    document, variables = _by_id("ArtifactsByID", place, artifact_ids)
    return f"{document}\n{_ARTIFACT}", variables


def _by_id(name: str, fields: str, artifact_ids: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Fields of artifacts, an alias each."""
    variables = {f"a{n}": value for n, value in enumerate(artifact_ids)}
    parts = [f"{alias}: artifact(id: ${alias}) {{ {fields} }}" for alias in variables]
    declared = ", ".join(f"${alias}: ID!" for alias in variables)
    return f"query {name}({declared}) {{\n  " + "\n  ".join(parts) + "\n}", variables


def artifact_file_urls(
    wanted: Sequence[tuple[str, str, Sequence[str]]],
) -> tuple[str, dict[str, Any]]:
    """Addresses of (collection, version, paths), an alias each."""
    parts = []
    variables: dict[str, Any] = {}
    for n, (collection, version, paths) in enumerate(wanted):
        parts.append(
            f"c{n}: artifactCollection(name: $c{n}) {{ __typename\n"
            f"      artifactMembership(aliasName: $v{n}) {{\n"
            f"        files(names: $f{n}, first: {len(paths)}) "
            "{ edges { node { name: displayName directUrl } } } } }"
        )
        variables |= {f"c{n}": collection, f"v{n}": version, f"f{n}": list(paths)}
    return _in_project("ArtifactFileUrls", parts, variables)


def run_file_urls(wanted: Sequence[tuple[str, Sequence[str]]]) -> tuple[str, dict[str, Any]]:
    """Addresses of (run id, names of its files), an alias each."""
    parts = []
    variables: dict[str, Any] = {}
    for n, (run_id, names) in enumerate(wanted):
        parts.append(
            f"r{n}: run(name: $r{n}) {{ files(names: $f{n}, first: {len(names)}) "
            "{ edges { node { name url(upload: false) directUrl } } } }"
        )
        variables |= {f"r{n}": run_id, f"f{n}": list(names)}
    return _in_project("RunFileUrls", parts, variables)


def _in_project(
    name: str, parts: Sequence[str], variables: Mapping[str, Any], fragments: str = ""
) -> tuple[str, dict[str, Any]]:
    """A document of aliases below one project, and its variables but for the project's own."""
    declared = "".join(
        f", ${key}: {'[String!]!' if isinstance(value, list) else 'String!'}"
        for key, value in variables.items()
    )
    body = "\n    ".join(parts)
    document = (
        f"query {name}($entity: String!, $project: String!{declared}) {{\n"
        f"  project(name: $project, entityName: $entity) {{\n    {body}\n  }}\n}}{fragments}"
    )
    return document, dict(variables)

"""Runs of MLflow: a tracking directory, its SQLite database, or a server. Read only.

MLflow itself is not needed: folders are read as its file store writes them, the database by its
tables, a server by its REST API.
"""

from __future__ import annotations

import json
import math
import os
import re
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from goemo_report.errors import SourceError, argument, first_line, reading
from goemo_report.formats.files import chunks, user_path, whole_file
from goemo_report.settings import SourceChoice
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.local_tracker import (
    Count,
    Kept,
    TrackedSource,
    database_rows,
    files_below,
    from_newest,
    grouped,
    read_each,
    shown_place,
    unknown_project,
)
from goemo_report.sources.model import (
    ArtifactRef,
    History,
    LocalFile,
    RunRecord,
    SkippedFile,
    SkippedRun,
)
from goemo_report.sources.store import private_cache

_STATES: Final = {
    "1": "running", "2": "pending", "3": "finished", "4": "failed", "5": "killed",
    "RUNNING": "running", "SCHEDULED": "pending", "FINISHED": "finished", "FAILED": "failed",
    "KILLED": "killed",
}  # fmt: skip
"""By name, and by the number that the file store writes."""
_PAGE: Final = 500
_MOST_FOLDERS: Final = 1000  # of artifacts, each of which is a request
_TRUE: Final = ("", "true", "1", "yes")
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*)?(e[+-]?[0-9]+)?", re.IGNORECASE)
_LONGEST_NUMBER: Final = 40
_HUGE: Final = 1.7976931348623157e308  # what MLflow's database has for infinity


def open_source(choice: SourceChoice) -> MlflowSource:
    """The source of `mlflow:PLACE`; without a place what MLFLOW_TRACKING_URI names, `mlflow.db` or
    `mlruns`."""
    place = choice.where or os.environ.get("MLFLOW_TRACKING_URI") or "."
    source = _source(place)
    source.experiment = choice.project
    return source


def _source(place: str) -> MlflowSource:
    scheme = place.partition(":")[0] if "://" in place or place.startswith("file:") else ""
    if scheme in {"http", "https"}:
        return _Server(place)
    if scheme == "sqlite":
        return _Tables(user_path(place.removeprefix("sqlite:///")))
    if scheme == "file":
        place = unquote(urlsplit(place).path)
    elif scheme:
        raise SourceError(
            f"MLflow at {scheme}:// cannot be read directly",
            "Start `mlflow server` on it, and give the server's address",
        )
    path = user_path(place)
    if path.is_file():
        return _Tables(path)
    if (path / "mlflow.db").is_file():
        return _Tables(path / "mlflow.db")
    for folder in (path, path / "mlruns"):
        if any(folder.glob("*/meta.yaml")):
            return _Folders(folder)
    if path.name == "mlruns" and path.with_name("mlflow.db").is_file():  # artifacts alone
        return _Tables(path.with_name("mlflow.db"))
    raise SourceError(
        f"there are no MLflow runs in {shown_place(path)}",
        "Give a tracking directory, its mlflow.db, or the address of a server",
    )


class MlflowSource(TrackedSource):
    """Runs of all experiments, or of the one called `experiment`; a subclass for each way in which
    MLflow keeps them."""

    experiment: str | None = None

    def __init__(self, place: str) -> None:
        super().__init__()
        self._place = f"MLflow {place}"
        self._artifacts: dict[str, str] = {}  # where those of a run lie, by its id

    @abstractmethod
    def _runs(self, query: RunQuery) -> Iterator[RunRecord | SkippedRun]:
        """Runs that are not deleted, from the newest on."""

    @abstractmethod
    def _experiments(self) -> dict[str, str]:
        """Names of the experiments, by id."""

    @abstractmethod
    def _steps(self, run: RunRecord) -> Iterable[tuple[str, float, int]]:
        """(key, value, step) of every value logged, in the order logged."""

    @abstractmethod
    def _logged(self, run: RunRecord, artifacts: str) -> list[Kept]:
        """The files that a run logged."""

    @property
    def description(self) -> str:
        """Where MLflow keeps them."""
        return f"{self._place}, experiment {self.experiment}" if self.experiment else self._place

    def newest_first(self, query: RunQuery) -> Iterator[RunRecord | SkippedRun]:
        """Runs of the experiments from the newest on."""
        if self.experiment:
            known = self._experiments()
            if self.experiment not in {*known, *known.values()}:
                raise unknown_project("experiment", self.experiment, self._place, known.values())
        yield from self._runs(query)

    def _record(
        self,
        run_id: str,
        about: Sequence[Any],
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        logged_tags: Mapping[str, Any],
        url: str | None = None,
    ) -> RunRecord:
        """A run; `about` has its name, experiment, status, start and the place of its artifacts."""
        name, experiment, status, start, artifacts = about
        tags = {key: _text(value) for key, value in logged_tags.items()}
        self._artifacts[run_id] = _text(artifacts)
        return RunRecord(
            id=run_id,
            name=str(name or tags.get("mlflow.runName") or run_id),
            entity=None,
            project=experiment,
            url=url,
            state=_STATES.get(str(status), str(status).lower()),
            tags=_tags(tags),
            created_at=_moment(start),
            config={key: _value(_text(value)) for key, value in params.items()},
            summary=metrics,
            origin=f"{experiment}/{run_id}",
            group=tags.get("mlflow.parentRunId"),
            notes=tags.get("mlflow.note.content", ""),
        )

    def history_of(self, run: RunRecord) -> History:
        """Every step with all that was logged at it; of values logged twice the later one."""
        rows: dict[int, dict[str, Any]] = defaultdict(dict)
        for key, value, step in self._steps(run):
            rows[step][key] = value
        return tuple({"_step": step, **rows[step]} for step in sorted(rows))

    def logged_files(self, run: RunRecord) -> Iterable[tuple[ArtifactRef, Sequence[Kept]]]:
        """The files that the run logged, put together as artifacts."""
        if run.id not in self._artifacts:
            self.find_run(run.path)
        with reading(f"the artifacts of run {run.name}"):
            files = self._logged(run, self._artifacts[run.id])
        return grouped(run, files)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _tags(tags: Mapping[str, str]) -> tuple[str, ...]:
    """Tags as W&B has them: `tags` is a list, a key without value (or true) is a tag, any other is
    KEY=VALUE. What MLflow sets itself is none."""
    found: list[str] = []
    for key, value in tags.items():
        if key.startswith("mlflow."):
            continue
        if key == "tags":
            found += [one.strip() for one in value.split(",") if one.strip()]
        else:
            found.append(key if value.lower() in _TRUE else f"{key}={value}")
    return tuple(dict.fromkeys(found))


def _value(text: str) -> Any:
    """A parameter, which MLflow keeps as text, as what it was: a number, true, false or None. Text
    that Python would take for a number too, as `2024_12`, `007` and `nan`, stays what it is."""
    known = {"True": True, "False": False, "None": None}
    if text in known:
        return known[text]
    if not _NUMBER.fullmatch(text) or len(text) > _LONGEST_NUMBER:
        return text
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _moment(milliseconds: Any) -> datetime | None:
    """A time in milliseconds since 1970, None where it is none."""
    try:
        return datetime.fromtimestamp(float(milliseconds) / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def _number(value: Any, is_nan: Any = False) -> float:
    number = math.nan if is_nan else float(value)
    return math.copysign(math.inf, number) if abs(number) >= _HUGE else number


# --- Folders, as MLflow's file store writes them ------------------------------------------


class _Folders(MlflowSource):
    def __init__(self, root: Path) -> None:
        super().__init__(f"in {shown_place(root)}")
        self._root = root
        self._homes: dict[str, Path] = {}
        self._metrics: dict[str, dict[str, list[tuple[int, int, float]]]] = {}  # by run id
        self._models = cache(self._models_of)
        self._damaged: list[SkippedRun] = []  # experiments

    def _runs(self, query: RunQuery) -> Iterator[RunRecord | SkippedRun]:  # noqa: ARG002 # all are read
        made = []
        for folder, name in self._experiments().items():
            if self.experiment in {None, name, folder}:
                yield from self._models(self._root / folder)[1]
                own = sorted((self._root / folder).glob("*/meta.yaml"))
                made += [(meta.parent.name, partial(self._run, meta, name)) for meta in own]
        yield from self._damaged
        yield from from_newest(read_each(made))

    def _experiments(self) -> dict[str, str]:
        names: dict[str, str] = {}
        self._damaged = []
        for meta in sorted(self._root.glob("*/meta.yaml")):
            folder = meta.parent.name
            try:
                names[folder] = str(self._yaml(meta).get("name") or folder)
            except SourceError as error:
                self._damaged.append(SkippedRun(folder, first_line(error)))
        return names

    def _run(self, meta: Path, experiment: str) -> RunRecord | None:
        about, home = self._yaml(meta), meta.parent
        if about.get("lifecycle_stage", "active") != "active" or "run_id" not in about:
            return None
        run_id, texts = str(about["run_id"]), self._texts(home / "metrics")
        metrics = {key: rows for key, text in texts.items() if (rows := _rows(text))}
        self._homes[run_id], self._metrics[run_id] = home, metrics
        keys = ("status", "start_time", "artifact_uri")
        return self._record(
            run_id,
            (about.get("run_name"), experiment, *map(about.get, keys)),
            self._texts(home / "params"),
            {key: max(rows, key=lambda row: row[:2])[2] for key, rows in metrics.items()},
            self._texts(home / "tags"),
        )

    @staticmethod
    def _yaml(path: Path) -> Mapping[str, Any]:
        import yaml

        with reading(str(path)):
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast
            found = yaml.load(path.read_text("utf-8"), loader)  # noqa: S506 # a safe loader
        if not isinstance(found, dict):
            raise SourceError(f"{path} holds no keys and values", "")
        return found

    @staticmethod
    def _texts(folder: Path) -> dict[str, str]:
        return {
            kept.path: kept.local.read_text("utf-8", "replace")
            for kept in files_below(folder)
            if kept.local is not None
        }

    def _steps(self, run: RunRecord) -> Iterator[tuple[str, float, int]]:
        for key, rows in self._metrics[run.id].items():
            yield from ((key, value, step) for step, _, value in rows)

    def _logged(self, run: RunRecord, artifacts: str) -> list[Kept]:
        home = self._homes[run.id]
        found = files_below(_local_root(run.id, artifacts, home / "artifacts"))
        for name, folder in self._models(home.parent)[0].get(run.id, {}).items():
            found += files_below(folder, name)
        return found

    def _models_of(self, experiment: Path) -> tuple[dict[str, dict[str, Path]], list[SkippedRun]]:
        """Where the newest model of a name lies that `log_model` logged, by run and name; and those
        that cannot be read."""
        models, damaged = [], []
        for meta in experiment.glob("models/*/meta.yaml"):
            try:
                about = self._yaml(meta)
                with reading(str(meta)):
                    when, name = int(about["creation_timestamp"]), str(about["name"])
                    models.append((when, str(about.get("source_run_id")), name, meta.parent))
            except SourceError as error:
                damaged.append(SkippedRun(f"model {meta.parent.name}", first_line(error)))
        found: dict[str, dict[str, Path]] = defaultdict(dict)
        for _, run_id, name, folder in sorted(models):
            found[run_id][name] = folder / "artifacts"
        return found, damaged


def _rows(text: str) -> list[tuple[int, int, float]]:
    """(step, time, value) of the lines `time value step` of a metric, in the order logged."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    return [(int(row[2]) if len(row) > 2 else 0, int(row[0]), float(row[1])) for row in rows]


def _local_root(run_id: str, uri: str, *others: Path) -> Path:
    """The folder of a run's artifacts; another where it was moved with what holds it. MLflow calls
    it RUN/artifacts. No other is taken from a file that somebody else may have made."""
    if uri and ("://" not in uri or uri.startswith("file://")):
        named = Path(unquote(urlsplit(uri).path) if uri.startswith("file:") else uri)
        if named.is_dir() and named.parts[-2:] == (run_id, "artifacts"):
            return named
    return next((path for path in others if path.is_dir()), others[0])


# --- The database -------------------------------------------------------------------------


_Values: TypeAlias = dict[str, dict[str, list[Any]]]
"""What a table has of each run, by its id and key."""


class _Tables(MlflowSource):
    def __init__(self, path: Path) -> None:
        super().__init__(f"in {path}")
        self._path = path

    def _runs(self, query: RunQuery) -> Iterator[RunRecord | SkippedRun]:  # noqa: ARG002 # conditions are on what is read
        rows = database_rows(
            self._path,
            "select run_uuid, r.name, e.name, status, start_time, artifact_uri from runs r join "
            "experiments e on e.experiment_id = r.experiment_id where r.lifecycle_stage = 'active' "
            "and (? is null or e.name = ? or e.experiment_id = ?) "
            "order by start_time desc, run_uuid desc",
            *(self.experiment,) * 3,
        )
        while page := list(islice(rows, _PAGE)):
            ids = [row[0] for row in page]
            metrics = self._values("latest_metrics", ids, ", is_nan")
            held = (self._values("params", ids), metrics, self._values("tags", ids))
            yield from read_each((row[0], partial(self._run, row, *held)) for row in page)

    def _experiments(self) -> dict[str, str]:
        text = "select experiment_id, name from experiments where lifecycle_stage = 'active'"
        return {str(number): name for number, name in database_rows(self._path, text)}

    def _values(self, table: str, ids: Sequence[str], more: str = "") -> _Values:
        query = f"select run_uuid, key, value{more} from {table} where run_uuid in "  # noqa: S608 # the tables' own names
        found: _Values = defaultdict(dict)
        marks = ",".join("?" * len(ids))
        for run_id, key, *value in database_rows(self._path, f"{query}({marks})", *ids):
            found[run_id][key] = value
        return found

    def _run(
        self, row: Sequence[Any], params: _Values, metrics: _Values, tags: _Values
    ) -> RunRecord:
        run_id, *about = row
        texts = [{key: text for key, (text,) in one[run_id].items()} for one in (params, tags)]
        numbers = {key: _number(*value) for key, value in metrics[run_id].items()}
        return self._record(run_id, about, texts[0], numbers, texts[1])

    def _steps(self, run: RunRecord) -> Iterator[tuple[str, float, int]]:
        rows = database_rows(
            self._path,
            "select key, value, is_nan, step from metrics where run_uuid = ? "
            "order by step, timestamp",
            run.id,
        )
        return ((key, _number(value, is_nan), step) for key, value, is_nan, step in rows)

    def _logged(self, run: RunRecord, artifacts: str) -> list[Kept]:
        inside = Path(*Path(urlsplit(artifacts).path).parts[-3:])  # EXPERIMENT/RUN/artifacts
        if not inside.parts or ".." in inside.parts or inside.is_absolute():
            inside = Path(run.id)
        beside = (self._path.with_name(name) for name in ("mlruns", "mlartifacts"))
        found = files_below(_local_root(run.id, artifacts, *(one / inside for one in beside)))
        models: dict[str, Path] = {}
        if any(database_rows(self._path, "pragma table_info(logged_models)")):  # from MLflow 3 on
            query = (
                "select name, model_id, artifact_location from logged_models "
                "where source_run_id = ? order by creation_timestamp_ms"
            )
            for name, model_id, place in database_rows(self._path, query, run.id):
                models[name] = _local_root(model_id, place, Path(os.devnull))
        for name, folder in models.items():
            found += files_below(folder, name)
        return found


# --- A server -----------------------------------------------------------------------------


def _check_address() -> str:
    return f"Check the address of {argument('source')}"


class _NoSuchPathError(SourceError):
    """A server does not know a path of the API: it is older."""


class _Server(MlflowSource):
    """What an MLflow server answers. MLFLOW_TRACKING_USERNAME and _PASSWORD, or _TOKEN, let in."""

    def __init__(self, address: str) -> None:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        split = urlsplit(address)
        self._base = f"{split.scheme}://{split.netloc}{split.path.rstrip('/')}"
        host = split.netloc.rpartition("@")[2]
        self._pages_at = f"{split.scheme}://{host}{split.path.rstrip('/')}"
        super().__init__(f"at {self._pages_at}")
        self._session = requests.Session()
        again = Retry(3, backoff_factor=0.3, status_forcelist=(429, 502, 503, 504),
                      allowed_methods=None, raise_on_status=False)  # fmt: skip
        self._session.mount(f"{split.scheme}://", HTTPAdapter(max_retries=again))
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        token = os.environ.get("MLFLOW_TRACKING_TOKEN")
        if user:
            self._session.auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
        elif token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() == "true":
            self._session.verify = False

    def _response(self, method: str, path: str, **more: Any) -> Any:
        import requests

        address = f"{self._base}{path}"
        try:
            answer = self._session.request(method, address, timeout=(10, 60), stream=True, **more)
        except requests.RequestException as error:
            raise SourceError(
                f"{self._place} cannot be reached ({type(error).__name__})", _check_address()
            ) from None
        if answer.status_code in {401, 403}:
            raise SourceError(
                f"{self._place} does not let anybody in ({answer.status_code})",
                "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                "MLFLOW_TRACKING_TOKEN",
            )
        if answer.status_code >= 400:
            kind = _NoSuchPathError if answer.status_code == 404 else SourceError
            said = f"{self._place} answers {answer.status_code} to {path.partition('?')[0]}"
            raise kind(said, _check_address())
        return answer

    def _pages(self, path: str, key: str, asked: Mapping[str, Any], *, get: bool) -> Iterator[Any]:
        token = ""
        while True:
            values = {**asked, **({"page_token": token} if token else {})}
            method, name = ("GET", "params") if get else ("POST", "json")
            answer = self._response(method, f"/api/2.0/mlflow/{path}", **{name: values})
            with reading(f"what {self._place} answers", _check_address()):
                page = json.loads(answer.content)
                if not isinstance(page, dict):
                    raise TypeError("it is no JSON object")
            yield from page.get(key) or ()
            following = page.get("next_page_token") or ""
            if not following or following == token:
                return
            token = following

    def _experiments(self) -> dict[str, str]:
        every = self._pages("experiments/search", "experiments", {"max_results": 1000}, get=False)
        with reading(f"an experiment of {self._place}", ""):
            return {str(one["experiment_id"]): str(one["name"]) for one in every}

    def _runs(self, query: RunQuery) -> Iterator[RunRecord | SkippedRun]:
        names = self._experiments()
        if self.experiment is not None:
            names = {key: name for key, name in names.items() if self.experiment in {key, name}}
        if not names:
            return
        asked: dict[str, Any] = {
            "experiment_ids": list(names),
            "max_results": _PAGE if query.where else min(_PAGE, (query.limit or _PAGE) + 1),
            "order_by": ["attributes.start_time DESC"],
        }
        every = self._pages("runs/search", "runs", asked, get=False)
        yield from read_each(
            (f"{number} of {self._place}", partial(self._run, run, names))
            for number, run in enumerate(every, 1)
        )

    def faults(self, runs: Sequence[RunRecord]) -> Mapping[str, str]:  # noqa: ARG002 # see below
        """None: every history would be asked for. What cannot be read is met when it is read."""
        return {}

    def _run(self, run: Mapping[str, Any], names: Mapping[str, str]) -> RunRecord:
        info, data = run["info"], run.get("data") or {}
        place = str(info["experiment_id"])
        run_id, keys = str(info.get("run_id") or info["run_uuid"]), ("status", "start_time")
        params, metrics, tags = (
            {str(one["key"]): one.get("value", "") for one in data.get(name) or ()}
            for name in ("params", "metrics", "tags")
        )
        return self._record(
            run_id,
            (info.get("run_name"), names.get(place, place), *map(info.get, keys), place),
            params,
            {key: _number(value) for key, value in metrics.items()},
            tags,
            f"{self._pages_at}/#/experiments/{place}/runs/{run_id}",
        )

    def _steps(self, run: RunRecord) -> Iterator[tuple[str, float, int]]:
        for key in run.summary:
            asked = {"run_id": run.id, "metric_key": key}
            for one in self._pages("metrics/get-history", "metrics", asked, get=True):
                with reading(f"metric {key} of run {run.name}"):
                    yield key, _number(one["value"]), int(one.get("step") or 0)

    def _logged(self, run: RunRecord, artifacts: str) -> list[Kept]:
        """Files of the run, and of the newest model of each name that `log_model` logged: MLflow 3
        has them elsewhere. `artifacts` is the experiment's id."""
        found = self._listed("artifacts/list", "path", {"run_id": run.id})
        files = f"/get-artifact?run_uuid={quote(run.id)}&path="
        found = [replace(kept, logged=f"{files}{quote(kept.path)}") for kept in found]
        asked = {"experiment_ids": [artifacts], "filter": f"source_run_id = '{run.id}'"}
        models: dict[str, str] = {}
        with suppress(_NoSuchPathError):
            every = self._pages("logged-models/search", "models", asked, get=False)
            infos = [one["info"] for one in every]
            infos.sort(key=lambda info: int(info.get("creation_timestamp_ms") or 0))
            models = {str(info["name"]): str(info["model_id"]) for info in infos}
        for name, model in models.items():
            place = f"logged-models/{quote(model)}/artifacts"
            files = f"/ajax-api/2.0/mlflow/{place}/files?artifact_file_path="
            for kept in self._listed(f"{place}/directories", "artifact_directory_path", {}):
                logged = f"{files}{quote(kept.path)}"
                found.append(replace(kept, path=f"{name}/{kept.path}", logged=logged))
        return found

    def _listed(self, path: str, inside: str, asked: Mapping[str, Any]) -> list[Kept]:
        """All files of a place, whose folders the API lists one by one."""
        folders, found, requests = [""], list[Kept](), 0
        while folders and requests < _MOST_FOLDERS:
            folder, requests = folders.pop(), requests + 1
            values = {**asked, **({inside: folder} if folder else {})}
            for one in self._pages(path, "files", values, get=True):
                name = str(one["path"])
                if not one.get("is_dir"):
                    found.append(Kept(name, int(one.get("file_size") or 0)))
                elif name.startswith(folder) and name != folder:
                    folders.append(name)
        return sorted(found, key=lambda kept: kept.path)

    def local_copy(self, artifact: ArtifactRef, kept: Kept, count: Count = bool) -> LocalFile:  # noqa: ARG002 # `logged` says all
        """A copy of a file, kept as long as this process; of other size it is not taken."""
        from urllib3.exceptions import HTTPError

        local = private_cache().named_file_path(self._base, kept.logged)
        if local.is_file():
            return local
        try:
            answer = self._response("GET", kept.logged)
            answer.raw.decode_content = True
            local.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(local) as file:
                for piece in chunks(answer.raw):
                    file.write(piece)
                    count(file.tell())
        except (SourceError, OSError, HTTPError) as error:
            return SkippedFile(kept.path, first_line(error))
        if (came := local.stat().st_size) != kept.size:
            local.unlink()
            return SkippedFile(kept.path, f"{came:,} bytes came of {kept.size:,}", changed=True)
        return local

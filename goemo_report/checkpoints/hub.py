"""A run as a model repository on the Hugging Face hub, sent as one commit.

Needs the extra `goemo[hub]`. The token goes to the hub alone, through the hub's own client.
"""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from goemo_report.card.body import render_card
from goemo_report.card.facts import UNKNOWN_LICENSE, Card
from goemo_report.checkpoints.checkpoint import harmless_files
from goemo_report.checkpoints.checkpoint_files import THRESHOLDS_FILE
from goemo_report.checkpoints.labelling import choose
from goemo_report.comparison import Options, compare
from goemo_report.contract import SPLITS, Split
from goemo_report.errors import (
    ArgumentError,
    GoemoError,
    SourceError,
    argument,
    first_line,
    require_extra,
)
from goemo_report.formats.files import write_whole
from goemo_report.formats.json_text import SCHEMA_VERSION, parsed, to_json
from goemo_report.formats.notebook import NotebookRepr
from goemo_report.formats.text import shown
from goemo_report.formats.wording import listed, plural, size
from goemo_report.predictions import Predictions, understood, write_predictions
from goemo_report.reading.names import AS_FOUND, Reading
from goemo_report.report.publish import date_of
from goemo_report.report.render import render
from goemo_report.report.sections import build_report
from goemo_report.results import RunResult
from goemo_report.results.loading import load_results
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import RunRecord
from goemo_report.thresholds.protocols import export_thresholds

MANIFEST: Final = "goemo.json"
"""The file of a repository that says which files this program put there, and of which run."""
_REPO: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
_OF_THE_HUB: Final = frozenset({".gitattributes", ".gitignore", "LICENSE", MANIFEST})
_LOGIN: Final = "Log in with `hf auth login`, or set HF_TOKEN to a token that may write"
_REMEDIES: Final = {
    401: ("the hub does not accept the token", _LOGIN),
    403: ("the token may not write there", "Use a token with write access to that namespace"),
    404: ("there is no such repository or namespace", "Check the spelling of the namespace"),
    409: ("another change of the repository is under way", "Push again"),
    412: ("the repository changed meanwhile", "Push again"),
    413: ("a file is too large for the hub", "See the storage limits of the namespace"),
    429: ("the hub asks to wait", "Push again in some minutes"),
}


@dataclass(frozen=True, repr=False, slots=True)
class Pushed(NotebookRepr):
    """What went, or with `dry_run` would go, to a repository: (path, bytes) of each file.

    `removed` are files of an earlier push that the new one does not have. `commit` is empty where
    nothing was sent, as what is there is the same.
    """

    run: RunRecord
    repo: str
    private: bool
    files: tuple[tuple[str, int], ...]
    dry_run: bool
    url: str = ""
    commit: str = ""
    removed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """All of it as one JSON value."""
        names = ("repo", "private", "dry_run", "url", "commit")
        return {
            **self.about(),
            **{name: getattr(self, name) for name in names},
            "files": [{"path": path, "size": count} for path, count in self.files],
            "removed": list(self.removed),
            "notes": list(self.notes),
        }

    def lines(self) -> Iterator[str]:
        """The same for people."""
        yield f"{'run':<12}{self.run.name} ({self.run.id})"
        yield f"{'repository':<12}{self.repo}, {'private' if self.private else 'public'}"
        yield from (f"{size(count):>10}  {path}" for path, count in self.files)
        yield from (f"{'removed':>10}  {path}" for path in self.removed)
        total = f"{plural(len(self.files), 'file')}, {size(sum(n for _, n in self.files))}"
        if self.dry_run:
            yield f"{'dry run':<12}{total}; nothing was sent"
        elif self.commit:
            yield f"{'sent':<12}{total}, one commit: {self.url}"
        else:
            yield f"{'unchanged':<12}{total}, all of it there already: {self.url}"


@dataclass(frozen=True, slots=True)
class Content:
    """What a reader may choose about the files. `texts`: whether texts of the data set go along,
    in predictions and report."""

    license_id: str = UNKNOWN_LICENSE
    base_model: str | None = None
    name: str | None = None
    texts: bool = True


def push(
    source: RunSource,
    run: RunRecord,
    repo: str,
    *,
    content: Content = Content(),
    private: bool = True,
    dry_run: bool = False,
    force: bool = False,
    reading: Reading = AS_FOUND,
    progress: Progress = silent,
) -> Pushed:
    """Send a run's checkpoint, thresholds, card, predictions and report to `repo` as one commit.

    The repository is made where there is none. A repository of `NAME` alone is the user's own.
    Files of an earlier push that the run does not have are removed in the same commit; with
    `force` other files may be there, which stay unless they have a name of this run's. Raises
    GoemoError: nothing is committed then.
    """
    if not _REPO.fullmatch(repo) or ".." in repo or "--" in repo or repo.endswith(".git"):
        raise ArgumentError(f"{shown(repo)} is no name of a repository", "Write NAMESPACE/NAME")
    client = () if dry_run else ("huggingface_hub",)
    require_extra("pushing", *client, "torch", "transformers", extra="hub")
    hub = None if dry_run else _Hub(repo, private=private)
    repo, private = (hub.repo, hub.private) if hub else (repo, private)
    with _prepared(source, run, repo, content, reading, progress) as (files, notes):
        sizes = tuple((path, local.stat().st_size) for path, local in files)
        wanted = Pushed(run, repo, private, sizes, dry_run, notes=notes)
        return hub.send(wanted, files, force=force) if hub else wanted


# --- What is sent -----------------------------------------------------------------------


@contextmanager
def _prepared(
    source: RunSource,
    run: RunRecord,
    repo: str,
    content: Content,
    reading: Reading,
    progress: Progress,
) -> Iterator[tuple[list[tuple[str, Path]], tuple[str, ...]]]:
    """Every file by its path in the repository, and notes; the same run gives the same bytes."""
    result = load_results(source, [run], SPLITS, progress, reading)[0]
    labels = next(iter(result.splits.values())).predictions.labels
    notes = [*understood(result.files)]
    notes += [f"no {split} predictions: {why}" for split, why in result.problems.items()]
    with (
        harmless_files(source, run, labels, progress) as (weights, said),
        tempfile.TemporaryDirectory(prefix="goemo-push-") as folder,
    ):
        made = Path(folder)
        for name, text in _documents(result, repo, content, THRESHOLDS_FILE in weights, notes):
            write_whole(made / name, text.encode())
        for split, one in result.splits.items() if content.texts else ():
            _write_predictions(made / f"predictions/{split}_predictions.csv", one.predictions)
        own = {path.relative_to(made).as_posix(): path for path in made.rglob("*")}
        files = weights | {name: path for name, path in own.items() if path.is_file()}
        about = {
            "schema_version": SCHEMA_VERSION,
            "run": {"id": run.id, "name": run.name, "url": run.url},
            "files": sorted(files),
        }
        write_whole(made / MANIFEST, to_json(about).encode())
        files[MANIFEST] = made / MANIFEST
        yield sorted(files.items()), (*notes, *said)


def _documents(
    result: RunResult, repo: str, content: Content, has_thresholds: bool, notes: list[str]
) -> Iterator[tuple[str, str]]:
    """Card, thresholds and report by name; notes on what they lack."""
    card = Card(result, content.license_id, content.base_model, content.name)
    yield "README.md", render_card(card).replace('"DIRECTORY"', f'"{repo}"')
    if content.license_id == UNKNOWN_LICENSE:
        notes.append(f"the card names no licence; give {argument('license_id')}")
    validation = result.splits.get("val")
    if validation is not None and validation.predictions.has_probabilities:
        chosen = choose(validation.predictions, "per-class")
        yield THRESHOLDS_FILE, to_json(export_thresholds([(result.id, chosen)]))
    elif not has_thresholds:
        notes.append("no thresholds: there is no validation split to tune them on")
    split: Split = "test" if "test" in result.splits else "val"
    comparison = compare(
        [result], split=split, source=result.run.path, options=Options(texts=content.texts)
    )
    report = build_report(comparison, created_at=date_of(comparison), command="")
    for form in ("html", "json"):
        yield f"report/report.{form}", render(report, form)


def _write_predictions(path: Path, held: Predictions) -> None:
    path.parent.mkdir(exist_ok=True)
    if held.has_probabilities:
        write_predictions(
            path, held.texts, held.truth, held.probabilities, 0.5, held.labels, held.predicted
        )
    else:
        write_whole(path, held.to_frame().to_csv(index=False).encode())


# --- The hub ----------------------------------------------------------------------------


class _Hub:
    """One repository on the hub, and who asks for it."""

    def __init__(self, repo: str, *, private: bool) -> None:
        """See what is there. Raises SourceError where it may not be pushed to."""
        import logging

        import huggingface_hub
        from huggingface_hub.errors import RepositoryNotFoundError
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        self._token = huggingface_hub.get_token()
        if not self._token:
            raise SourceError("there is no token for the hub", _LOGIN)
        self._api = huggingface_hub.HfApi(
            endpoint=os.environ.get("HF_ENDPOINT") or None, token=self._token
        )
        self.repo, self.private, self._head = repo, private, ""
        self._there: tuple[str, ...] = ()
        self._own: tuple[str, ...] = ()
        with self._hub_errors():
            user = self._api.whoami()["name"]
        if "/" not in self.repo:
            self.repo = f"{user}/{self.repo}"
        with self._hub_errors():
            try:
                found = self._api.model_info(self.repo)
            except RepositoryNotFoundError:
                return
            self._head = found.sha or ""
            self._there = tuple(file.rfilename for file in found.siblings or ())
            if MANIFEST in self._there:
                path = self._api.hf_hub_download(self.repo, MANIFEST, revision=self._head)
                with suppress(ValueError):  # it says nothing of an earlier push
                    said = parsed(Path(path).read_text("utf-8"))
                    files = said.get("files") if isinstance(said, Mapping) else None
                    self._own = tuple(map(str, files)) if isinstance(files, list) else ()
        if private and not found.private:
            raise SourceError(
                f"{self.repo} on the hub is public",
                f"Give {argument('private', False)} to push there, or another name",
            )
        self.private = bool(found.private)

    def send(self, wanted: Pushed, files: Sequence[tuple[str, Path]], *, force: bool) -> Pushed:
        """Make the repository where there is none, and commit. Raises SourceError where others'
        files are there, which would mix with the run's, unless `force` is given."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        kept = {path for path, _ in files}
        foreign = sorted(set(self._there) - set(self._own) - _OF_THE_HUB)
        if foreign and not force:
            replaced = [path for path in foreign if path in kept]
            what = f"{listed(replaced, 3)} would be replaced" if replaced else listed(foreign, 3)
            raise SourceError(
                f"{self.repo} holds {plural(len(foreign), 'other file')}: {what}",
                f"Give {argument('force', True)} to put the run's files there too, or another name",
            )
        removed = tuple(path for path in self._own if path in self._there and path not in kept)
        operations: list[Any] = [CommitOperationAdd(path, local) for path, local in files]
        operations += [CommitOperationDelete(path) for path in removed]
        run = wanted.run
        with self._hub_errors(), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            if not self._head:
                made = self._api.create_repo(self.repo, private=wanted.private, exist_ok=True)
                self.repo = made.repo_id
            done = self._api.create_commit(
                self.repo,
                operations,
                commit_message=f"Push run {run.id}",
                commit_description=f"{run.name}, by goemo-report push",
                parent_commit=self._head or None,
            )
        commit = "" if done.oid == self._head else done.oid
        about = (" ".join(str(one.message).split()) for one in said)
        notes = (*wanted.notes, *(text for text in about if "metadata" in text))
        url = f"{self._api.endpoint}/{self.repo}"
        return replace(wanted, url=url, commit=commit, removed=removed, notes=notes)

    @contextmanager
    def _hub_errors(self) -> Iterator[None]:
        """Raise any error inside as one line about the repository, without the token.

        The client raises its own errors, those of its HTTP library and ValueErrors, which differ
        from version to version.
        """
        try:
            yield
        except GoemoError:
            raise
        except Exception as error:  # noqa: BLE001 # see above
            what, remedy = self._explained(error)
            text = f"{self.repo} on {self._api.endpoint}: {what}; nothing was committed"
            raise SourceError(text.replace(self._token or "\0", "[token]"), remedy) from None

    def _explained(self, error: BaseException) -> tuple[str, str]:
        cause: BaseException | None = error
        while cause is not None:  # a failed upload is the cause of the error about its file
            status = getattr(getattr(cause, "response", None), "status_code", None)
            if status is not None:
                default = (f"the hub answers {status}", "Push again later")
                what, remedy = _REMEDIES.get(status, default)
                said = str(getattr(cause, "server_message", None) or "")
                return (f"{what} ({said.splitlines()[0][:200]})" if said else what), remedy
            name = type(cause).__name__
            if "Offline" in name:
                return "HF_HUB_OFFLINE is set", "Unset it to push"
            if any(word in name for word in ("Connect", "Timeout", "Protocol", "ReadError")):
                return (
                    f"it cannot be reached ({first_line(cause)})",
                    "Check HF_ENDPOINT, push again",
                )
            cause = cause.__cause__
        if isinstance(error, LookupError | TypeError | AttributeError):
            return f"its answer is not a hub's ({type(error).__name__})", "Check HF_ENDPOINT"
        lines = " ".join(str(error).split())[:300] or type(error).__name__
        return lines, "Push again later"

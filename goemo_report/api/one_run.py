"""One run, as a notebook works with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goemo_report.api.arguments import Labels, Only, Place, check, chosen_labels, each, place, roles
from goemo_report.api.progress import Bar, Shown
from goemo_report.contract import SPLITS, Split, Tuning
from goemo_report.errors import ArgumentError, ChangedFileError, argument
from goemo_report.formats import notebook
from goemo_report.sources.base import RunSource
from goemo_report.sources.downloads import Downloads, download
from goemo_report.sources.model import RunRecord

if TYPE_CHECKING:
    import pandas as pd

    from goemo_report.checkpoints.export import Exported
    from goemo_report.checkpoints.hub import Pushed
    from goemo_report.checkpoints.labelling import Labelling
    from goemo_report.checkpoints.verify import Changed, Verification
    from goemo_report.predictions import Predictions
    from goemo_report.reading.names import Reading
    from goemo_report.report.document import Table
    from goemo_report.results import RunResult
    from goemo_report.sources.model import ArtifactFile, ArtifactRef, History


class Text(str):
    """A document; `notes` say what its reader should know besides."""

    notes: tuple[str, ...] = ()


class Thresholds(dict[str, float]):
    """One threshold a label: a label is predicted at `p >= threshold`. `score` takes it.

    `description` says how they were tuned; `fallback` names the labels that have too few
    positives and keep the threshold that is best for all; `notes` say how columns of the file were
    understood.
    """

    def __init__(self, document: Mapping[str, Any], notes: Sequence[str] = ()) -> None:
        """`document` is what `export_thresholds` makes of one run."""
        (entry,) = document["entries"]
        super().__init__(zip(entry["labels"], entry["thresholds"], strict=True))
        self._document = document
        self.description: str = entry["description"]
        self.fallback: tuple[str, ...] = tuple(entry["fallback"])
        self.notes = tuple(notes)

    def _repr_html_(self) -> str:
        rows = ((name, cut, "yes" if name in self.fallback else "") for name, cut in self.items())
        shown = notebook.table(("label", "threshold", "that of all labels"), rows)
        return notebook.page(f"Thresholds: {self.description}", shown)

    def document(self) -> Mapping[str, Any]:
        """What `goemo-report thresholds` prints, as one JSON value."""
        return self._document


@dataclass(frozen=True, eq=False)
class Run:
    """One run: what it is, what it logged, and its files.

    `config` and `summary` are mappings, nested values as they were logged.
    """

    record: RunRecord
    source: RunSource = field(repr=False)
    progress: Shown = field(default=False, repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[object, ...]:
        return self.record.path, self.id, id(self.source)

    @property
    def id(self) -> str:
        """Its id, unique within its project."""
        return self.record.id

    @property
    def name(self) -> str:
        """Its name, such as `roberta-large-20241210-143022`."""
        return self.record.name

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags."""
        return self.record.tags

    @property
    def config(self) -> Mapping[str, Any]:
        """Its config as logged."""
        return self.record.config

    @property
    def summary(self) -> Mapping[str, Any]:
        """Its summary as logged."""
        return self.record.summary

    def history(self) -> pd.DataFrame:
        """Everything that it logged, unsampled: one row a step, indexed by `_step`."""
        import pandas as pd

        frame = pd.DataFrame([dict(row) for row in self._history])
        return frame.set_index("_step") if "_step" in frame else frame

    def artifacts(self) -> pd.DataFrame:
        """What it logged as artifacts: one row a file, with `artifact`, `type`, `version`,
        `aliases`, `path`, `size` (Int64, bytes), `digest` and `reference` (where W&B does not hold
        the file)."""
        import pandas as pd

        held = ("path", "size", "digest", "reference")
        columns = ("artifact", "type", "version", "aliases", *held)
        rows = [
            (
                *(one.name, one.type, one.version, list(one.aliases)),
                *(getattr(file, name) for name in held),
            )
            for one, files in self._logged
            for file in files
        ]
        return pd.DataFrame(rows, columns=list(columns)).astype({"size": "Int64"})

    def download(self, *, only: Only = None, root: Place = "artifacts") -> Downloads:
        """Download its artifacts, each file checked by digest.

        Args:
            only: `checkpoint`, `val-predictions`, `test-predictions`, `per-class-metrics`, or
                several of them; `predictions` means those of both splits. All without it.
            root: each artifact gets a directory of its own name in it.

        Raises:
            NotFoundError: the run logged none of what was asked for.

        """
        with Bar(self.progress) as bar:
            return download(self.source, self.record, roles(only), Path(place(root, "root")), bar)

    def predictions(
        self,
        split: Split = "test",
        *,
        labels: Labels = None,
        map_to: str | None = None,
        true: str | None = None,
        pred: str | None = None,
        prob: str | None = None,
    ) -> Predictions:
        """Its predictions on a split, every cell checked.

        Args:
            split: `test` or `val`.
            labels: the labels that they must have: a known set's name as `ekman`, a file of
                names, or the names.
            map_to: roll labels up first: `ekman`, `sentiment`, or one of `[tool.goemo.groups]`.
            true, pred, prob: columns of its file, as in `read_predictions`.

        Raises:
            NotFoundError: it logged none that can be used, with the reason.

        """
        choice = chosen_labels(labels, map_to, true=true, pred=pred, prob=prob)
        return choice.on(self._result([split], choice.reading).splits[split].predictions)

    def thresholds(
        self, protocol: Tuning = "per-class", *, labels: Labels = None, map_to: str | None = None
    ) -> Thresholds:
        """Thresholds by label, to apply elsewhere at `p >= threshold`.

        Args:
            protocol: `per-class`, tuned on validation for the best F1 of each class; `global`, one
                for the best macro F1 on validation; or `fixed`, 0.5 with either split.
            labels, map_to: as in `predictions`.

        Raises:
            NotFoundError: it has no validation predictions to tune on.

        """
        from goemo_report.checkpoints.labelling import choose, validation_of
        from goemo_report.predictions import understood
        from goemo_report.thresholds.protocols import export_thresholds

        check(protocol=protocol)
        choice = chosen_labels(labels, map_to)
        with Bar(self.progress) as bar:
            if protocol == "fixed":  # any split names the labels
                held, *_ = (
                    one.predictions for one in self._result(SPLITS, choice.reading).splits.values()
                )
            else:
                held = validation_of(self.source, self.record, bar, choice.reading)
        document = export_thresholds([(self.id, choose(choice.on(held), protocol))])
        return Thresholds(document, understood([held]))

    def predict(
        self,
        texts: Sequence[str],
        *,
        protocol: Tuning = "per-class",
        thresholds: Place | None = None,
        batch_size: int = 32,
        device: str = "auto",
        max_seq_length: int | None = None,
    ) -> Labelling:
        """Predict texts with its checkpoint; needs the extra `goemo[train]`.

        Args:
            texts: n texts.
            protocol: as in `thresholds`.
            thresholds: a JSON file of thresholds, in place of the run's own.
            batch_size: texts at once.
            device: `cpu`, `cuda`, `cuda:1`, `mps`; `auto` takes a GPU where there is one.
            max_seq_length: cut texts after so many tokens; as the run's config says without it.

        Returns:
            `probabilities` (n, k) float32, `thresholds`, and `emotions(row)`: those predicted for
            a text, each with its probability and threshold.

        """
        from goemo_report.checkpoints.labelling import label_texts

        check(batch_size=batch_size, max_seq_length=max_seq_length, protocol=protocol)
        if isinstance(texts, str):
            raise ArgumentError("texts is one text", "Give a list of texts")
        texts = each(texts)
        with Bar(self.progress) as bar:
            return label_texts(
                self.source,
                self.record,
                texts,
                protocol=protocol,
                thresholds=None if thresholds is None else Path(place(thresholds, "thresholds")),
                batch_size=batch_size,
                device=device,
                max_length=max_seq_length,
                progress=bar,
            )

    def export(
        self, directory: Place, *, int8: bool = False, split: Split = "test", limit: int = 500
    ) -> Exported:
        """Write its checkpoint as an ONNX model with labels and thresholds inside; needs the extra
        `goemo[onnx]`.

        Args:
            directory: gets `model.onnx`, the tokenizer and config.json.
            int8: also write `model-int8.onnx`, quantised dynamically to 8 bits.
            split: `test` or `val`, whose texts the exported model predicts first.
            limit: so many of them, the first ones.

        Returns:
            `files` and `variants`: for PyTorch, ONNX and int8 the largest difference of a
            probability, macro F1 and texts a second; `lines()` says it all.

        Raises:
            GoemoError: the exported model does not predict as PyTorch does.

        """
        from goemo_report.checkpoints.export import export_onnx

        check(split=split, limit=limit)
        with Bar(self.progress) as bar:
            return export_onnx(
                self.source,
                self.record,
                Path(place(directory, "directory")),
                int8=int8,
                split=split,
                limit=limit,
                progress=bar,
            )

    def verify(
        self,
        split: Split = "test",
        *,
        limit: int | None = None,
        batch_size: int = 32,
        device: str = "auto",
        max_seq_length: int | None = None,
        tolerance: float | None = None,
    ) -> Verification | Changed:
        """Load its checkpoint, predict a split again and compare the probabilities with those
        that it logged; needs the extra `goemo[train]`.

        Args:
            split: `test` or `val`.
            limit: only the first so many texts.
            batch_size, device, max_seq_length: as in `predict`.
            tolerance: largest difference of a probability; 0.0001, or what the precision of the
                run allows.

        Returns:
            `agrees`, `explanation` and figures; `lines()` says it all. A `Changed`, which does not
            agree, where a file of the checkpoint is not what was logged.

        """
        from goemo_report.checkpoints.verify import Changed, verify

        check(split=split, limit=limit, batch_size=batch_size, tolerance=tolerance)
        check(max_seq_length=max_seq_length)
        with Bar(self.progress) as bar:
            try:
                return verify(
                    self.source,
                    self.record,
                    split,
                    limit=limit,
                    batch_size=batch_size,
                    device=device,
                    max_length=max_seq_length,
                    tolerance=tolerance,
                    progress=bar,
                )
            except ChangedFileError as error:
                return Changed(self.record, error)

    def card(
        self,
        *,
        license_id: str = "unknown",
        base_model: str | None = None,
        name: str | None = None,
        labels: Labels = None,
        map_to: str | None = None,
    ) -> Text:
        """A Hugging Face model card in Markdown, with results that the hub reads.

        Args:
            license_id: licence of the model, as the hub names it.
            base_model: hub name of the base model; as the run's config says without it.
            name: name of the model.
            labels, map_to: as in `predictions`.

        """
        from goemo_report.card.body import render_card
        from goemo_report.card.facts import UNKNOWN_LICENSE, Card
        from goemo_report.predictions import understood

        check(license_id=license_id, base_model=base_model, name=name)
        choice = chosen_labels(labels, map_to)
        read = self._result(SPLITS, choice.reading)
        result = read.changed(choice.on)
        card = Card(result, license_id, base_model, name)
        notes = understood(read.files)
        notes += [_about(split, why) for split, why in result.problems.items()]
        if license_id == UNKNOWN_LICENSE:
            notes.append(f"the card names no licence; give {argument('license_id')}")
        if card.base_model is None:
            notes.append(f"the card names no base model; give {argument('base_model')}")
        text = Text(render_card(card))
        text.notes = tuple(notes)
        return text

    def push(
        self,
        repo: str,
        *,
        private: bool = True,
        dry_run: bool = False,
        force: bool = False,
        texts: bool = True,
        license_id: str = "unknown",
        base_model: str | None = None,
        name: str | None = None,
        labels: Labels = None,
    ) -> Pushed:
        """Send checkpoint, thresholds, card, predictions and report to the Hugging Face hub as one
        commit; needs the extra `goemo[hub]` and a token that may write.

        Args:
            repo: NAMESPACE/NAME of a model repository, made where there is none; NAME alone is in
                the namespace of the token's user.
            private: whether a new repository is private; a public one is refused where this holds.
            dry_run: send nothing, and say what would be sent.
            force: push to a repository that holds other files, too.
            texts: whether predictions go along, and texts in the report.
            license_id, base_model, name: as in `card`.
            labels: as in `predictions`.

        Returns:
            `files` with sizes, `url`, `commit`, `removed`; `lines()` says it all.

        Raises:
            GoemoError: the checkpoint is not what was logged or cannot be loaded, or the hub
                refuses; nothing is committed.

        """
        from goemo_report.checkpoints.hub import Content, push

        check(repo=repo, license_id=license_id, base_model=base_model, name=name)
        content = Content(license_id, base_model, name, texts)
        with Bar(self.progress) as bar:
            return push(
                self.source,
                self.record,
                repo,
                content=content,
                private=private,
                dry_run=dry_run,
                force=force,
                reading=chosen_labels(labels).reading,
                progress=bar,
            )

    def replicate(self) -> Text:
        """The `goemo-train` command line that trains it again, quoted for a POSIX shell."""
        from goemo_report.card.replicate import by_goemo_train, not_taken, replicate_command

        logged = self.source.artifacts([self.record]).get(self.id, ())
        text = Text(replicate_command(self.record, logged))
        if not by_goemo_train(self.record):
            text.notes = ("another trainer made this run; the command holds what its config says",)
        elif gone := not_taken(self.record, logged):
            text.notes = (f"goemo-train no longer takes {', '.join(gone)}: not in the command",)
        return text

    def document(self) -> Mapping[str, Any]:
        """All of it as one JSON value, its whole history included."""
        from goemo_report.report import tables

        return tables.show_document(self.record, self._history, self._logged)

    def tables(self) -> list[Table]:
        """What it is, its config, summary, history and artifacts, for reading."""
        from goemo_report.report import tables

        return tables.run_tables(self.record, self._history, self._logged)

    @property
    def _history(self) -> History:
        return self.source.histories([self.record]).get(self.id, ())

    @property
    def _logged(self) -> list[tuple[ArtifactRef, Sequence[ArtifactFile]]]:
        logged = self.source.artifacts([self.record]).get(self.id, ())
        return list(zip(logged, self.source.manifests(logged), strict=True))

    def _result(self, splits: Sequence[Split], reading: Reading) -> RunResult:
        from goemo_report.results.loading import load_results

        for split in splits:
            check(split=split)
        with Bar(self.progress) as bar:
            return load_results(self.source, [self.record], splits, bar, reading)[0]

    def __repr__(self) -> str:
        return f"<Run {self.name!r} ({self.id}), {self.record.state}>"

    def _repr_html_(self) -> str:
        from goemo_report.analysis.configs import hide_secrets

        record = hide_secrets(self.record)
        facts = (
            ("id", record.id),
            ("project", record.path.rpartition("/")[0]),
            ("state", record.state),
            ("tags", ", ".join(record.tags)),
            ("model", record.model_name),
            ("created", record.created_at),
        )
        summary = [(k, v) for k, v in record.summary.items() if not k.startswith("_")]
        parts = notebook.table(("", ""), facts), notebook.table(("summary", "value"), summary)
        return notebook.page(f"Run {record.name}", *parts)


def _about(split: str, why: str) -> str:
    """Why a split is not there; a reason that says no more than that says it alone."""
    missing = f"no {split} predictions"
    return missing if why == f"has {missing}" else f"{missing}: {why}"

"""What an audit reads, what it makes of waivers, and how findings are written."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from goemo_report.api.quality_checks import Audits
from goemo_report.audit import RULES, audit, check_waivers, unused_waivers
from goemo_report.audit.evidence import Evidence, collect
from goemo_report.errors import SettingsError
from goemo_report.sources.base import Progress, silent
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.model import ArtifactFile, ArtifactRef, LocalFile, RunRecord
from goemo_report.sources.offline_logs.source import LogSource
from tests.audit import changes
from tests.audit.changes import GONE
from tests.memory_source import MemorySource


class WatchedSource(LogSource):
    """Remembers which files were asked for."""

    def __init__(self, root: Path, *, online: bool) -> None:
        super().__init__(root)
        self.online = online
        self.fetched: list[str] = []
        self.calls = 0

    def artifacts(self, runs: Sequence[RunRecord]) -> Mapping[str, tuple[ArtifactRef, ...]]:
        logged = super().artifacts(runs)
        if not self.online:
            return logged
        return {
            run: tuple(dataclasses.replace(one, is_offline=False) for one in references)
            for run, references in logged.items()
        }

    def fetch(
        self, wanted: Sequence[tuple[ArtifactRef, ArtifactFile]], progress: Progress = silent
    ) -> list[LocalFile]:
        self.calls += 1
        self.fetched += [file.path for _, file in wanted]
        return super().fetch(wanted, progress)


def findings(evidence: Evidence) -> dict[str, str]:
    return {f.rule.id: f.detail for f in audit(evidence).findings}


def test_weights_are_checked_on_this_machine(trained_root: Path) -> None:
    source = WatchedSource(trained_root, online=False)
    collect(source, source.list_runs(RunQuery()).runs)
    assert source.calls == 1
    assert "pytorch_model.bin" in source.fetched
    assert len(source.fetched) == len(set(source.fetched))


def test_weights_are_not_fetched_from_w_and_b(trained_root: Path) -> None:
    source = WatchedSource(trained_root, online=True)
    collect(source, source.list_runs(RunQuery()).runs)
    assert source.calls == 1
    assert sorted(source.fetched) == [
        "config.json",
        "per_class_metrics.csv",
        "test_predictions.csv",
        "val_predictions.csv",
    ]


def test_the_other_dialect_is_judged_fairly(mixed_root: Path) -> None:
    source = LogSource(mixed_root)
    (evidence,) = collect(source, [source.find_run("otherdialect")])
    result = audit(evidence)
    assert {f.rule.id for f in result.of("error")} == {"artifact-per-class-metrics"}
    assert {f.rule.id for f in result.of("note")} == {
        "dialect-metric-keys",
        "dialect-run-files",
        "dialect-checkpoint",
        "dialect-probability-columns",
    }


def test_a_killed_run_lacks_what_came_later(mixed_root: Path) -> None:
    source = LogSource(mixed_root)
    (evidence,) = collect(source, [source.find_run("killed")])
    found = findings(evidence)
    assert {"run-finished", "artifact-checkpoint", "metric-test-macro-f1"} <= found.keys()
    assert not any(name.startswith(("config-", "system-", "epoch-", "true-")) for name in found)


def test_27_labels_are_no_mistake(mixed_root: Path) -> None:
    source = LogSource(mixed_root)
    (evidence,) = collect(source, [source.find_run("noneutral")])
    assert len(evidence.labels) == 27
    assert {"true-num-labels", "config-num-labels", "metric-f1-per-class"}.isdisjoint(
        findings(evidence)
    )


@pytest.mark.parametrize("offline", [True, False])
def test_files_that_are_gone_are_findings(trained: Evidence, offline: bool) -> None:
    source = MemorySource()
    references = [
        (dataclasses.replace(one.reference, is_offline=offline), {f.path: None for f in one.files})
        for one in trained.artifacts.values()
    ]
    run = dataclasses.replace(trained.run, results=None)
    source.add(run, *references)
    source.history[run.id] = trained.result.history
    (evidence,) = collect(source, [run])
    lines = [(f.rule.id, f.detail) for f in audit(evidence).findings]
    if offline:  # one rule says that files are missing, and not what would be in them
        files = [file.path for one in trained.artifacts.values() for file in one.files]
        assert sorted(lines) == sorted(
            ("artifact-files", f"{path}: gone from the disk") for path in files
        )
    else:
        assert {rule for rule, _ in lines} == {
            "predictions-val", "predictions-test", "per-class-columns", "checkpoint-config-json",
        }  # fmt: skip


def test_an_edited_copy_is_a_finding(trained_root: Path, tmp_path: Path) -> None:
    source = LogSource(trained_root)
    (run,) = source.list_runs(RunQuery()).runs
    assert run.results == trained_root / f"{run.name}-{run.id}"
    shutil.copytree(run.results, copy := tmp_path / "copy")
    (copy / "val_predictions.csv").unlink()
    for name in ("test_predictions.csv", "checkpoint/config.json"):
        path = copy / name
        path.write_bytes(path.read_bytes().replace(b"0", b"1", 1))
    (evidence,) = collect(source, [dataclasses.replace(run, results=copy)])
    lines = [(f.rule.id, f.detail.split()[0]) for f in audit(evidence).findings]
    assert sorted(lines) == [
        ("artifact-copies", "checkpoint/config.json"),
        ("artifact-copies", "test_predictions.csv"),
    ]


@pytest.mark.parametrize(
    ("text", "rule", "said"),
    [
        (b"text,true_labels\nx,joy\n", "predictions-test", "lacks"),
        (b"\xff\xfe\x00", "predictions-test", "UTF"),
        (b"", "predictions-test", "empty"),
        (b"\x1f\x8bxx", "predictions-test", "gzip"),
    ],
)
def test_a_bad_prediction_file_is_a_finding(
    trained: Evidence, tmp_path: Path, text: bytes, rule: str, said: str
) -> None:
    path = tmp_path / "test_predictions.csv"
    path.write_bytes(text)
    source = MemorySource()
    reference = trained.artifacts["test-predictions"].reference
    source.add(trained.run, (reference, {path.name: path}))
    (evidence,) = collect(source, [trained.run])
    assert said in findings(evidence)[rule]


@pytest.mark.parametrize("text", ["not json", "[1]", '{"a":' * 3, "[" * 100_000])
def test_a_bad_checkpoint_config_is_a_finding(trained: Evidence, tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    source = MemorySource()
    source.add(trained.run, (trained.artifacts["checkpoint"].reference, {path.name: path}))
    (evidence,) = collect(source, [trained.run])
    assert "config.json" in findings(evidence)["checkpoint-config-json"]


# --- Waivers --------------------------------------------------------------------------


def test_a_waived_finding_keeps_its_reason_and_fails_nothing(trained: Evidence) -> None:
    evidence = changes.run(trained, tags=("tiny-roberta", "training"))
    reason = "tagged when the paper is out"
    assert audit(evidence).failed()
    waived = audit(evidence, {"tags-status": reason})
    assert not waived.failed(strict=True)
    assert [finding.waived for finding in waived.waived] == [reason]
    assert waived.of("error") == ()
    assert unused_waivers([waived], {"tags-status": reason}) == []
    assert unused_waivers([audit(trained)], {"tags-status": reason}) == ["tags-status"]


def test_an_unknown_rule_cannot_be_waived() -> None:
    check_waivers({rule.id: "reason" for rule in RULES})
    with pytest.raises(SettingsError, match="tag-status") as caught:
        check_waivers({"tag-status": "reason"})
    assert "tags-status" in caught.value.remedy


def test_strict_counts_warnings(trained: Evidence) -> None:
    warned = audit(changes.config(trained, {"pytorch_version": "1.0"}))
    assert not warned.failed()
    assert warned.failed(strict=True)


def test_artifacts_can_be_judged_alone(trained: Evidence) -> None:
    evidence = changes.run(changes.without_artifact(trained, "checkpoint"), tags=())
    found = audit(evidence, rules=[rule for rule in RULES if rule.subject == "artifacts"])
    assert [finding.rule.id for finding in found.findings] == ["artifact-checkpoint"]


# --- Output ---------------------------------------------------------------------------

HOSTILE = "a%b\n::error::x\r<script>alert(1)</script>|`x`,:"


def broken(trained: Evidence) -> Evidence:
    return changes.config(changes.run(trained, name=HOSTILE, tags=()), {"batch_size": GONE})


def test_annotations_cannot_be_broken_out_of(trained: Evidence) -> None:
    text = Audits((audit(broken(trained)),), strict=False).render("github")
    lines = text.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("::error title=") for line in lines)
    title, message = lines[0].removeprefix("::error title=").split("::", 1)
    assert title.startswith("run-name (a%25b%0A%3A%3Aerror%3A%3Ax%0D<script>")
    assert "%2C%3A" in title
    assert message.startswith("a%25b%0A::error::x%0D<script>")


def test_notes_and_warnings_are_annotations_of_their_own_kind(trained: Evidence) -> None:
    noted = changes.files(trained, "checkpoint", "pytorch_model.bin", "model.safetensors")
    assert Audits((audit(noted),), strict=False).render("github").startswith("::notice title=")
    warned = audit(changes.config(trained, {"pytorch_version": "1.0"}))
    assert Audits((warned,), strict=False).render("github").startswith("::warning title=")
    waived = audit(broken(trained), {rule.id: "so be it" for rule in RULES})
    quiet = "::notice::goemo-report audit: 1 run checked, nothing found\n"
    assert Audits((waived,), strict=False).render("github") == quiet


def test_the_document_says_all(trained: Evidence) -> None:
    found = audit(broken(trained), {"config-batch-size": "batches are dynamic"})
    document: Any = json.loads(json.dumps(Audits((found,), strict=True).document()))
    assert document["schema_version"] == 2
    assert document["passed"] is False
    (run,) = document["runs"]
    assert run["run"]["id"] == trained.run.id
    assert run["counts"] == {"error": 4, "warning": 0, "note": 0, "waived": 1}
    by_rule = {one["rule"]: one for one in run["findings"]}
    assert by_rule["config-batch-size"]["waived"] == "batches are dynamic"
    assert by_rule["tags-phase"]["waived"] is None
    assert by_rule["tags-phase"]["severity"] == "error"
    assert by_rule["tags-phase"]["remedy"]


def test_tables_are_grouped_by_severity(trained: Evidence) -> None:
    evidence = changes.files(
        broken(trained), "checkpoint", "pytorch_model.bin", "model.safetensors"
    )
    evidence = changes.config(evidence, {"pytorch_version": "1.0"})
    found = audit(evidence, {"run-name": "a nickname"})
    audits = Audits((found,), strict=False)
    titles = [table.title for table in audits.tables() if not isinstance(table, str)]
    assert titles == ["Errors (4)", "Warnings (1)", "Notes (1)", "Waived (1)"]
    markdown = audits.render("md")
    assert "<script>" not in markdown
    assert "a nickname" in markdown

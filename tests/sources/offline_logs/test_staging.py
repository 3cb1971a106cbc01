"""Artifacts of offline runs: their manifests, and the bytes of their files."""

from __future__ import annotations

import base64
import hashlib
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from goemo_report.contract import ROLES, Role
from goemo_report.predictions import read_predictions
from goemo_report.sources.model import ArtifactFile, ArtifactRef, LocalFile, SkippedFile
from goemo_report.sources.newest import predictions_role
from goemo_report.sources.offline_logs.source import LogSource
from tests.sources.clients import newest_client
from tests.sources.log_writer import exit_record, new_record, run_record, write_run


def logged(source: LogSource, run_id: str) -> tuple[ArtifactRef, ...]:
    return source.artifacts([source.find_run(run_id)])[run_id]


def by_role(source: LogSource, run_id: str, role: Role) -> ArtifactRef:
    return [artifact for artifact in logged(source, run_id) if artifact.role == role][-1]


def first_file(source: LogSource, artifact: ArtifactRef) -> tuple[ArtifactRef, ArtifactFile]:
    return artifact, source.manifests([artifact])[0][0]


def fetch(source: LogSource, run_id: str, role: Role = "test-predictions") -> LocalFile:
    return source.fetch([first_file(source, by_role(source, run_id, role))])[0]


def reason(found: LocalFile) -> str:
    assert isinstance(found, SkippedFile)
    return found.reason


def md5(content: bytes) -> Any:
    return hashlib.md5(content, usedforsecurity=False)


class TestArtifacts:
    def test_the_four_of_the_guide(self, offline_root: Path) -> None:
        source = LogSource(offline_root)
        artifacts = logged(source, "distilbertbases1")
        assert tuple(artifact.role for artifact in artifacts) == ROLES
        for artifact, files in zip(artifacts, source.manifests(artifacts), strict=True):
            assert artifact.run_id == "distilbertbases1"
            assert artifact.kind == "artifact"
            assert artifact.version is None
            assert artifact.qualified_name == artifact.name
            assert artifact.aliases == ("latest",)
            assert artifact.size == sum(file.size for file in files) > 0
        checkpoint = artifacts[0]
        assert checkpoint.metadata["random_seed"] == 1
        assert checkpoint.description == "Best checkpoint by validation AUC"
        assert [file.path for file in source.manifests([checkpoint])[0]] == [
            "config.json",
            "pytorch_model.bin",
            "special_tokens_map.json",
            "tokenizer_config.json",
            "vocab.txt",
        ]

    def test_what_is_logged_again(self, odd_root: Path) -> None:
        """Two contents, the first of which is logged twice: two artifacts, the first newest."""
        artifacts = logged(LogSource(odd_root), "odd")
        assert [(a.metadata["content"], a.aliases) for a in artifacts] == [
            ("two", ("b",)),
            ("one", ("a", "c", "latest")),
        ]

    def test_versions_of_a_resumed_run(self, odd_root: Path) -> None:
        source = LogSource(odd_root)
        artifacts = logged(source, "resumed")
        assert [artifact.aliases for artifact in artifacts] == [(), (), ("latest",)]
        found = source.fetch([first_file(source, artifact) for artifact in artifacts])
        assert [path.read_text() for path in found if isinstance(path, Path)] == ["1", "3", "6"]

    def test_thousands_of_versions_take_no_longer_each(self, tmp_path: Path) -> None:
        """Aliases move on to the version that takes them; one logged again keeps its own."""
        records = [run_record("r", project="p")]
        for number in (*range(5000), 7):
            record = new_record()
            record.artifact.name, record.artifact.digest = "a", str(number)
            record.artifact.aliases.extend(["latest", f"v{number}" if number < 4999 else "v3"])
            records.append(record)
        write_run(tmp_path, "r", records)
        source = LogSource(tmp_path)
        run = source.find_run("r")
        before = time.process_time()
        artifacts = source.artifacts([run])["r"]
        assert time.process_time() - before < 2
        assert len(artifacts) == 5000
        aliases = {int(artifact.digest): artifact.aliases for artifact in artifacts}
        assert (aliases[3], aliases[4], aliases[4999]) == ((), ("v4",), ("v3",))
        assert (artifacts[-1].digest, artifacts[-1].aliases) == ("7", ("latest", "v7"))

    def test_references_to_elsewhere_are_files_as_well(self, odd_root: Path) -> None:
        source = LogSource(odd_root)
        for files in source.manifests(logged(source, "odd")):
            references = {file.path: file.reference for file in files}
            elsewhere = "https://example.org/elsewhere.bin"
            assert references == {"elsewhere.bin": elsewhere, "file.csv": ""}

    @newest_client
    def test_a_manifest_in_a_file_of_its_own(self, odd_root: Path) -> None:
        source = LogSource(odd_root)
        (artifact,) = logged(source, "many")
        (files,) = source.manifests([artifact])
        assert [file.path for file in files] == [f"folder/{number}.txt" for number in range(3)]
        assert artifact.size == 27
        found = source.fetch([(artifact, file) for file in files])
        assert [p.read_text() for p in found if isinstance(p, Path)] == [
            f"content {number}" for number in range(3)
        ]


class TestFetching:
    def test_files_have_the_logged_digest_and_hold_predictions(self, offline_root: Path) -> None:
        source = LogSource(offline_root)
        for role in ("val-predictions", "test-predictions"):
            artifact, file = first_file(source, by_role(source, "robertalarges2", role))
            (path,) = source.fetch([(artifact, file)])
            assert isinstance(path, Path)
            assert base64.b64encode(md5(path.read_bytes()).digest()).decode() == file.digest
            assert len(read_predictions(path)) == 120

    def test_progress_counts_the_bytes(self, offline_root: Path) -> None:
        source = LogSource(offline_root)
        artifacts = logged(source, "robertalarges2")
        wanted = [
            (artifact, file)
            for artifact, files in zip(artifacts, source.manifests(artifacts), strict=True)
            for file in files
        ]
        told: list[tuple[str, int, int]] = []
        source.fetch(wanted, lambda *report: told.append(report))
        total = sum(file.size for _, file in wanted)
        assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
        assert told[-1][1:] == (total, total)

    def test_a_file_that_is_not_in_the_manifest(self, offline_root: Path) -> None:
        source = LogSource(offline_root)
        artifact = by_role(source, "robertalarges2", "checkpoint")
        (found,) = source.fetch([(artifact, ArtifactFile("other.bin", 1, "x"))])
        assert "not in the manifest" in reason(found)


class TestMoved:
    """A directory that was copied from another machine: no recorded path exists."""

    def test_files_are_found_by_name_in_the_staging_folder(self, moved_root: Path) -> None:
        found = fetch(LogSource(moved_root), "moved")
        assert isinstance(found, Path)
        assert found.is_relative_to(moved_root / "artifacts" / "staging")

    def test_the_staging_folder_may_lie_anywhere_below(self, moved_root: Path) -> None:
        (moved_root / "deep/er").mkdir(parents=True)
        (moved_root / "artifacts").rename(moved_root / "deep/er/artifacts")
        assert isinstance(fetch(LogSource(moved_root), "moved"), Path)

    def test_files_are_found_by_digest_in_the_cache_of_wandb(
        self, moved_root: Path, no_cache: Path
    ) -> None:
        source = LogSource(moved_root)
        staged = fetch(source, "moved")
        assert isinstance(staged, Path)
        content = staged.read_bytes()
        shutil.rmtree(moved_root / "artifacts")
        digest = md5(content).hexdigest()
        cached = no_cache / "artifacts" / "obj" / "md5" / digest[:2] / digest[2:]
        cached.parent.mkdir(parents=True)
        cached.write_bytes(content)
        assert fetch(LogSource(moved_root), "moved") == cached
        cached.write_bytes(content[:-1] + b"?")
        assert "is not the file that was logged" in reason(fetch(LogSource(moved_root), "moved"))

    @newest_client
    def test_the_place_in_the_cache_is_wandbs_own(self, no_cache: Path) -> None:
        from wandb.sdk.artifacts.artifact_file_cache import ArtifactFileCache

        from goemo_report.sources.offline_logs.folders import _in_wandb_cache

        digest = base64.b64encode(md5(b"content").digest()).decode()
        cache = ArtifactFileCache(no_cache / "artifacts")
        path, _, _ = cache.check_digest_obj_path(digest, 7)
        assert _in_wandb_cache(digest) == Path(path)

    def test_what_is_gone_is_left_out_with_the_reason(self, moved_root: Path) -> None:
        shutil.rmtree(moved_root / "artifacts")
        why = reason(fetch(LogSource(moved_root), "moved"))
        assert "its staged copy tmp" in why
        assert "artifacts/staging" in why
        assert "cache" in why

    @pytest.mark.parametrize("content", [b"", b"other bytes", None])
    def test_a_wrong_file_of_the_right_name_is_not_taken(
        self, moved_root: Path, content: bytes | None
    ) -> None:
        staged = fetch(LogSource(moved_root), "moved")
        assert isinstance(staged, Path)
        if content is None:  # the right size, too
            content = bytes([staged.read_bytes()[0] ^ 1]) + staged.read_bytes()[1:]
        staged.write_bytes(content)
        why = reason(fetch(LogSource(moved_root), "moved"))
        assert "is not the file that was logged: size or MD5 differ" in why

    def test_the_others_are_still_served(self, moved_root: Path) -> None:
        staged = fetch(LogSource(moved_root), "moved")
        assert isinstance(staged, Path)
        staged.unlink()
        source = LogSource(moved_root)
        roles: tuple[Role, ...] = ("val-predictions", "test-predictions")
        wanted = [first_file(source, by_role(source, "moved", role)) for role in roles]
        kept, gone = source.fetch(wanted)
        assert isinstance(kept, Path)
        assert isinstance(gone, SkippedFile)
        assert gone.path == "test_predictions.csv"


class TestHostilePaths:
    def artifact_record(self, local_path: str, *, size: int = 4, path: str = "f.csv") -> Any:
        record = new_record()
        record.artifact.name, record.artifact.type = "thing", "dataset"
        record.artifact.digest = "0" * 32
        digest = base64.b64encode(md5(b"safe").digest()).decode()
        entry = record.artifact.manifest.contents.add(path=path, size=size, digest=digest)
        entry.local_path = local_path
        return record

    @pytest.mark.parametrize(
        "local_path",
        ["", ".", "..", "../../../etc/passwd", "relative", "nul\0l", "/dev/zero", "/", "x" * 5000],
    )
    def test_a_recorded_path_is_only_ever_read_if_it_is_the_file(
        self, tmp_path: Path, no_cache: Path, local_path: str
    ) -> None:
        records = [run_record("r", project="p"), self.artifact_record(local_path), exit_record()]
        write_run(tmp_path, "r", records)
        source = LogSource(tmp_path)
        (artifact,) = logged(source, "r")
        (found,) = source.fetch([first_file(source, artifact)])
        assert isinstance(found, SkippedFile)

    def test_names_of_another_system(self, tmp_path: Path, no_cache: Path) -> None:
        recorded = r"C:\Users\me\artifacts\staging\tmpabc"
        records = [run_record("r", project="p"), self.artifact_record(recorded), exit_record()]
        write_run(tmp_path, "r", records)
        (tmp_path / "artifacts/staging").mkdir(parents=True)
        (tmp_path / "artifacts/staging/tmpabc").write_bytes(b"safe")
        source = LogSource(tmp_path)
        (found,) = source.fetch([first_file(source, logged(source, "r")[0])])
        assert found == tmp_path / "artifacts/staging/tmpabc"

    @pytest.mark.parametrize(
        "path", ["predictions/../../../../secret_test.csv", "/etc/predictions/test.csv"]
    )
    def test_a_run_file_stays_in_its_folder(self, tmp_path: Path, path: str) -> None:
        record = new_record()
        record.files.files.add(path=path)
        write_run(tmp_path, "r", [run_record("r", project="p"), record, exit_record()])
        (tmp_path / "secret_test.csv").write_text("x")
        source = LogSource(tmp_path)
        for artifact in logged(source, "r"):
            (found,) = source.fetch([first_file(source, artifact)])
            assert "is not in the run's directory" in reason(found)


class TestRunFiles:
    def test_predictions_of_the_other_dialect(self, mixed_root: Path) -> None:
        source = LogSource(mixed_root)
        artifacts = [a for a in logged(source, "otherdialect") if a.kind == "run-files"]
        assert [(a.name, a.role) for a in artifacts] == [
            ("predictions/test_predictions.csv", "test-predictions"),
            ("predictions/val_predictions.csv", "val-predictions"),
        ]
        for artifact in artifacts:
            _, file = first_file(source, artifact)
            assert (file.path, file.size, file.digest) == (
                artifact.name,
                artifact.size,
                artifact.digest,
            )
            (path,) = source.fetch([(artifact, file)])
            assert isinstance(path, Path)
            assert len(read_predictions(path)) == 120

    def test_a_file_that_was_not_copied_along(self, mixed_root: Path, tmp_path: Path) -> None:
        shutil.copytree(mixed_root / "wandb", tmp_path / "wandb", symlinks=True)
        for files in tmp_path.glob("wandb/*-otherdialect/files"):
            shutil.rmtree(files)
        source = LogSource(tmp_path)
        why = reason(fetch(source, "otherdialect"))
        assert why == "files/predictions/test_predictions.csv is not in the run's directory"

    @pytest.mark.parametrize(
        ("path", "role"),
        [
            ("predictions/test_predictions.csv", "test-predictions"),
            ("predictions/val_predictions.csv", "val-predictions"),
            ("predictions/Validation-epoch3.CSV", "val-predictions"),
            ("predictions/fold1/test.csv.gz", "test-predictions"),
            ("predictions/latest.csv", None),
            ("predictions/test_predictions.parquet", "test-predictions"),
            ("predictions/test_metrics.json", None),
            ("test_predictions.csv", None),
            ("media/predictions/test.csv", None),
        ],
    )
    def test_roles(self, path: str, role: str | None) -> None:
        assert predictions_role(path) == role

    def test_the_newest_of_several_comes_last(self, tmp_path: Path) -> None:
        log = write_run(tmp_path, "r", [run_record("r", project="p"), exit_record()])
        folder = log.parent / "files" / "predictions"
        folder.mkdir(parents=True)
        for name in ("test_epoch_10.csv", "test_epoch_2.csv", "test_predictions.csv"):
            (folder / name).write_text(name)
        names = [artifact.name for artifact in logged(LogSource(tmp_path), "r")]
        assert names == [
            "predictions/test_epoch_2.csv",
            "predictions/test_epoch_10.csv",
            "predictions/test_predictions.csv",
        ]

"""What a run does while it trains, step by step, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goemo_report.errors import GoemoError
from goemo_report.predictions import write_predictions
from goemo_train import evaluate, model, optimiser, run_directory, setup
from goemo_train import train as training
from goemo_train.config import TrainConfig
from goemo_train.data import load_corpus
from goemo_train.run import Run
from goemo_train.run_directory import write_json
from goemo_train.tracking import Progress
from goemo_train.train import train


def run(output: Path, **settings: Any) -> Run:
    given = {"model": "tiny-roberta", "limit": 64, "num_epochs": 1, **settings}
    given = {"wandb_mode": "disabled", "dataset": "demo", **given}
    config = TrainConfig(model_name=given["model"], output=str(output), **given)
    found = train(config, Progress(quiet=True))
    assert found is not None
    return found


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> Callable[[set[int]], None]:
    """Has the loss of these steps, counted from 1, be no number."""

    def lose(steps: set[int]) -> None:
        own, turns = optimiser.choose_loss, iter(range(1, 10**6))

        def choose(*arguments: Any) -> Any:
            loss = own(*arguments)
            return lambda *tensors: loss(*tensors) * (np.nan if next(turns) in steps else 1.0)

        monkeypatch.setattr(setup, "choose_loss", choose)

    return lose


def test_steps_that_are_not_finite_are_left_out_and_told(
    tmp_path: Path, losing: Callable[[set[int]], None]
) -> None:
    losing({2, 5})
    outcome = run(tmp_path, batch_size=8, num_epochs=2)
    (warning,) = [one for one in outcome.state.warnings if "left out" in one]
    assert warning.startswith("2 of the 8 steps of epoch 1 were left out")
    record = json.loads((outcome.directory / "run.json").read_text())
    assert warning in record["summary"]["warnings"]
    assert all(np.isfinite(row["train/loss"]) for row in record["history"])
    weights = torch.load(outcome.directory / "checkpoint" / "pytorch_model.bin")
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_a_run_that_diverges_ends_soon_and_keeps_a_good_state(
    tmp_path: Path, losing: Callable[[set[int]], None]
) -> None:
    losing(set(range(3, 1000)))
    with pytest.raises(GoemoError, match=r"not finite in epoch 1\. Lower --learning-rate"):
        run(tmp_path, batch_size=1, checkpoint_every=2)
    (newest, _) = sorted(tmp_path.glob("*/state-*.pt"), reverse=True)
    assert newest.name.startswith("state-00000008-")  # the tenth step was one too many
    kept = torch.load(newest)
    assert all(tensor.isfinite().all() for tensor in kept["model"].values())


def gone(*_: Any) -> None:
    raise OSError("the machine is gone")


def falling(monkeypatch: pytest.MonkeyPatch, aucs: list[float]) -> None:
    """Has the validation AUCs of the epochs be these."""
    turns = iter(aucs)

    def rankings(split: str, *_: Any) -> dict[str, float]:
        auc = next(turns) if split == "val" else 0.5
        return {f"{split}/auc": auc, f"{split}/macro_auc": 0.5}

    monkeypatch.setattr(evaluate, "rankings", rankings)


@pytest.mark.parametrize(
    ("aucs", "told"), [((0.7, 0.9, 0.8, 0.7, 0.6), True), ((0.9, 0.8, 0.85, 0.8, 0.85), False)]
)
def test_a_falling_auc_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aucs: tuple[float, ...], told: bool
) -> None:
    falling(monkeypatch, list(aucs))
    state = run(tmp_path, num_epochs=5).state
    assert ("the validation AUC has fallen 2 epochs in a row" in state.warnings) == told
    assert state.best_epoch == aucs.index(0.9) + 1


def test_training_stops_when_patience_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    falling(monkeypatch, [0.8, 0.9, 0.89, 0.9, 0.95, 0.96])
    outcome = run(tmp_path, num_epochs=6, patience=2)
    assert len(outcome.state.history) == 4  # an equal one is no better
    assert outcome.state.best_epoch == 2
    record = json.loads((outcome.directory / "run.json").read_text())
    assert (record["summary"]["best_epoch"], record["summary"]["final_epoch"]) == (2, 4)


@pytest.mark.parametrize(("micro", "told"), [(0, 8), (3, 3), (100, 8)])
def test_too_little_memory_names_what_to_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, micro: int, told: int
) -> None:
    def step(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(training, "train_step", step)
    expected = f"with {told} texts at once. Try --micro-batch-size {told // 2}, which"
    with pytest.raises(GoemoError, match=expected):
        run(tmp_path, batch_size=8, micro_batch_size=micro)


def test_too_little_memory_before_the_first_step_is_told_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model.Classifier, "to", place)
    with pytest.raises(GoemoError, match="out of GPU memory with 16 texts at once"):
        run(tmp_path)
    assert not list(tmp_path.iterdir())


def checkpoint_of(directory: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(directory / "checkpoint" / "pytorch_model.bin")
    return weights


def test_a_checkpoint_whose_state_was_not_written_is_not_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second epoch comes out worse when it is done again, as it may on a GPU."""
    falling(monkeypatch, [0.5, 0.9])
    own = run_directory.save_state

    def lost(directory: Path, step: int, epoch: int, *rest: Any) -> None:
        if epoch == 3:  # the second is over, its checkpoint written
            raise OSError("the machine is gone")
        own(directory, step, epoch, *rest)

    monkeypatch.setattr(run_directory, "save_state", lost)
    with pytest.raises(OSError, match="gone"):
        run(tmp_path, num_epochs=3)
    (first,) = tmp_path.glob("*/best-1")
    assert first.with_name("best-2").exists()
    weights, directory = checkpoint_of(first), first.parent

    monkeypatch.setattr(run_directory, "save_state", own)
    falling(monkeypatch, [0.4, 0.3])
    outcome = run(tmp_path, resume=directory.name)
    assert [row["val/auc"] for row in outcome.state.history] == [0.5, 0.4, 0.3]
    assert outcome.state.best_epoch == 1
    final = checkpoint_of(directory)
    assert all(torch.equal(final[name], tensor) for name, tensor in weights.items())
    assert not list(directory.glob("best-*"))


@pytest.mark.parametrize(("keep", "names"), [(1, {"best-3"}), (2, {"best-2", "best-3"})])
def test_a_best_epoch_is_kept_as_long_as_a_state_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int, names: set[str]
) -> None:
    falling(monkeypatch, [0.5, 0.8, 0.9])
    monkeypatch.setattr(training, "predict_splits", gone)
    with pytest.raises(OSError, match="gone"):
        run(tmp_path, num_epochs=3, keep_checkpoints=keep)
    (directory,) = tmp_path.iterdir()
    assert {path.name for path in directory.glob("best*")} == names


def test_speeds_follow_from_times(tmp_path: Path) -> None:
    for row in run(tmp_path, num_epochs=2).state.history:
        assert row["train/samples_per_sec"] * row["train/epoch_time"] == pytest.approx(64)


def test_a_warning_is_given_once_though_the_run_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(training, "predict_splits", gone)
        with pytest.raises(OSError, match="gone"):
            run(tmp_path, max_seq_length=6)
    (directory,) = tmp_path.iterdir()
    warnings = run(tmp_path, resume=directory.name).state.warnings
    assert sum("longer than 6 tokens" in text for text in warnings) == 1


FINISHED = {
    *("checkpoint", "run.json", "per_class_metrics.csv"),
    *("val_predictions.csv", "test_predictions.csv"),
}


@pytest.mark.parametrize("damaged", [False, True])
def test_killed_before_its_last_line_a_run_ends_when_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    def write(path: Path, value: Any) -> None:
        if "summary" in value:
            raise OSError("the machine is gone")
        write_json(path, value)

    with monkeypatch.context() as patched:
        patched.setattr(training, "write_json", write)
        with pytest.raises(OSError, match="gone"):
            run(tmp_path, num_epochs=3)
    (directory,) = tmp_path.iterdir()
    if damaged:  # the newest: training goes on from the one before
        max(directory.glob("state-*.pt")).write_bytes(b"")
    outcome = run(tmp_path, resume=directory.name)
    expected = run(tmp_path / "whole", num_epochs=3)
    assert outcome.state.best_epoch == expected.state.best_epoch
    final, true = checkpoint_of(directory), checkpoint_of(expected.directory)
    assert all(torch.equal(final[name], tensor) for name, tensor in true.items())
    assert {path.name for path in directory.iterdir()} == FINISHED


def test_killed_after_its_last_line_a_run_is_tidied_when_it_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(training, "tidy", gone)
        with pytest.raises(OSError, match="gone"):
            run(tmp_path, num_epochs=3)
    (directory,) = tmp_path.iterdir()
    (directory / ".val_predictions.csv.0a.part").touch()  # as a kill leaves it
    assert len(list(directory.glob("state-*.pt"))) == 2
    for _ in range(2):
        with pytest.raises(GoemoError, match="is finished"):
            run(tmp_path, resume=directory.name)
        assert {path.name for path in directory.iterdir()} == FINISHED
    assert (directory / "checkpoint" / "thresholds.json").exists()


def test_what_fails_while_the_best_is_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, turns = model.save_checkpoint, iter(range(1, 9))

    def save(*arguments: Any) -> None:
        if next(turns) == 2:
            raise PermissionError("not allowed")
        own(*arguments)

    falling(monkeypatch, [0.5, 0.9])
    monkeypatch.setattr(model, "save_checkpoint", save)
    with pytest.raises(PermissionError, match="not allowed"):
        run(tmp_path, num_epochs=2, wandb_mode="offline")
    (state,) = tmp_path.glob("*/state-*.pt")
    assert state.name.endswith("-00001.pt")


class TestTeachers:
    def test_a_student_learns_the_mean_of_what_they_say(self, tmp_path: Path) -> None:
        """Without a true label in sight: what the targets are is what is learned."""
        teacher = run(tmp_path, limit=200, num_epochs=6, batch_size=32, learning_rate=3e-3)
        learned, corpus = teacher.setup, teacher.setup.corpus
        held = corpus.train
        own = evaluate.predict(learned.classifier, learned.tokens, teacher.distributed)[0]
        file = tmp_path / "train_predictions.csv"
        order = np.random.default_rng(0).permutation(len(held.texts))
        texts = ["a text of another split", *(held.texts[row] for row in order)]
        rest = np.concatenate(([order[0]], order))
        write_predictions(file, texts, held.truth[rest], own[rest] / 2, 0.5, corpus.labels)
        teachers = (str(teacher.directory), str(file))
        settings = dict(teacher=teachers, limit=200, num_epochs=6, batch_size=32)  # noqa: C408
        student = run(tmp_path, learning_rate=3e-3, **settings)
        # The best epoch's checkpoint is the last one's, of which `own` is.
        assert student.setup.tokens.truth == pytest.approx(own * 0.75, abs=2e-4)
        assert student.setup.sample.truth.max() == 1  # scores are about the true labels
        loss = [row["train/loss"] for row in student.state.history]
        assert loss[-1] < loss[0]
        again = run(tmp_path, learning_rate=3e-3, **settings)  # what was predicted is kept
        assert [row["val/loss"] for row in again.state.history] == [
            row["val/loss"] for row in student.state.history
        ]

    def test_a_teacher_may_have_more_labels_in_another_order(self, tmp_path: Path) -> None:
        corpus = load_corpus(TrainConfig(dataset="demo", limit=64))
        labels = (*corpus.labels[::-1], "boredom")
        truth = np.zeros((len(corpus.train.texts), len(labels)), np.bool_)
        p = np.random.default_rng(0).random(truth.shape).astype(np.float32)
        write_predictions(tmp_path / "p.csv", corpus.train.texts, truth, p, 0.5, labels)
        found = run(tmp_path, teacher=(str(tmp_path / "p.csv"),))
        assert np.array_equal(found.setup.tokens.truth, p[:, :-1][:, ::-1])

    def test_the_shares_of_raters_may_be_learned(self, tmp_path: Path) -> None:
        header, data = "text,id,rater_id,joy,anger", tmp_path / "data"
        data.mkdir()
        rows = [f"text {n},{n},{r},1,{int(r == 2)}" for n in range(8) for r in range(4)]
        for split in ("train", "val", "test"):
            (data / f"{split}.csv").write_text("\n".join([header, *rows]))
        found = run(tmp_path, dataset=str(data), soft_labels=True).setup
        assert np.allclose(found.tokens.truth, [1, 0.25])
        assert np.array_equal(found.sample.truth, [[1, 0]] * 8)
        with pytest.raises(GoemoError, match="demo does not tell what each rater chose"):
            run(tmp_path, soft_labels=True)

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("few.csv", "few.csv has no predictions for 4 of 64 training texts"),
            ("labels.csv", "labels.csv has 2 labels and lacks 26 of the 28 of the data"),
            ("odd.csv", "A teacher's file has the columns text, true_labels, pred_labels"),
            ("nothing", "nothing does not exist"),
            ("empty", "empty holds no config.json"),
            ("part", "part are not those of its model: 1 missing"),
        ],
    )
    def test_what_cannot_teach_is_refused(self, tmp_path: Path, name: str, told: str) -> None:
        corpus = load_corpus(TrainConfig(dataset="demo", limit=64))
        texts, truth, labels = corpus.train.texts, corpus.train.truth, corpus.labels
        p = np.zeros(truth.shape)
        write_predictions(tmp_path / "few.csv", texts[4:], truth[4:], p[4:], 0.5, labels)
        columns = truth[:, :2], p[:, :2], 0.5, labels[:2]
        write_predictions(tmp_path / "labels.csv", texts, *columns)
        (tmp_path / "odd.csv").write_text("text,y,scores\nx,1,'0.1 0.9'\n")
        (tmp_path / "empty").mkdir()
        teacher, tokenizer = model.load(TrainConfig(model="tiny-bert"), corpus.labels)
        model.save_checkpoint(teacher, tokenizer, tmp_path / "part")
        weights = torch.load(tmp_path / "part" / "pytorch_model.bin")
        weights.popitem()
        torch.save(weights, tmp_path / "part" / "pytorch_model.bin")
        with pytest.raises(GoemoError) as caught:
            run(tmp_path / "runs", teacher=(str(tmp_path / name),))
        assert told in str(caught.value)
        assert list((tmp_path / "runs").iterdir()) == []

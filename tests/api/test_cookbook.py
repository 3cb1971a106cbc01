"""The tasks of docs/python.md, each run as it stands there, on runs of the real client."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from goemo_report.labels import EMOTIONS
from goemo_report.predictions import write_predictions
from tests.api.made import made
from tests.offline_runs import OfflineRun, make_runs

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
NAME = "roberta-large-20241210-143022"

PRELUDE = """
import os, numpy as np, wandb, goemo_report as gr
from tests.api.made import made
os.makedirs("own", exist_ok=True)  # else the client writes elsewhere

class model:
    predict_proba = staticmethod(lambda texts: made(1)[1])

truth, probabilities = made(1)
labels = gr.read_predictions("a.csv").labels
texts = [f"text {i}" for i in range(len(truth))]
wandb.init(project="own", mode="offline", config={"model_name": "mine"}, dir="own")
"""
TRAINER = """
import torch, goemo_report as gr
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
labels = ["joy", "anger", "fear"]
network = BertForSequenceClassification(BertConfig(
    vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
    num_labels=3, problem_type="multi_label_classification"))
arguments = TrainingArguments("out-trainer", report_to=[], use_cpu=True)
dataset = [{"input_ids": [1, 2, n + 3], "labels": [1.0, n % 2, 0.0]} for n in range(8)]
"""


def tasks() -> dict[str, str]:
    page = PAGE.read_text("utf-8")
    page = page[page.index("## Ten tasks") : page.index("## By hand")]
    return dict(re.findall(r"\*\*(.*?)\*\*.*?```python\n(.*?)```", page, re.DOTALL))


def run(folder: Path, script: str) -> str:
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    environment.pop("WANDB_SERVICE", None)  # another client's writes below its own directory
    environment |= {"WANDB_DIR": str(folder), "GOEMO_CACHE_DIR": str(folder / "cache")}
    environment["PYTHONPATH"] = str(PAGE.parents[1])
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.replace("[INFO] Running in WANDB offline mode\n", "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cookbook")
    make_runs(
        root,
        [
            OfflineRun("roberta-large", name=NAME, quality=0.8),
            OfflineRun("distilbert-base", tags=("distilbert-base", "ablation")),
        ],
    )
    for seed, name in enumerate(("a.csv", "b.csv"), 1):
        truth, probabilities = made(seed)
        texts = [f"text {i}" for i in range(len(truth))]
        write_predictions(root / name, texts, truth, probabilities, 0.5, EMOTIONS)
    flipped = 1 - made(1)[1]
    truth = made(1)[0]
    write_predictions(root / "c.csv", texts, truth, flipped, 0.5, EMOTIONS)
    return root


def test_there_are_ten() -> None:
    assert len(tasks()) == 10


def test_each_task_runs_and_gives_something(folder: Path) -> None:
    """The last expression of each is printed; a task that fails names itself."""
    found = {name: code for name, code in tasks().items() if "Trainer(" not in code}
    lines = [PRELUDE]
    for name, code in found.items():
        *first, last = code.strip().split("\n")
        gate = re.search(r"def (test_\w+)", code)
        shown = f"print(len(str(({last}))) > 3)" if not last.startswith((" ", "gr.log")) else last
        body = "\n".join([*first, shown]) if not gate else f"{code}\nprint({gate[1]}() is None)"
        lines.append(f"# {name}\n{body}\n")
    printed = run(folder, "\n".join([*lines, "wandb.finish()"]))
    assert printed.split() == ["True"] * (len(found) - 1), printed
    audited = "print(*gr.runs(wandb_dir='own').audit().to_frame()['rule'])"
    broken = set(run(folder, f"import goemo_report as gr; {audited}").split())
    assert broken, "the run lacks config, validation and a checkpoint: said in one go"
    assert not {rule for rule in broken if "test-predictions" in rule}, broken


def test_where_files_differ_leaves_out_the_baseline(folder: Path) -> None:
    code = tasks()["Where two prediction files differ, emotion by emotion."]
    code = code.partition("c.figure")[0]
    code = f"import goemo_report as gr\n{code}print(not found.empty)\n"
    script = "".join(code.replace("b.csv", other) for other in ("a.csv", "c.csv"))
    assert run(folder, script).split() == ["False", "True"]


@pytest.mark.slow
def test_the_trainer_gets_the_guides_metrics(folder: Path) -> None:
    [code] = [code for code in tasks().values() if "Trainer(" in code]
    *first, last = code.strip().split("\n")
    assert 0 <= float(run(folder, "\n".join([TRAINER, *first, f"print({last})"]))) <= 1


@pytest.mark.slow
def test_a_typed_caller_passes_mypy(tmp_path: Path) -> None:
    """Strictly, as somebody's own code would be checked."""
    script = """
from pathlib import Path

import goemo_report as gr


def best(folder: Path) -> str:
    runs = gr.runs(tag="final", wandb_dir=folder, where="config.random_seed == 1", limit=3)
    found = gr.compare(runs, "a.csv", {"b": 1}, split="test")
    return found.verdict


def f1(path: Path) -> float:
    scores = gr.score(gr.read_predictions(path), threshold={"joy": 0.5})
    return float(scores.overall["macro_f1"])


def thresholds(name: str) -> dict[str, float]:
    return gr.run(name).thresholds("global")
"""
    path = tmp_path / "caller.py"
    path.write_text(script)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", str(path)],
        capture_output=True,
        text=True,
        cwd=PAGE.parents[1],
    )
    said = [line for line in done.stdout.splitlines() if "error" in line]
    assert len(said) == 2, done.stdout  # {"b": 1} is not comparable
    assert "caller.py:9" in said[0]

"""Online runs: the real client, the real command line, a stand-in server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from goemo_report import contract
from goemo_report.labels import EMOTIONS
from goemo_train.config import REQUEUE
from tests.train.conftest import environment, log_records
from tests.train.forked import Forks
from tests.wandb_server import WandbServer
from tests.wandb_server.client import run_client

pytest_plugins = ["tests.wandb_server.fixtures"]

SMALL = ("--dataset=demo", "--model=tiny-roberta", "--num-epochs=2", "--limit=200")
LOOK = """
api = wandb.Api()
runs = api.runs("{path}")
result["runs"] = [
    {{"name": r.name, "state": r.state, "sweep": r.sweep_name, "tags": r.tags,
      "config": dict(r.config),
      "summary": {{k: v for k, v in r.summary.items() if not k.startswith("_")}},
      "history": list(r.scan_history()),
      "artifacts": [a.name.split(":")[0] for a in r.logged_artifacts()]}} for r in runs]
"""


def goemo(
    server: WandbServer, home: Path, *arguments: str, **extra: str
) -> subprocess.CompletedProcess[str]:
    home.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "goemo_train", *arguments],
        env={**environment(home), **server.env(home), "HF_HUB_OFFLINE": "1", **extra},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_an_online_run_arrives_whole(wandb_server: WandbServer, tmp_path: Path) -> None:
    output = f"--output={tmp_path / 'runs'}"
    done = goemo(wandb_server, tmp_path / "a", *SMALL, output, "--wandb-mode=online")
    assert done.returncode == 0, done.stderr
    found = run_client(wandb_server, LOOK.format(path=contract.PROJECT), tmp_path / "b")
    (run,) = found["runs"]
    assert run["state"] == "finished"
    assert {key.name for key in (*contract.CONFIG_KEYS, *contract.SYSTEM_KEYS)} <= set(
        run["config"]
    )
    assert {key.name for key in contract.evaluation_metrics(EMOTIONS)} <= set(run["summary"])
    assert [row["_step"] for row in run["history"]] == [1, 2, 3]
    assert len(run["artifacts"]) == 4
    assert "http" in done.stdout  # the run's page
    (kept,) = wandb_server.store.need_project(None, contract.PROJECT).runs.values()
    (alert,) = kept.alerts  # two epochs on 200 texts: most classes are never predicted
    assert alert[0] == "WARN"
    assert "never predicted" in alert[1]


def test_a_refused_key_is_one_line(wandb_server: WandbServer, tmp_path: Path) -> None:
    done = goemo(
        wandb_server, tmp_path, *SMALL, f"--output={tmp_path}", "--wandb-mode=online",
        WANDB_API_KEY="0" * 40,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "--wandb-mode offline" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.rglob("run.json"))
    assert not list(tmp_path.glob("tiny-roberta-*"))


@pytest.mark.slow  # the client asks for 19 s before it gives up
def test_a_lost_connection_does_not_end_the_training(
    wandb_server: WandbServer, tmp_path: Path
) -> None:
    env = {**environment(tmp_path), **wandb_server.env(tmp_path), "HF_HUB_OFFLINE": "1"}
    del env["WANDB_DIR"], env["WANDB_DATA_DIR"]
    process = subprocess.Popen(
        [sys.executable, "-m", "goemo_train", *SMALL, f"--output={tmp_path / 'runs'}",
         "--wandb-mode=online"],
        env={**env, "WANDB_FINISH_TIMEOUT": "5"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    while not process.stderr.readline().startswith("run "):
        pass
    wandb_server.stop()
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr
    (log,) = (tmp_path / "runs").glob("wandb/offline-run-*/run-*.wandb")
    assert f"wandb sync {log.parent}" in stderr
    assert f"--wandb-dir {tmp_path / 'runs'}" in stdout
    records = log_records(log)
    assert sum(r["type"] == "history" for r in records) == 3
    assert sum(r["type"] == "artifact" for r in records) == 4

    wandb_server.start()
    wandb = str(Path(sys.executable).with_name("wandb"))
    subprocess.run([wandb, "sync", str(log.parent)], env=env, check=True, timeout=60)
    (run,) = run_client(wandb_server, LOOK.format(path=contract.PROJECT), tmp_path / "b")["runs"]
    assert run["state"] == "finished"
    assert [row["_step"] for row in run["history"]] == [1, 2, 3]
    assert len(run["artifacts"]) == 4


@pytest.mark.slow
def test_a_series_fails_where_its_second_run_does(
    wandb_server: WandbServer, tmp_path: Path, forks: Forks
) -> None:
    trainer = forks.start(
        *(*SMALL, "--num-epochs=1", "--seeds=1,2", "--wandb-mode=online"),
        f"--output={tmp_path / 'runs'}",
        **wandb_server.env(tmp_path), WANDB_FINISH_TIMEOUT="5",
    )  # fmt: skip
    trainer.wait_until_it_says("run tiny-roberta-")
    wandb_server.stop()
    assert trainer.wait(timeout=240) == 1, trainer.stderr()
    assert trainer.stderr().count("goemo-train: error: W&B cannot start the run") == 1
    assert len(list((tmp_path / "runs").glob("*/checkpoint"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_resumed_run_goes_on_in_the_same_run(
    wandb_server: WandbServer, tmp_path: Path, forks: Forks, number: signal.Signals
) -> None:
    arguments: tuple[str, ...] = (*SMALL, "--num-epochs=6", "--checkpoint-every=2")
    options = ("--wandb-mode=online", f"--output={tmp_path / 'runs'}")
    variables = wandb_server.env(tmp_path)
    for _ in range(2):
        trainer = forks.start(*arguments, *options, **variables)
        trainer.wait_until_it_says("epoch ")
        trainer.send(number)
        assert trainer.wait() in (-number, REQUEUE), trainer.stderr()
        (found,) = (tmp_path / "runs").glob("*/run.json")
        arguments = (f"--resume={found.parent.name.rsplit('-', 1)[-1]}",)
    trainer = forks.start(*arguments, *options, **variables)
    assert trainer.wait() == 0, trainer.stderr()
    (run,) = run_client(wandb_server, LOOK.format(path=contract.PROJECT), tmp_path / "b")["runs"]
    assert run["state"] == "finished"
    assert [row["_step"] for row in run["history"]] == [1, 2, 3, 4, 5, 6, 7]
    record = json.loads(found.read_text())
    told = [row.get("val/auc") for row in run["history"]]
    assert told == [*(row["val/auc"] for row in record["history"]), None]
    assert run["summary"]["test/auc"] == record["summary"]["test/auc"]
    assert found.parent.name.startswith(run["name"])
    assert len(set(run["artifacts"])) == 4


@pytest.mark.slow
def test_a_series_is_as_many_runs(wandb_server: WandbServer, tmp_path: Path, forks: Forks) -> None:
    trainer = forks.start(
        *(*SMALL, "--num-epochs=1", "--ablate=dropout=0.0,0.3", "--seeds=13,42", "--tag=mine"),
        *("--wandb-mode=online", f"--output={tmp_path / 'runs'}"),
        **wandb_server.env(tmp_path),
    )
    assert trainer.wait() == 0, trainer.stderr()
    runs = run_client(wandb_server, LOOK.format(path=contract.PROJECT), tmp_path / "b")["runs"]
    assert {run["state"] for run in runs} == {"finished"}
    found = {
        (run["config"]["random_seed"], run["config"]["dropout"], run["tags"][-1]) for run in runs
    }
    assert found == {
        (seed, dropout, f"dropout={dropout}") for seed in (13, 42) for dropout in (0.0, 0.3)
    }
    assert all(run["tags"][1:4] == ["ablation", "experimental", "mine"] for run in runs)
    assert len({artifact for run in runs for artifact in run["artifacts"]}) == 4 * 4


@pytest.mark.slow
def test_a_sweep_agent_starts_the_trainer(wandb_server: WandbServer, tmp_path: Path) -> None:
    home = tmp_path / "agent"
    home.mkdir()
    sweep = Path(__file__).parents[2].joinpath("sweep.yaml").read_text()
    small = "".join(f"  - {flag}\n" for flag in (*SMALL[:2], *SMALL[3:], "--output=runs"))
    sweep = sweep.replace("  - ${args}\n", small + "  - ${args}\n")
    (home / "sweep.yaml").write_text(sweep)
    bin_directory = Path(sys.executable).parent
    variables = {**environment(home), **wandb_server.env(home), "HF_HUB_OFFLINE": "1"}
    variables["WANDB_SILENT"] = "false"
    variables["PATH"] = f"{bin_directory}:{variables['PATH']}"
    wandb = str(bin_directory / "wandb")
    made = subprocess.run(
        [wandb, "sweep", "sweep.yaml"], cwd=home, env=variables, capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    line = next(line for line in made.stderr.splitlines() if "wandb agent" in line)
    path = line.split("wandb agent", 1)[1].strip()
    agent = subprocess.Popen(
        [wandb, "agent", "--count", "2", path], cwd=home, env=variables,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        said = agent.communicate(timeout=240)[0]
    except subprocess.TimeoutExpired:
        agent.kill()
        said = agent.communicate()[0]
    time.sleep(1)
    found = run_client(wandb_server, LOOK.format(path=contract.PROJECT), tmp_path / "b")
    assert len(found["runs"]) == 2, said
    for run in found["runs"]:
        assert run["state"] == "finished"
        assert run["sweep"] == path.rsplit("/", 1)[-1]
        assert "sweep" in run["tags"]
        assert 0.00005 <= run["config"]["learning_rate"] <= 0.0005
        assert run["config"]["dropout"] in (0.0, 0.1, 0.2)
        assert 0 < run["summary"]["val/auc"] < 1  # what the sweep maximises
        assert len(run["artifacts"]) == 4
    one, other = (run["config"] for run in found["runs"])
    assert one["learning_rate"] != other["learning_rate"]

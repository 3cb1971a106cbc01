"""Real runs of MLflow and trackio, each made by the unmodified library, as subprocesses.

`python -m tests.sources.tracked_runs mlflow URI ROOT` logs two runs to a tracking URI, `... trackio
ROOT` to ROOT. What they hold is what tests/offline_runs.py logs to W&B.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from goemo_report.contract import SPLITS
from tests.offline_runs import (
    REPOSITORY,
    OfflineRun,
    epoch_metrics,
    run_config,
    write_prediction_file,
)

EXPERIMENT = "emotions"
RUNS = (
    OfflineRun(model="roberta-large", seed=1, quality=0.7, texts=120),
    OfflineRun(model="distilbert-base", seed=2, quality=0.4, texts=120),
)


def logged(root: Path) -> Iterator[tuple[OfflineRun, dict[str, Any], Path]]:
    """Each run with its config and the folder of its prediction files."""
    for number, run in enumerate(RUNS):
        folder = root / f"files-{number}"
        for split in SPLITS:
            write_prediction_file(folder / f"{split}_predictions.csv", run, split)
        (folder / "checkpoint").mkdir()
        (folder / "checkpoint" / "config.json").write_text('{"model_type": "roberta"}')
        (folder / "checkpoint" / "model.safetensors").write_bytes(b"weights")
        yield run, run_config(run), folder


def log_model(folder: Path) -> None:
    """A model as `mlflow.transformers.log_model` logs it, twice."""
    import mlflow

    saved = folder / "saved"
    shutil.copytree(folder / "checkpoint", saved / "model")
    (saved / "components" / "tokenizer").mkdir(parents=True)
    (saved / "components" / "tokenizer" / "tokenizer.json").write_text("{}")
    (saved / "MLmodel").write_text("flavors: {transformers: {}}")
    client, run = mlflow.MlflowClient(), mlflow.active_run()
    assert run is not None
    for size in (b"", b"more"):
        (saved / "model" / "model.safetensors").write_bytes(b"weights" + size)
        made = client.create_logged_model(
            run.info.experiment_id, "classifier", source_run_id=run.info.run_id
        )
        client.log_model_artifacts(made.model_id, str(saved))


def to_mlflow(uri: str, root: Path) -> None:
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(EXPERIMENT)
    for run, config, folder in logged(root):
        tags = {"status": "final", "tags": f"{run.model}, training", "checked": ""}
        with mlflow.start_run(run_name=run.model, tags=tags):
            mlflow.log_params(config)
            for epoch in range(1, run.epochs + 1):
                mlflow.log_metrics(epoch_metrics(run, epoch), step=epoch)
            mlflow.log_metric("odd", float("inf"))
            for split in SPLITS:
                mlflow.log_artifact(str(folder / f"{split}_predictions.csv"), "predictions")
            mlflow.log_artifacts(str(folder / "checkpoint"), "model")
            mlflow.log_text("a note", "notes.txt")
            log_model(folder)
            for place in ("mine", "other") if run is RUNS[1] else ("mine",):
                other = folder / "scored.csv"
                other.write_bytes((folder / "test_predictions.csv").read_bytes())
                mlflow.log_artifact(str(other), f"{place}/deep")
    mlflow.start_run(run_name="broken")
    mlflow.end_run("FAILED")
    with mlflow.start_run(run_name="deleted") as gone:
        pass
    mlflow.delete_run(gone.info.run_id)


def to_trackio(root: Path) -> None:
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    for run, config, folder in logged(root):
        trackio.init(
            project=EXPERIMENT, name=run.model, config={**config, "tags": ["final"]}, group="g"
        )
        for epoch in range(1, run.epochs + 1):
            trackio.log(epoch_metrics(run, epoch), step=epoch)
        for split in SPLITS:
            path = str(folder / f"{split}_predictions.csv")
            trackio.log_artifact(path, name=f"{run.model}-{split}-predictions", type="dataset")
            with Path(path).open(encoding="utf-8", newline="") as file:
                header, *rows = csv.reader(file)
            table = trackio.Table(columns=header, data=rows)
            trackio.log({f"{split}_predictions": table}, step=run.epochs)
        trackio.log_artifact(str(folder / "checkpoint"), name=f"{run.model}-model", type="model")
        trackio.finish()  # type: ignore[no-untyped-call]
    SQLiteStorage.export_to_parquet()  # type: ignore[no-untyped-call]


def made(*arguments: object, cwd: Path) -> None:
    if missing := [name for name in ("mlflow", "trackio") if find_spec(name) is None]:
        pytest.skip(f"needs {' and '.join(missing)}, as beside the oldest wandb client")
    line = [sys.executable, "-m", "tests.sources.tracked_runs", *map(str, arguments)]
    quiet = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY), "HOME": str(cwd)}
    quiet |= {"MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"}
    done = subprocess.run(
        line, cwd=cwd, env={**os.environ, **quiet}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def make_tracked(root: Path) -> None:
    """`mlruns`, of MLflow's file store, and `trackio`, with its Parquet files."""
    root.mkdir()
    made("mlflow", f"file:{root / 'mlruns'}", root / "mlflow-files", cwd=root)
    made("trackio", root / "trackio", cwd=root)


if __name__ == "__main__":
    if sys.argv[1] == "mlflow":
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
        to_mlflow(sys.argv[2], Path(sys.argv[3]))
    else:
        os.environ["TRACKIO_DIR"] = sys.argv[2]
        to_trackio(Path(sys.argv[2]).with_name("trackio-files"))

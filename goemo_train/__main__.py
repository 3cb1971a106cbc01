"""The command line: `goemo-train`, `python -m goemo_train`."""

from __future__ import annotations

import gc
import os
import shlex
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from socket import gaierror
from typing import TYPE_CHECKING, Any

from goemo_report.contract import DATASET_NAME
from goemo_report.errors import GoemoError, SettingsError
from goemo_train.config import HUB_NAME, KEPT_ON_RESUME, TrainConfig, parse, settle

if TYPE_CHECKING:
    from goemo_train.train import Outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the flags say; 0 done, 1 an error, 2 usage, 130 or 143 interrupted."""
    debug = False
    try:
        series = parse(sys.argv[1:] if arguments is None else arguments)
        for flags in series:
            debug = flags.pop("debug", False)
            _check_resume(flags)
        configs = [settle(flags) for flags in series]
    except SettingsError as error:
        return _fail(f"error: {error}", 2)
    if len(configs) > 1:
        os.environ.pop("WANDB_RUN_ID", None)  # a sweep's id is for one run
    codes = []
    for number, config in enumerate(configs, 1):
        if len(configs) > 1:
            about = ", ".join((f"seed {config.random_seed}", *config.tag))
            _note(f"run {number} of {len(configs)}: {about}")
        codes.append(_guarded(config, debug=debug, last=number == len(configs)))
        if codes[-1] > 127 or (codes[-1] and os.environ.get("WORLD_SIZE", "1") != "1"):
            break  # interrupted, or the processes have lost each other
    return max(codes)


def _guarded(config: TrainConfig, *, debug: bool, last: bool) -> int:
    try:
        return _run(config, last=last)
    except GoemoError as error:
        if debug:
            raise
        return _fail(f"error: {error}", 1)
    except KeyboardInterrupt:
        if debug:
            raise
        return _fail("interrupted", 130)
    except Exception as error:
        if debug:
            raise
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        return _fail(f"error: {what}. Run again with --debug for the traceback", 1)


def _run(config: TrainConfig, *, last: bool) -> int:
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise GoemoError(
            f"training needs {' and '.join(missing)}", "Install it: pip install 'goemo[train]'"
        )
    _without_hub(config)  # before the imports, which read the environment
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch's: fewer page faults, 3% faster
    gc.disable()  # looking for garbage in what is imported takes a fifth of the imports' time
    import transformers

    from goemo_train.progress import Interrupted, Progress
    from goemo_train.train import train

    gc.freeze()
    gc.enable()
    logging: Any = transformers.utils.logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        outcome = train(config, Progress(), last=last)
    except Interrupted as stopped:
        again = f"goemo-train --resume {stopped.run} --output {shlex.quote(config.output)}"
        return _fail(f"interrupted by {stopped}; go on with: {again}", 128 + stopped.signal)
    if outcome:  # the main process
        sys.stdout.write(summary(outcome, config))
    return 0


def _without_hub(config: TrainConfig) -> None:
    """Use the hub's cache alone where the hub does not answer, rather than wait for retries."""
    here = config.dataset == "demo" or Path(config.dataset).is_dir()
    there = config.dataset in (DATASET_NAME, HUB_NAME)  # what is neither is refused unasked
    local = config.model.startswith(("tiny-", "/", ".", "~")) or Path(config.model).is_dir()
    if os.environ.get("HF_HUB_OFFLINE") or (here and local) or not (here or there):
        return
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        urllib.request.urlopen(hub, timeout=5).close()  # noqa: S310 - the user's own setting
    except (urllib.error.URLError, TimeoutError) as error:
        if isinstance(getattr(error, "reason", error), (TimeoutError, ConnectionError, gaierror)):
            os.environ["HF_HUB_OFFLINE"] = "1"
            _note(f"{hub} cannot be reached: only what its cache holds is used")


def summary(outcome: Outcome, config: TrainConfig) -> str:
    """What the run came to, where everything is, and what to type next."""
    run, overall, state = outcome.run, outcome.scores.overall, outcome.run.state
    names = ("micro_auc", "macro_auc", "macro_f1", "micro_f1")
    found = (f"{n.replace('_', ' ').replace('auc', 'AUC').replace('f1', 'F1')} {overall[n]:.4f}"
             for n in names if overall[n] is not None)  # fmt: skip
    lines = {
        "run": f"{run.name} ({run.tracker.run_id})",
        "best epoch": f"{state.best_epoch} of {len(state.history)}, "
        f"{state.training_time:.0f} s of training",
        "test": f"{', '.join(found)} at {run.config.threshold:g}",
        "tuned": f"macro F1 {outcome.tuned_macro_f1:.4f} on test, thresholds chosen on validation",
        "warnings": "; ".join(state.warnings) or "none",
        "results": str(run.directory),
        "W&B": run.tracker.where or "disabled",
    }
    if run.tracker.where:
        where = f" --wandb-dir {shlex.quote(config.output)}" if run.tracker.offline else ""
        lines["next"] = f"goemo-report compare {run.tracker.run_id}{where}"
    else:
        predictions = shlex.quote(str(run.directory / "test_predictions.csv"))
        lines["next"] = f"goemo-report metrics {predictions}"
    return "".join(f"{key:<11}{value}\n" for key, value in lines.items())


def _check_resume(flags: dict[str, Any]) -> None:
    if flags.get("resume") == "":
        raise SettingsError("--resume is empty", "Give the id of the run to continue")
    foreign = sorted(set(flags) - KEPT_ON_RESUME) if flags.get("resume") else []
    if foreign:
        options = ", ".join("--" + name.replace("_", "-") for name in foreign)
        raise SettingsError(f"--resume and {options}", "A resumed run keeps its own settings")


def _fail(line: str, code: int) -> int:
    world = sys.modules.get("goemo_train.world")  # not imported here, as it needs torch
    if world is None:
        _note(f"goemo-train: {line}")
    elif world.speaks():
        sys.stderr.write(f"goemo-train: {line}\n")
    return code


def _note(line: str) -> None:
    """Say it once, though several processes know it."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())

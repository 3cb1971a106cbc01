"""The command line: `goemo-train`, `python -m goemo_train`."""

from __future__ import annotations

import gc
import os
import shlex
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Collection, Sequence
from pathlib import Path
from socket import gaierror
from typing import TYPE_CHECKING, Any

from click import UsageError
from click.exceptions import Exit

from goemo_report.errors import GoemoError, SettingsError, command_line, require_extra
from goemo_report.labels import known_data
from goemo_train.config import REQUEUE, TrainConfig, check_model, parse, settle

if TYPE_CHECKING:
    from goemo_train.run import Run


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the flags say; 0 done, 1 an error, 2 usage, 75 to be resumed, 130 Ctrl-C."""
    try:
        series = parse(sys.argv[1:] if arguments is None else arguments)
        debug = {flags.pop("debug", False) for flags in series} == {True}
        configs = [settle(flags) for flags in series]
    except Exit as ended:  # after --help
        return ended.exit_code
    except SettingsError as error:
        return _fail(f"error: {error}", 2)
    if len(configs) > 1:
        os.environ.pop("WANDB_RUN_ID", None)  # a sweep's id is for one run
    for signum in (signal.SIGTERM, signal.SIGUSR1):  # while a run trains, it saves its state first
        signal.signal(signum, lambda *_: sys.exit(REQUEUE))
    codes: list[int] = []
    done: list[Run] = []
    for number, (config, flags) in enumerate(zip(configs, series, strict=True), 1):
        if len(configs) > 1:
            _note(f"run {number} of {len(configs)}: {_what(config)}")
        try:
            with command_line():
                codes.append(_run(config, flags, done, last=number == len(configs)))
        except (Exception, KeyboardInterrupt) as error:
            if debug:
                raise
            codes.append(_fail(*_explained(error)))
        if codes[-1] in (REQUEUE, 130) or (codes[-1] and os.environ.get("WORLD_SIZE", "1") != "1"):
            # Interrupted, or the processes have lost each other.
            if left := "; ".join(map(_what, configs[number:])):
                _note(f"not begun: {left}")
            break
    if len(done) > 1 and done[0].tracker.where:
        sys.stdout.write(f"{'series':<11}{_next(done)}\n")
    tracking = sys.modules.get("goemo_train.tracking")
    # In one of several processes, a thread of gloo that is still there would abort the exit.
    helps = os.environ.get("RANK", "0") != "0"
    if tracking and (helps or tracking.Tracker.stuck):
        tracking.leave(max(codes))
    return max(codes)


def _what(config: TrainConfig) -> str:
    return ", ".join((f"seed {config.random_seed}", *config.tag))


def _explained(error: BaseException) -> tuple[str, int]:
    """One line and the exit code."""
    if isinstance(error, (GoemoError, UsageError)):
        return f"error: {error}", 2 if isinstance(error, UsageError) else 1
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", 130
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    return f"error: {what}. Run again with --debug for the traceback", 1


def _run(config: TrainConfig, given: Collection[str], done: list[Run], *, last: bool) -> int:
    require_extra("training")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch's: fewer page faults, 3% faster
    gc.disable()  # looking for garbage in what is imported takes a fifth of the imports' time
    from goemo_train.run_directory import open_run

    wanted = open_run(config, given).config if config.resume else config
    check_model(wanted.model)
    _without_hub(wanted)  # before transformers is imported, which reads the environment
    import transformers

    from goemo_train.processes import Interrupted
    from goemo_train.tracking import Progress
    from goemo_train.train import train

    gc.freeze()
    gc.enable()
    logging: Any = transformers.utils.logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        run = train(config, Progress(), given=given, last=last)
    except Interrupted as stopped:
        return _fail(f"interrupted by {stopped}; go on with: {stopped.again}", stopped.code)
    if run:  # the main process
        done.append(run)
        sys.stdout.write(summary(run))
    return 0


def _without_hub(config: TrainConfig) -> None:
    """Use the hub's cache alone where the hub does not answer, rather than wait for retries."""
    here = config.dataset == "demo" or Path(config.dataset).is_dir()
    data = known_data(config.dataset)
    there = data is not None and config.dataset in (data.name, data.hub)  # else refused unasked
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


def summary(run: Run) -> str:
    """Summarise the run: its results, where everything is, and what to type next."""
    state, row = run.state, run.evaluation
    named = {"micro AUC": "test/auc", "macro AUC": "test/macro_auc", "macro F1": "test/macro_f1",
             "micro F1": "test/micro_f1"}  # fmt: skip
    scores = ((name, row[key]) for name, key in named.items())
    test = ", ".join(f"{name} {value:.4f}" for name, value in scores if value is not None)
    tuned = row["test/macro_f1_tuned"]
    lines = {
        "run": f"{run.name} ({run.tracker.run_id})",
        "best epoch": f"{state.best_epoch} of {len(state.history)}, "
        f"{state.training_time:.0f} s of training",
        "test": f"{test} at {run.setup.config.threshold:g}",
        "tuned": f"macro F1 {'undefined' if tuned is None else f'{tuned:.4f}'} on test, "
        "thresholds chosen on validation",
        "warnings": "; ".join(state.warnings) or "none",
        "results": str(run.directory),
        "W&B": run.tracker.where or "disabled",
        "next": _next([run]),
    }
    return "".join(f"{key:<11}{value}\n" for key, value in lines.items())


def _next(runs: list[Run]) -> str:
    """The command that looks at these runs."""
    if not runs[0].tracker.where:
        predictions = runs[0].directory / "test_predictions.csv"
        return f"goemo-report metrics {shlex.quote(str(predictions))}"
    ids = " ".join(run.tracker.run_id for run in runs)
    offline = any(run.tracker.offline for run in runs)
    where = f" --wandb-dir {shlex.quote(runs[0].setup.config.output)}" if offline else ""
    return f"goemo-report compare {ids}{where}"


def _fail(line: str, code: int) -> int:
    processes = sys.modules.get("goemo_train.processes")  # not imported here: it needs torch
    if processes is None:
        _note(f"goemo-train: {line}")
    elif processes.is_first_to_fail():
        sys.stderr.write(f"goemo-train: {line}\n")
    return code


def _note(line: str) -> None:
    """Say it once, though several processes know it."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())

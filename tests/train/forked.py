"""Trainers that start at once: forks of a process that has imported everything already.

Each is a process of its own, with its own memory, files and signals, and runs the command line
from its first line; what is saved are the seconds that importing torch takes each time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.train.conftest import environment


@dataclass
class Trainer:
    """A running trainer."""

    forks: Forks
    pid: int
    said: Path

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def stderr(self) -> str:
        return self.said.read_text("utf-8")

    def wait_until_it_says(self, start: str, timeout: float = 60) -> None:
        """Until a line of its standard error starts with this, or it has ended."""
        end = time.monotonic() + timeout
        while f"\n{start}" not in "\n" + self.stderr() and not self.has_ended():
            assert time.monotonic() < end, self.stderr()
            time.sleep(0.005)

    def has_ended(self) -> bool:
        state = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state == "Z"  # not yet waited for

    def wait(self, timeout: float = 120) -> int:
        """The exit code; the negative number of the signal that ended it."""
        end = time.monotonic() + timeout
        while not self.has_ended():
            if time.monotonic() > end:
                self.send(signal.SIGKILL)
                raise AssertionError(f"it hangs, having said: {self.stderr()}")
            time.sleep(0.005)
        return int(self.forks.ask(wait=self.pid))


class Forks:
    """The process that forks; ends with the `with` block."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.count = 0

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.train.forked"], env=environment(self.directory),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._pipe(self.process.stdin).close()
        self.process.wait(timeout=60)
        self._pipe(self.process.stdout).close()

    def start(self, *arguments: str, **extra: str) -> Trainer:
        self.count += 1
        said = self.directory / f"{self.count}.stderr"
        pid = self.ask(arguments=arguments, environment=extra, stderr=str(said))
        return Trainer(self, int(pid), said)

    def run(self, *arguments: str, **extra: str) -> tuple[int, str]:
        """The exit code of a command, and all that it says."""
        trainer = self.start(*arguments, **extra)
        return trainer.wait(), trainer.stderr()

    def start_group(self, size: int, port: int, *arguments: str, **extra: str) -> list[Trainer]:
        """As many processes of one run, told as torchrun tells them."""
        group = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        return [
            self.start(*arguments, **group, **extra, RANK=str(rank), LOCAL_RANK=str(rank))
            for rank in range(size)
        ]

    def ask(self, **request: Any) -> Any:
        pipe = self._pipe(self.process.stdin)
        pipe.write(json.dumps(request) + "\n")
        pipe.flush()
        return json.loads(self._pipe(self.process.stdout).readline())

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def serve() -> None:
    from goemo_train import __main__ as program
    from goemo_train import train

    assert train  # torch and transformers are loaded with it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            code = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
            print(code, flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            os.environ.update(request["environment"])
            file = os.open(request["stderr"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            for number, target in ((0, os.open(os.devnull, os.O_RDONLY)), (1, file), (2, file)):
                os.dup2(target, number)
            if prepare := os.environ.get("PREPARE"):  # module:function, what a test changes
                module, _, name = prepare.partition(":")
                getattr(import_module(module), name)()
            sys.exit(program.main(request["arguments"]))
        Path(request["stderr"]).touch()
        print(pid, flush=True)


if __name__ == "__main__":
    serve()

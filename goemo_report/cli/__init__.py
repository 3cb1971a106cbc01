"""The command line `goemo-report`: parse, call, write, map errors. No logic.

Every module here without a leading underscore is one command: its `command` is loaded
when it is asked for, its `ORDER` places it in `goemo-report --help`. At import a command
module needs click and light modules only; whatever is heavy is imported when it runs.
"""

from __future__ import annotations

import gc
import os
import sys
from io import TextIOWrapper

from goemo_report.cli._group import goemo_report, report


def main() -> None:
    """Run `goemo-report`; ends the process with its exit code."""
    _fill_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # no error for what a terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    # Runs are analysed side by side; threads within a product would only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(50_000)  # most of what a command makes is there until it ends
    try:
        goemo_report(prog_name="goemo-report")
    except OSError as error:  # the help text has nowhere to go
        sys.exit(report(error, debug=False))


def _fill_closed_streams() -> None:
    """Give streams that the caller closed their numbers back, or the next file would get them.

    What is written to standard output is an error then; standard error is silent.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest free number
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8")
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")


__all__ = ["goemo_report", "main"]

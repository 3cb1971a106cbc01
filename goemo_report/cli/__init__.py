"""The command line `goemo-report`: parse, call, write, map errors. No logic.

Every module here without a leading underscore is one command: its `command` is loaded
when it is asked for, its `ORDER` places it in `goemo-report --help`. At import a command
module needs click and light modules only; whatever is heavy is imported when it runs.
"""

from __future__ import annotations

from goemo_report.cli._group import goemo_report


def main() -> None:
    """Run `goemo-report`; ends the process with its exit code."""
    goemo_report(prog_name="goemo-report")


__all__ = ["goemo_report", "main"]

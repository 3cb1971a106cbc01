"""The action's step Judge: audits, checks and compares, and writes what is commented.

`judge.py PLACE` reads GOEMO_... from the environment and writes to a new directory in PLACE. It
ends with 0 whatever it found, so that the comment is written; the output `code` is the exit code.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp

from goemo_report.api.arguments import settled
from goemo_report.errors import GoemoError
from goemo_report.report.render.text import markdown_text

LIMIT = 60_000  # characters; GitHub takes 65,536 in a comment
HEADINGS = {0: "✅ passed", 3: "❌ found something"}
CONDITIONS = ("fail-under", "fail-over", "max-drop")
AUDITS = ("auto", "true", "strict", "false")
REST = "\n\nThe rest is in the files of the job."


def lines(name: str) -> list[str]:
    """The lines of an input that are not blank."""
    return [line.strip() for line in os.environ.get(name, "").splitlines() if line.strip()]


def option(name: str) -> list[str]:
    """An input as an option, once a line."""
    values = lines(f"GOEMO_{name.upper().replace('-', '_')}")
    return [f"--{name}={value}" for value in values]


def only_files() -> bool:
    """Whether the runs are prediction files alone, whom most rules of the audit are not about."""
    named = [Path(run.partition("=")[2] or run) for run in lines("GOEMO_RUNS")]
    files = [os.path.exists(one) and not any(one.glob("**/*.wandb")) for one in named]  # noqa: PTH110 # Path.exists raises for long names
    return bool(files) and all(files) and not lines("GOEMO_TAGS")


def other_tracker() -> bool:
    """Whether the runs are of a tracker that the audit's guide is not about."""
    words = [*option("source"), *option("wandb-dir"), *lines("GOEMO_OPTIONS"), ""]
    given: dict[str, str] = {}
    for word, following in pairwise(words):
        name, equals, value = word.partition("=")
        given[name] = value if equals else following
    try:
        kind = settled(given.get("--wandb-dir"), None, None, source=given.get("--source")).kind
    except GoemoError:
        return False  # which the commands say
    return kind not in {"wandb", "offline"}


class Judgement:
    """What each command ended with and what is said of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.codes: list[int] = []
        self.failures: list[str] = []
        chosen = [f"--tag={tag}" for tag in lines("GOEMO_TAGS")]
        for name in ("entity", "project", "source", "wandb-dir"):
            chosen += option(name)
        self.chosen = [*chosen, *lines("GOEMO_OPTIONS"), "--", *lines("GOEMO_RUNS")]

    def run(self, command: str, *options: str) -> None:
        """Run a command on the runs; its output goes to the log."""
        words = [sys.executable, "-m", "goemo_report", command, *options, *self.chosen]
        done = subprocess.run(words, stderr=subprocess.PIPE, check=False)
        said = done.stderr.decode("utf-8", "replace")
        sys.stderr.write(said)
        self.codes.append(done.returncode)
        if done.returncode not in HEADINGS:
            last = (said.strip().splitlines() or ["no message"])[-1]
            self.failures.append(f"`goemo-report {command}`: {markdown_text(last)}")

    def text(self, name: str) -> str:
        """A file that a command wrote, or nothing."""
        path = self.directory / name
        return path.read_text("utf-8").strip() if path.exists() else ""

    @property
    def code(self) -> int:
        """The exit code to end with: an error before something found."""
        return next((one for one in self.codes if one not in HEADINGS), max(self.codes))


def judge(directory: Path) -> Judgement:
    """Audit, check and compare as the inputs say."""
    found = Judgement(directory)
    wanted = os.environ.get("GOEMO_AUDIT", "auto")
    if wanted not in AUDITS:
        found.codes.append(2)
        said = f"the input `audit` is {markdown_text(wanted)}. Give one of {', '.join(AUDITS)}"
        found.failures.append(said)
    elif wanted != "false" and not (wanted == "auto" and (only_files() or other_tracker())):
        strict = ["--strict"] if wanted == "strict" else []
        found.run("audit", "--format=github", *strict)
        if found.codes[-1] in HEADINGS:
            found.run("audit", "--format=md", f"--output={directory / 'audit.md'}", *strict)
    conditions = [one for name in CONDITIONS for one in option(name)]
    baseline = option("baseline")
    if conditions:
        files = f"--junit={directory / 'gate.xml'}", f"--output={directory / 'check.md'}"
        used = baseline if option("max-drop") else []
        found.run("check", "--format=md", *files, *conditions, *used, *option("confidence"))
    files = f"--output={directory}", f"--summary={directory / 'summary.md'}"
    found.run("compare", "--name=report", *files, *baseline)
    return found


def comment(found: Judgement, title: str) -> str:
    """What is commented; of what is too long, the end is left out."""
    heading = HEADINGS.get(found.code, "⚠️ could not be judged")
    parts = [f"## {markdown_text(title)}: {heading}", *(f"- {one}" for one in found.failures)]
    gate, summary = found.text("check.md"), found.text("summary.md")
    if len(gate) + len(summary) > LIMIT // 2:  # many conditions must not push the verdict out
        gate = cut(gate, LIMIT // 4)
    parts += [gate, summary]
    if audit := found.text("audit.md"):
        parts.append(f"<details><summary>Audit</summary>\n\n{audit}\n\n</details>")
    text = "\n\n".join(part for part in parts if part)
    return cut(text, LIMIT) + "\n"


def cut(text: str, most: int) -> str:
    """Whole lines of a text, up to so many characters, and that there is more."""
    if len(text) <= most:
        return text
    text = text[:most].rpartition("\n")[0]
    opened = text.count("<details") - text.count("</details>")
    return text + "\n\n</details>" * opened + REST


def main(place: Path) -> None:
    """Write the files, the step's outputs and the job's summary."""
    directory = Path(mkdtemp(prefix="goemo-report-", dir=place))
    found = judge(directory)
    text = comment(found, os.environ.get("GOEMO_TITLE", "Runs"))
    (directory / "comment.md").write_text(text, "utf-8")
    for variable, written in (
        ("GITHUB_STEP_SUMMARY", text),
        ("GITHUB_OUTPUT", f"directory={directory}\ncode={found.code}\n"),
    ):
        if path := os.environ.get(variable):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(written)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

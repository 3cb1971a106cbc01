"""The action's step Comment: one comment on a pull request, updated in place.

`comment.py DIRECTORY` sends DIRECTORY/comment.md. Whatever keeps it from that is said in one line,
and the step passes: whether runs are good is no matter of who may comment.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

PAGE = 100
READ_ONLY = (
    "Give the job `permissions: pull-requests: write`; on pull requests from forks the token "
    "can only read"
)


class Api:
    """The comments of one pull request."""

    def __init__(self, number: int) -> None:
        address = os.environ.get("GITHUB_API_URL") or "https://api.github.com"
        self.root = f"{address}/repos/{os.environ['GITHUB_REPOSITORY']}/issues"
        self.user = f"{address}/user"
        self.number = number

    def ask(self, method: str, address: str, body: str | None = None) -> Any:
        """What GitHub answers, as JSON. Raises OSError (HTTPError is one) or ValueError."""
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {os.environ.get('GOEMO_TOKEN', '').strip()}",
            "Content-Type": "application/json",
            "User-Agent": "goemo-report",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        data = None if body is None else json.dumps({"body": body}).encode()
        request = Request(address, data, headers, method=method)  # noqa: S310 - GitHub's own
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            return json.load(answer)

    def comments(self) -> Iterator[dict[str, Any]]:
        """All comments, the oldest first."""
        for page in count(1):
            place = f"{self.root}/{self.number}/comments?per_page={PAGE}&page={page}"
            found = self.ask("GET", place)
            yield from found
            if len(found) < PAGE:
                break

    def is_own(self, comment: dict[str, Any]) -> bool:
        """Whether a bot wrote it, as the token of a job is one, or this token's user: other people
        could copy the marker into theirs."""
        user = comment.get("user") or {}
        if user.get("type") == "Bot":
            return True
        try:
            return bool(self.ask("GET", self.user)["login"] == user.get("login"))
        except (HTTPError, KeyError, TypeError):
            return False  # the token of a job has no user of its own

    def put(self, marker: str, body: str) -> str:
        """Update the comment that begins with the marker, or write one; gives what was done."""
        for comment in self.comments():
            if (comment.get("body") or "").startswith(marker) and self.is_own(comment):
                self.ask("PATCH", f"{self.root}/comments/{comment['id']}", body)
                return "updated"
        self.ask("POST", f"{self.root}/{self.number}/comments", body)
        return "written"


def pull_request() -> int | None:
    """The number of the pull request that the event is about."""
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text("utf-8"))
    issue = event.get("issue") or {}
    about = event.get("pull_request") or (issue if issue.get("pull_request") else {})
    number = about.get("number")
    return number if isinstance(number, int) else None


def reason(error: Exception) -> str:
    """Why there is no comment, and what to do about it."""
    if not isinstance(error, HTTPError):
        return str(getattr(error, "reason", error))
    try:
        said = json.load(error).get("message", "")
    except (ValueError, AttributeError, OSError):
        said = ""
    text = f"GitHub answered {error.code}" + (f" ({said})" if said else "")
    return f"{text}. {READ_ONLY}" if error.code in (401, 403, 404) else text


def main(directory: Path) -> None:
    """Comment, or say in one line why not."""
    try:
        number = pull_request()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split()).replace("%", "%25")
        sys.stdout.write(f"::warning::no comment: the event cannot be read ({said})\n")
        return
    if number is None:
        sys.stdout.write("not started by a pull request: no comment\n")
        return
    title = re.sub(r"[^\w .]+", "-", os.environ.get("GOEMO_TITLE", ""))
    marker = f"<!-- goemo-report: {title} -->"
    body = f"{marker}\n{(directory / 'comment.md').read_text('utf-8')}"
    try:
        done = Api(number).put(marker, body)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = " ".join(reason(error).split()).replace("%", "%25")
        sys.stdout.write(f"::warning::no comment on pull request {number}: {said}\n")
    else:
        sys.stdout.write(f"comment on pull request {number} {done}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Report -> PDF: the page as Chromium prints it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from goemo_report.errors import DataError, NotFoundError
from goemo_report.report.document import Report
from goemo_report.report.render.extent import Extent

BROWSER_VARIABLE: Final = "GOEMO_CHROMIUM"
_NAMES: Final = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
    "microsoft-edge", "msedge", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)  # fmt: skip
_FLAGS: Final = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-extensions", "--no-pdf-header-footer",
)  # fmt: skip
_SECONDS: Final = 120


def find_chromium(named: str | os.PathLike[str] | None = None) -> Path:
    """The browser that prints: the one named, that of GOEMO_CHROMIUM, or one found on PATH.

    Raises NotFoundError where there is none.
    """
    wanted = os.fspath(named) if named else os.environ.get(BROWSER_VARIABLE)
    for name in (wanted,) if wanted else _NAMES:
        if found := shutil.which(name):
            return Path(found)
    what = f"there is no browser {wanted} that can be run" if wanted else "there is no Chromium"
    raise NotFoundError(
        f"{what}, which PDF is printed with",
        f"Install Chromium or Chrome, name it with --chromium or {BROWSER_VARIABLE}, or print the "
        "HTML report from a browser",
    )


def render_pdf(report: Report, extent: Extent = "usual", browser: Path | None = None) -> bytes:
    """The report as a browser prints it: with `extent` short two pages, full with the appendix.

    Raises NotFoundError without a browser, DataError where it does not print.
    """
    from goemo_report.report.render.html import render_html

    browser = browser or find_chromium()
    with tempfile.TemporaryDirectory(prefix="goemo-pdf-") as name:
        folder = Path(name)
        page, target = folder / "report.html", folder / "report.pdf"
        page.write_text(render_html(report, extent), encoding="utf-8")
        root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium has no sandbox for root
        command = [
            str(browser), *_FLAGS, *(["--no-sandbox"] if root else []),
            f"--user-data-dir={folder / 'profile'}", f"--print-to-pdf={target}", page.as_uri(),
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=_SECONDS, check=False
            )  # chosen by the user
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        except subprocess.TimeoutExpired:
            said = [f"it took longer than {_SECONDS} s"]
        except OSError as error:
            said = [str(error.strerror)]
        if not target.is_file() or not (data := target.read_bytes()).startswith(b"%PDF"):
            why = said[-1] if said else "it said nothing"
            raise DataError(
                f"{browser} printed no PDF: {why}",
                f"Name another browser with --chromium or {BROWSER_VARIABLE}, or print the HTML "
                "report from one",
            )
    return data

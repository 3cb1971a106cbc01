"""Pages of the site that are made when it is built: from other files, and the example report."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import goemo_report as gr
from goemo_report.api import demo
from goemo_report.report.render.svg import svg

ROOT = Path(__file__).parent.parent
COPIED = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "LICENSE": "LICENSE.txt",
    "CITATION.cff": "CITATION.cff",
}
_CONSOLE = re.compile(r"^```console\n.*?^```", re.MULTILINE | re.DOTALL)
MOVED = {**COPIED, "reports/example.md": "example.md"}
EXAMPLE = """\
# An example report

Three models that do not exist, on texts that are made up: `goemo-report demo` writes this report
where no trainer is installed. [Open it on a page of its own](example-report.html).

<iframe src="example-report.html" title="An example report" loading="lazy"
  style="width: 100%; height: 80vh; border: 1px solid #8884"></iframe>
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in docs/."""
    made = {page: as_page((ROOT / source).read_text("utf-8")) for source, page in COPIED.items()}
    made["tour.md"] = "\n\n".join(notebook(ROOT / "docs/tour.ipynb"))
    made |= {"example.md": EXAMPLE, "example-report.html": example_report()}
    for page, content in made.items():
        files.append(File.generated(config, page, content=content))
    return files


def as_page(text: str) -> str:
    """A file of the top folder as one of docs/: its links are changed."""
    text = text.replace("](docs/", "](")
    return re.sub(r"\]\(([^)#]+)", lambda link: f"]({MOVED.get(link[1], link[1])}", text)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead links that leave docs/ to their page, and leave prompts out of what is copied."""
    markdown = _CONSOLE.sub(
        lambda block: block[0].replace("console", "bash", 1).replace("\n$ ", "\n"), markdown
    )
    return re.sub(r"\]\(\.\./([^)#]+)", lambda link: f"]({MOVED.get(link[1], link[0])}", markdown)


def notebook(path: Path) -> Iterator[str]:
    """The cells of a notebook and their outputs as Markdown, figures as SVG."""
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        source = "".join(cell["source"])
        yield source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```"
        for number, output in enumerate(cell.get("outputs", ())):
            yield from shown(output.get("data", {}), f"{cell['id']}-{number}")
    yield f"[The notebook]({path.name})"


def shown(data: dict[str, Any], identifier: str) -> Iterator[str]:
    """One output of a cell, in its richest form."""
    if drawing := data.get("application/vnd.plotly.v1+json"):
        title = drawing["layout"]["title"]["text"]
        yield f'<div class="output">{svg(drawing, identifier, title, title, standalone=True)}</div>'
    elif html := data.get("text/html"):
        yield f'<div class="output">{"".join(html)}</div>'
    elif text := data.get("text/plain"):
        yield f"```text\n{''.join(text)}\n```"


def example_report() -> str:
    """The report on made-up predictions, as HTML."""
    with tempfile.TemporaryDirectory() as folder:
        comparison = gr.compare(list(demo.make_up(Path(folder))))
        return comparison.save(Path(folder) / "report.html").read_text("utf-8")

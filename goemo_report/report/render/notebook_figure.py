"""A plotly Figure that also shows where plotly.js does not run, as in a page made of a notebook."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, Final

import plotly.graph_objects as go

from goemo_report.formats.notebook import picture

_GIVES_WAY: Final = """<script>(function wait(tries) {
  document.querySelectorAll("#ID").forEach(function (still) {
    if (still.parentElement.querySelector(".js-plotly-plot .main-svg")) still.remove();
  });
  if (tries && document.getElementById("ID")) setTimeout(wait, 250, tries - 1);
})(40);</script>"""
"""The picture goes once plotly.js has drawn the figure beside it."""


class NotebookFigure(go.Figure):  # type: ignore[misc]  # plotly has no types
    """A plotly Figure with a picture of itself, which is shown as well until its data change."""

    _still: tuple[str, str, str] | None = None

    def drawn_as(self, svg: str, alt: str) -> None:
        """Show this SVG where plotly.js does not run."""
        self._still = svg, alt, self._values()

    def _values(self) -> str:
        return json.dumps(json.loads(self.to_json())["data"])

    def _repr_mimebundle_(self, *args: Any, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(*args, **options)
        if not bundle or self._still is None or self._values() != self._still[2]:
            return bundle
        svg, alt, _ = self._still
        bundle["image/svg+xml"] = svg
        if "text/html" in bundle:  # which is preferred to pictures, and empty without plotly.js
            name = f"still-{sha256(svg.encode()).hexdigest()[:12]}"
            image = f'<div id="{name}">{picture(svg, alt)}</div>'
            bundle["text/html"] = image + _GIVES_WAY.replace("ID", name) + bundle["text/html"]
        return bundle

    def _ipython_display_(self) -> None:
        bundle = self._repr_mimebundle_()
        if not bundle:  # shown outside, or as text
            super()._ipython_display_()
            return
        from IPython.display import display  # it calls this method

        display(bundle, raw=True)  # type: ignore[no-untyped-call]

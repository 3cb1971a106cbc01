"""A plotly Figure that also shows where plotly.js does not run, as in a page made of a notebook."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from goemo_report.formats.notebook import picture

_GIVES_WAY: Final = """<script>(function wait(tries) {
  document.querySelectorAll("#ID").forEach(function (still) {
    if (still.parentElement.querySelector(".js-plotly-plot .main-svg")) still.remove();
  });
  if (tries && document.getElementById("ID")) setTimeout(wait, 250, tries - 1);
})(40);</script>"""
"""The picture goes once plotly.js has drawn the figure beside it."""


class _Still:
    """What a plotly Figure has besides: a picture of itself, shown until its data change."""

    _still: tuple[str, str, str] | None = None
    to_json: Callable[[], str]
    _repr_html_ = None  # it would be shown in place of the picture, and needs the network

    def drawn_as(self, svg: str, alt: str) -> None:
        """Show this SVG where plotly.js does not run."""
        self._still = svg, alt, self._values()

    def _values(self) -> str:
        return json.dumps(json.loads(self.to_json())["data"])

    def _repr_mimebundle_(self, *args: Any, **options: Any) -> dict[str, Any]:
        figure: Any = super()
        bundle: dict[str, Any] = figure._repr_mimebundle_(*args, **options)
        if not bundle or self._still is None or self._values() != self._still[2]:
            return bundle
        svg, alt, _ = self._still
        bundle["image/svg+xml"] = svg
        if "text/html" in bundle:  # which is preferred to pictures, and empty without plotly.js
            name = f"still-{sha256(svg.encode()).hexdigest()[:12]}"
            image = f'<div id="{name}">{picture(svg, alt)}</div>'
            bundle["text/html"] = image + _GIVES_WAY.replace("ID", name) + bundle["text/html"]
        return bundle

    @property
    def _ipython_display_(self) -> Any:
        """Plotly's way to show, which takes precedence, where it shows outside or as text."""
        figure: Any = super()
        return None if self._repr_mimebundle_() else figure._ipython_display_


def __getattr__(name: str) -> Any:
    """The class `NotebookFigure`, made when it is first asked for: plotly loads slowly."""
    if name != "NotebookFigure":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import plotly.graph_objects as go

    body = {"__module__": __name__, "__qualname__": name, "__doc__": __doc__}
    globals()[name] = made = type(name, (_Still, go.Figure), body)
    return made

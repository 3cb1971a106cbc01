"""plotly.js as a report carries it: the installed bundle without what no figure uses.

A report draws lines, points, bars and heatmaps. Nearly half of the bundle is the map
engine and the three-dimensional scenes; both are loaded by plotly.js but not run until a
figure asks for them, so stubs in their place change nothing and make a report 0.7 MB
smaller and faster to open. The bundle is minified, hence the cuts are known for exactly
the files named here; any other file is taken whole.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final, NamedTuple


class Cut(NamedTuple):
    """What to leave out: from `start` up to, not including, `end`; `stub` replaces it."""

    start: str
    end: str
    stub: str


CUTS: Final[dict[str, tuple[Cut, ...]]] = {
    # plotly 7.1.0, plotly.js 4.1.1
    "3b6e15d45dbb7fca5bd2094291e961ddc5472cd887009e6009a56dab668d721f": (
        Cut(  # three-dimensional scenes: whatever is read of them is the stub again
            "var nc=W((cHr,dqe)=>{",
            "var om=W((",
            "var nc=W((e,t)=>{t.exports=new Proxy(function(){},"
            '{get:(e,t)=>t===Symbol.toPrimitive?()=>"":nc()})});',
        ),
        Cut(  # the map engine
            "function tr(e,t){this.x=e,this.y=t}function fdr(",
            "var Bst=W((",
            "var Pst={};var Rst=()=>{};",
        ),
        Cut("var Bst=W((", "var Vst=W((", 'var Bst=W((e,t)=>{t.exports=""});'),  # its worker
    ),
}


def plotly_source() -> bytes:
    """The script to embed: UTF-8, the same bytes for the same plotly version."""
    whole = (files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    cuts = CUTS.get(hashlib.sha256(whole).hexdigest(), ())
    text = whole.decode("utf-8")
    for cut in cuts:
        start = text.index(cut.start)
        text = text[:start] + cut.stub + text[text.index(cut.end, start) :]
    return text.encode("utf-8")

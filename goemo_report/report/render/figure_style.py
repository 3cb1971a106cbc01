"""Colours and style sheet of figures: of a page's themes, and of files of their own."""

from __future__ import annotations

from typing import Final

SHADES: Final = 10
"""Steps of a heat map's colour."""
LIGHT: Final = {
    "ink": "#1d1e20", "soft": "#595b5e", "line": "#dcdad2", "grid": "#e7e5de",
    "neutral": "#85878a", "paper": "#fdfdfb", "low": "#f2f4f5", "high": "#0b3c66",
    "minus": "#b5500f", "zero": "#f4f3ee", "plus": "#14609a",
}  # fmt: skip
"""Colours of the light page, for files of their own."""
PALETTE: Final = ("#0f6cb0", "#c8500a", "#0b8a66", "#b2588f", "#a67c00", "#3b9fd6", "#5d5a8f")
"""Those of the recipes."""
_HEAT: Final = (("s", "low", "high"), ("p", "zero", "plus"), ("q", "zero", "minus"))


def standalone_style() -> str:
    """The style of figures outside a page, in the colours of a light one."""
    text = FIGURE_CSS
    for name, value in LIGHT.items():
        text = text.replace(f"var(--{name})", value)
    runs = "".join(f".c{at}{{color:{one}}}" for at, one in enumerate(PALETTE))
    font = ".fig{font-family:Helvetica,Arial,sans-serif;background:#fff}"
    heat = "".join(f".{name}{{fill:{one}}}" for name, one in heat_colours().items())
    return f"{font}{text}.cn{{color:{LIGHT['neutral']}}}{runs}{heat}"


FIGURE_CSS: Final = (
    ".fig text{font-size:11.5px;fill:var(--soft)}.fig .e{text-anchor:end}"
    ".fig .m{text-anchor:middle}"
    ".fig .i{fill:var(--ink)}.fig .g{stroke:var(--grid);fill:none}.fig .a{stroke:var(--neutral);"
    "fill:none}.fig .l{stroke:currentColor;fill:none;stroke-width:2;stroke-linejoin:round}"
    ".fig .l1{stroke:currentColor;fill:none;stroke-width:1;opacity:.5}.fig .w{stroke:currentColor;"
    "fill:none;stroke-width:1.5}.fig .p{fill:currentColor}.fig .o{fill:var(--paper);"
    "stroke:currentColor;stroke-width:1.5}.fig .b{fill:currentColor;opacity:.16}"
    ".fig .z{fill:var(--paper)}"
)


def heat_colours() -> dict[str, str]:
    """Shades of heat maps by class as plain colours: files of their own have no style sheet."""
    return {
        f"h{name}{at}": _mixed(LIGHT[low], LIGHT[high], at / SHADES)
        for name, low, high in _HEAT
        for at in range(SHADES + 1)
    }


def heat_page_css() -> str:
    """The same for a page, which mixes the colours of its theme."""
    return "".join(
        f".h{name}{at}{{fill:color-mix(in srgb,var(--{high}) {100 * at // SHADES}%,var(--{low}))}}"
        for name, low, high in _HEAT
        for at in range(SHADES + 1)
    )


def _mixed(first: str, second: str, share: float) -> str:
    pairs = ((int(first[i : i + 2], 16), int(second[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in pairs)

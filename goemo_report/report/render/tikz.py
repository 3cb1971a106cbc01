"""Figures as TikZ, turned from the SVG that the report draws: lines, shapes and texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

from goemo_report.report.render.figure_style import LIGHT, PALETTE, heat_colours
from goemo_report.report.render.text import latex_text

_SVG: Final = "{http://www.w3.org/2000/svg}"
_SCALE: Final = 0.66  # points a pixel: 720 pixels are the text of a page
_LETTER: Final = 11.5 * _SCALE
_STEP: Final = re.compile(r"([MLHVhvlzZ])([^MLHVhvlzZ]*)")
_NUMBER: Final = re.compile(r"-?(?:\d+\.?\d*|\.\d+)")
_MOVED: Final = re.compile(r"(\w+)\(([^)]*)\)")


class _Place(NamedTuple):
    """Where a shape that is drawn around 0 stands, and how large."""

    x: float = 0.0
    y: float = 0.0
    size: float = 1.0

    def at(self, x: float, y: float) -> str:
        """A point as TikZ writes it."""
        return f"({self.x + self.size * x:.2f},{self.y + self.size * y:.2f})"


def tikz(drawing: str) -> str:
    """A `tikzpicture` of an SVG that `svg` made; colours are those of a light page."""
    root = ET.fromstring(drawing)  # noqa: S314 # the report's own
    width, height = root.attrib["width"], root.attrib["height"]
    known = {**LIGHT, **{f"c{at}": one for at, one in enumerate(PALETTE)}, **heat_colours()}
    colours = "".join(
        f"\\definecolor{{goemo{name}}}{{HTML}}{{{value[1:].upper()}}}"
        for name, value in known.items()
    )
    style = f"\\sffamily\\fontsize{{{_LETTER:.1f}}}{{{1.2 * _LETTER:.1f}}}\\selectfont"
    opened = f"\\begin{{tikzpicture}}[x={_SCALE}pt,y=-{_SCALE}pt,line join=round,font={style}]"
    parts = [
        f"{{{colours}{opened}",
        f"\\useasboundingbox (0,0) rectangle ({width},{height});",
        *_drawn(root, "neutral"),
        "\\end{tikzpicture}}",
    ]
    return "\n".join(parts)


def _drawn(element: ET.Element, colour: str) -> Iterator[str]:
    for child in element:
        tag, names = child.tag.removeprefix(_SVG), child.get("class", "").split()
        if tag == "g":
            own = next((name for name in names if re.fullmatch(r"c\d", name)), "neutral")
            yield from _drawn(child, own)
        elif tag == "text":
            yield _text(child, names, colour)
        elif tag in {"path", "circle", "rect"} and (look := _look(child, names, colour)):
            yield f"\\path[{look}] {_outline(child, tag)};"


def _outline(element: ET.Element, tag: str) -> str:
    number = {key: float(element.get(key, "0")) for key in ("cx", "cy", "r", "x", "y")}
    if tag == "circle":
        return f"({number['cx']},{number['cy']}) circle[radius={number['r'] * _SCALE:.2f}pt]"
    if tag == "rect":
        right = number["x"] + float(element.attrib["width"])
        bottom = number["y"] + float(element.attrib["height"])
        return f"({number['x']},{number['y']}) rectangle ({right:.2f},{bottom:.2f})"
    return " ".join(_steps(element.attrib["d"], _place(element)))


def _place(element: ET.Element) -> _Place:
    moves = {name: _numbers(inner) for name, inner in _MOVED.findall(element.get("transform", ""))}
    x, y = (*moves.get("translate", ()), 0.0, 0.0)[:2]
    return _Place(x, y, next(iter(moves.get("scale", ())), 1.0))


def _numbers(text: str) -> list[float]:
    return [float(one) for one in _NUMBER.findall(text)]


def _steps(path: str, place: _Place) -> Iterator[str]:
    """Each step of an SVG path."""
    x = y = 0.0
    for command, inner in _STEP.findall(path):
        numbers = _numbers(inner)
        if command in "zZ":
            yield "-- cycle"
        elif command in "HVhv":
            for value in numbers:
                x = {"H": value, "h": x + value}.get(command, x)
                y = {"V": value, "v": y + value}.get(command, y)
                yield f"-- {place.at(x, y)}"
        else:
            for number, (a, b) in enumerate(zip(numbers[::2], numbers[1::2], strict=True)):
                x, y = (x + a, y + b) if command == "l" else (a, b)
                moves = command == "M" and not number
                yield place.at(x, y) if moves else f"-- {place.at(x, y)}"


def _look(element: ET.Element, names: list[str], colour: str) -> str:
    """Lines and fill of a mark, as the style sheet of figures has them."""
    dashed = ",dashed" if element.get("stroke-dasharray") else ""
    looks = {
        "g": "draw=goemogrid,line width=.5pt",
        "a": f"draw=goemoneutral,line width=.5pt{dashed}",
        "l": f"draw=goemo{colour},line width=1.2pt{dashed}",
        "l1": f"draw=goemo{colour},line width=.5pt,draw opacity=.5",
        "w": f"draw=goemo{colour},line width=.9pt",
        "p": f"fill=goemo{colour}",
        "o": f"draw=goemo{colour},fill=white,line width=.9pt",
        "b": f"fill=goemo{colour},fill opacity=.16",
        "h": "draw=goemoline,line width=1.2pt",
    }
    name = names[0] if names else ""
    if re.fullmatch(r"h[spq]\d+", name):
        return f"fill=goemo{name}"
    return looks.get(name, "")


def _text(element: ET.Element, names: list[str], colour: str) -> str:
    ends = {"e": "base east", "m": "base"}
    end = next((ends[name] for name in names if name in ends), "base west")
    ink = "white" if "z" in names else "goemoink" if "i" in names else "goemosoft"
    if "style" in element.attrib:
        ink = f"goemo{colour}"
    moves = dict(_MOVED.findall(element.get("transform", "")))
    turned = f",rotate={-_numbers(moves['rotate'])[0]:g}" if "rotate" in moves else ""
    words = latex_text("".join(element.itertext()))
    place = f"({element.attrib['x']},{element.attrib['y']})"
    return f"\\node[anchor={end},inner sep=0pt,text={ink}{turned}] at {place} {{{words}}};"

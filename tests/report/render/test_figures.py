"""Figures are valid Plotly figures; plotly's own classes are the judge."""

import xml.etree.ElementTree as ET
from typing import Any

import plotly.graph_objects as go
import pytest

from goemo_report.report.document import Axis, Column, Heatmap, Plot, Series, Table
from goemo_report.report.render.figures import PALETTE, SYMBOLS, figure
from goemo_report.report.render.svg import SMALL, svg
from goemo_report.report.render.svg_marks import plain
from goemo_report.report.render.text import plotly_text
from tests.report.render.example import HOSTILE, example_report

SVG = "http://www.w3.org/2000/svg"
TABLE = Table("t", "T", (Column("a", "A"),), ((1,),))
FIGURES = [
    block
    for report in (example_report(3), example_report(20, name=HOSTILE))
    for section in report.sections
    for block in section.blocks
    if isinstance(block, (Plot, Heatmap))
]


def _plot(*series: Series, x: Axis | None = None, y: Axis | None = None, **options: Any) -> Plot:
    return Plot("p", "P", "alt", x or Axis("x"), y or Axis("y"), series, TABLE, **options)


@pytest.mark.parametrize("block", FIGURES, ids=lambda block: block.id)
def test_plotly_takes_every_figure(block: Plot | Heatmap) -> None:
    drawing = figure(block)
    go.Figure({"data": drawing["data"], "layout": drawing["layout"]})  # raises for what is invalid


def test_interval_of_a_line_is_a_band() -> None:
    band, line = figure(_plot(Series("a", (1, 2), (3, 4), low=(2, None), high=(4, 5), colour=1)))[
        "data"
    ]
    assert (band["x"], band["y"]) == ([1, 1], [2, 4])  # the unknown interval is left out
    assert band["meta"] == {"colour": 1, "band": True}
    assert line["y"] == [3, 4]


def test_interval_of_points_is_whiskers() -> None:
    series = Series("a", ("x", "y"), (0.5, 0.25), "points", low=(0.25, None), high=(0.625, None))
    (trace,) = figure(_plot(series))["data"]
    assert trace["error_y"]["array"] == [0.125, None]
    assert trace["error_y"]["arrayminus"] == [0.25, None]


def test_horizontal_reads_from_the_top() -> None:
    x, y = Axis("F1", low=0, high=1), Axis("emotion", "category", categories=("joy", "grief"))
    series = Series("a", (0.5, 0.25), ("joy", "grief"), "bars", low=(0.25, 0), high=(0.75, 0.5))
    drawing = figure(_plot(series, x=x, y=y, horizontal=True))
    (trace,) = drawing["data"]
    assert trace["orientation"] == "h"
    assert (trace["x"], trace["y"]) == ([0.5, 0.25], ["joy", "grief"])
    assert trace["error_x"]["array"] == [0.25, 0.25]
    first, last = drawing["layout"]["yaxis"]["range"]
    assert first > last


def test_a_legend_does_not_repeat_the_axis() -> None:
    named = [Series(run, (0.5,), (run,), "points") for run in "ab"]
    other = [Series(run, (0.5,), ("joy",), "points") for run in "ab"]
    assert figure(_plot(*named, horizontal=True))["layout"]["showlegend"] is False
    assert figure(_plot(*other, horizontal=True))["layout"]["showlegend"] is True


def test_names_are_whole_and_inside_the_figure() -> None:
    names = ("WWWWWWWWWWWWWWWWWW", "naive <b>&x_1%", "joy")
    series = Series("a", (0.5, 0.2, 0.1), names, "points")
    y = Axis("", "category", categories=names)
    drawing = figure(_plot(series, y=y, x=Axis("x" * 90), horizontal=True))
    texts = ET.fromstring(svg(drawing, "f", "T", "alt", standalone=True)).iter(f"{{{SVG}}}text")
    placed = {one.text: float(one.get("x", "0")) for one in texts}
    assert placed[names[0]] > 18 * 0.94 * 11.5  # W is 0.94 of 11.5 pixels; ends there
    long = tuple(f"sentence-transformers/a-long-name, epochs {at}" for at in (2, 3))
    points = Series("a", (0.5, 0.2), (0.0, 1.0), "points")
    named = _plot(points, y=Axis("", ticks=tuple(enumerate(long))), horizontal=True)
    phone = svg(figure(named), "f", "T", "alt", width=SMALL)
    texts = ET.fromstring(phone).iter(f"{{{SVG}}}text")
    begin = {one.text: float(one.get("x", "0")) for one in texts if "e" not in one.get("class", "")}
    assert all(begin[plain(plotly_text(one))] < 20 for one in long)  # a line of their own


def test_no_two_of_twenty_runs_look_alike() -> None:
    series = [Series(str(i), (1,), (1,), "points", colour=i) for i in range(20)]
    traces = figure(_plot(*series))["data"]
    looks = {(t["meta"]["colour"] % len(PALETTE), t["marker"]["symbol"]) for t in traces}
    assert len(looks) == 20
    assert len(set(SYMBOLS)) == len(SYMBOLS)


def test_epochs_have_whole_ticks() -> None:
    axes = figure(_plot(Series("a", (1, 2, 3), (0.5, 0.2, 0.1))))["layout"]
    assert axes["xaxis"]["tickvals"] == [1, 2, 3]


def test_text_cannot_be_markup_or_a_template() -> None:
    drawing = figure(_plot(Series("<b>%{y}</b>", ("<i>",), (1,), notes=("<a href=x>",), group="&")))
    assert "<" not in str(drawing)
    assert all("hovertemplate" not in trace for trace in drawing["data"])


def test_heatmap_of_differences_is_symmetric_around_zero() -> None:
    values = ((0.1, -0.3), (None, float("nan")))
    heat = Heatmap("h", "H", "alt", ("a", "b"), ("A", "B"), values, TABLE, scale="diverging")
    trace = figure(heat)["data"][0]
    assert (trace["zmin"], trace["zmax"]) == (-0.3, 0.3)
    assert trace["z"] == [[0.1, -0.3], [None, None]]

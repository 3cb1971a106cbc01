"use strict";
/* Draws each figure with Plotly when it comes into view. */
{
  const draw = (plot) => {
    const { data, layout } = JSON.parse(plot.nextElementSibling.textContent);
    const size = { autosize: true, height: Math.max(260, layout.height + 90), margin: { t: 20, r: 20 } };
    for (const axis of ["xaxis", "yaxis"]) layout[axis] = { ...layout[axis], automargin: true };
    Plotly.newPlot(plot, data, { ...layout, ...size }, { responsive: true, displaylogo: false });
  };
  if (typeof Plotly === "undefined") {
    document.getElementById("missing").hidden = false;
  } else {
    const seen = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (isIntersecting) { seen.unobserve(target); draw(target); }
      }
    }, { rootMargin: "400px" });
    document.querySelectorAll(".plot").forEach((plot) => seen.observe(plot));
  }
}

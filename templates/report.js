"use strict";
/* Everything here is extra: the page reads without it. No request is ever made. */
(() => {
  const root = document.documentElement;
  const THEME = "goemo-report-theme";
  root.classList.add("js");

  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  /* --- Theme: automatic, light or dark; remembered where the browser allows it --- */

  const remembered = () => {
    try { return localStorage.getItem(THEME) || "auto"; } catch { return "auto"; }
  };
  const remember = (choice) => {
    try { localStorage.setItem(THEME, choice); } catch { /* files may have no storage */ }
  };
  const applyTheme = (choice) => {
    if (choice === "light" || choice === "dark") root.dataset.theme = choice;
    else delete root.dataset.theme;
  };
  applyTheme(remembered());

  const startThemes = () => {
    const group = $(".themes");
    if (!group) return;
    group.hidden = false;
    const show = (choice) => $$("button", group).forEach((button) =>
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice)));
    show(root.dataset.theme || "auto");
    group.addEventListener("click", (event) => {
      const choice = event.target.dataset.themeChoice;
      if (!choice) return;
      applyTheme(choice);
      remember(choice);
      show(choice);
      recolour();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => recolour());
  };

  /* --- Contents: the section that is being read --- */

  const startContents = () => {
    const links = new Map($$(".toc a").map((link) => [link.hash.slice(1), link]));
    const parts = $$("main section.part");
    if (!parts.length) return;
    const toc = $(".toc");
    const narrow = matchMedia("(max-width: 62rem)");
    const fit = () => { toc.open = !narrow.matches; };
    fit();
    narrow.addEventListener("change", fit);
    toc.addEventListener("click", (event) => { if (event.target.closest("a")) fit(); });
    let waiting = false;
    const mark = () => {
      waiting = false;
      let current = null;
      for (const part of parts) if (part.getBoundingClientRect().top < innerHeight * 0.35) current = part.id;
      const end = scrollY + innerHeight >= root.scrollHeight - 2;
      if (end && scrollY > 0) current = parts.at(-1).id;
      for (const [id, link] of links) {
        if (id === current) link.setAttribute("aria-current", "location");
        else link.removeAttribute("aria-current");
      }
    };
    addEventListener("scroll", () => {
      if (!waiting) { waiting = true; requestAnimationFrame(mark); }
    }, { passive: true });
    mark();
  };

  /* A link may point into a folded part or to a row on another page of a table. */
  const reveal = () => {
    let target = null;
    try { target = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch { return; }
    if (!target) return;
    for (let up = target; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
    if (target.tagName === "DETAILS" || target.closest("details")) target.scrollIntoView();
  };

  /* --- Tables: sort, filter, pages, copy --- */

  const text = (cell) => {
    if (!cell.querySelector("i, sup, [role=img], button, .anchor")) return cell.textContent.trim();
    const copy = cell.cloneNode(true);
    copy.querySelectorAll("i, sup, [role=img], .anchor").forEach((extra) => extra.remove());
    return copy.textContent.trim();
  };
  const number = (cell) => {
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    const plain = text(cell).replace(/\u2212/g, "-").replace(/[,<\u00a0 %+]/g, "");
    return plain === "" || plain === "\u2013" ? NaN : Number(plain);
  };
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  const sortRows = (table, column, descending) => {
    const numeric = table.classList.contains(`n${column + 1}`);
    const sign = descending ? -1 : 1;
    for (const body of table.tBodies) {
      const head = body.rows[0]?.classList.contains("g") ? body.rows[0] : null;
      const rows = [...body.rows].filter((row) => row !== head);
      const keyed = rows.map((row, index) => {
        const cell = row.cells[column];
        return { row, index, key: cell ? (numeric ? number(cell) : text(cell)) : NaN };
      });
      keyed.sort((a, b) => {
        if (!numeric) return sign * collator.compare(a.key, b.key) || a.index - b.index;
        if (Number.isNaN(a.key) || Number.isNaN(b.key)) return Number.isNaN(a.key) - Number.isNaN(b.key);
        return sign * (a.key - b.key) || a.index - b.index;
      });
      body.append(...keyed.map((entry) => entry.row));
    }
  };

  /* A link to every row that has an id, for the pointer; the address itself works for all. */
  const linkRows = (table) => {
    for (const row of table.querySelectorAll("tr[id]")) {
      const head = row.querySelector("th[scope=row]");
      const label = `Link to ${text(head)}`;
      head.append(make("a", { className: "anchor", href: `#${row.id}`, tabIndex: -1, ariaLabel: label, textContent: "#" }));
    }
  };

  const startSorting = (table, changed) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make("button", { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const numeric = table.classList.contains(`n${column + 1}`);
        const before = head.getAttribute("aria-sort");
        const descending = before ? before === "ascending" : numeric;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sortRows(table, column, descending);
        changed();
      });
    });
  };

  const quote = (value) => {
    const safe = /^[=+\-@\t\r]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : value;
    return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  };
  const bounds = (cell) => {
    const found = /\[([^,]+), ([^\]]+)\]/.exec(cell.querySelector("i")?.textContent ?? "");
    return found ? found.slice(1).map((bound) => bound.replace(/\u2212/g, "-")) : ["", ""];
  };
  /* Every row that the filter lets through, on whatever page; intervals as columns. */
  const asCsv = (table, rows) => {
    const heads = [...table.tHead.rows[0].cells];
    const wide = heads.map((_, column) => rows.some((row) => row.cells[column]?.querySelector("i")));
    const lines = [heads.flatMap((head, column) => {
      const name = text(head.querySelector("button") ?? head);
      return wide[column] ? [name, `${name} (low)`, `${name} (high)`] : [name];
    })];
    for (const row of rows) {
      lines.push([...row.cells].flatMap((cell, column) => {
        const numeric = table.classList.contains(`n${column + 1}`);
        const value = numeric ? text(cell).replace(/\u2212/g, "-").replace(/,/g, "") : text(cell);
        return wide[column] ? [value, ...bounds(cell)] : [value];
      }));
    }
    return lines.map((line) => line.map(quote).join(",")).join("\r\n") + "\r\n";
  };

  const copy = async (content, button) => {
    const label = button.textContent;
    let done = false;
    try {
      await navigator.clipboard.writeText(content);
      done = true;
    } catch {
      const area = make("textarea", { value: content });
      area.style.cssText = "position:fixed;opacity:0";
      document.body.append(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
    }
    button.textContent = done ? "Copied" : "Not copied";
    setTimeout(() => { button.textContent = label; }, 1600);
  };

  /* Choices for columns with few values, so that the errors of one emotion are one click away. */
  const facets = (table, rows) => [...table.tHead.rows[0].cells].flatMap((head, column) => {
    if (table.classList.contains(`n${column + 1}`) || table.classList.contains(`w${column + 1}`)) return [];
    const values = [...new Set(rows.map((row) => text(row.cells[column])))];
    if (values.length < 2 || values.length > 40 || values.length > rows.length / 2) return [];
    const select = make("select", {}, make("option", { value: "", textContent: "all" }),
      ...values.sort(collator.compare).map((value) => make("option", { value, textContent: value })));
    return [{ column, select, label: make("label", {}, text(head), select) }];
  }).slice(0, 4);

  const startTable = (box) => {
    const table = $("table", box);
    const all = () => [...table.tBodies].flatMap((body) => [...body.rows]).filter((row) => !row.classList.contains("g"));
    const rows = all();
    const tools = make("div", { className: "tools" });
    let shown = () => all();
    let update = () => {};
    if (box.dataset.page && rows.length > 5) ({ shown, update } = startBrowsing(box, table, rows, all, tools));
    linkRows(table);
    if (rows.length > 2) startSorting(table, () => update(true));
    const button = make("button", { type: "button", className: "push", textContent: "Copy as CSV" });
    button.addEventListener("click", () => copy(asCsv(table, shown()), button));
    if (!tools.childElementCount) tools.classList.add("solo");
    tools.append(button);
    box.prepend(tools);
  };

  const startBrowsing = (box, table, rows, all, tools) => {
    const size = Number(box.dataset.page);
    const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const choices = facets(table, rows);
    const field = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    tools.append(make("label", {}, "Filter", field), ...choices.map((choice) => choice.label));
    const status = make("span", { role: "status" });
    const back = make("button", { type: "button", textContent: "Previous" });
    const next = make("button", { type: "button", textContent: "Next" });
    box.append(make("div", { className: "tools pages" }, back, next, status));
    let page = 0;
    const shown = () => {
      const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      const chosen = choices.filter((choice) => choice.select.value);
      return all().filter((row) => wanted.every((word) => words.get(row).includes(word))
        && chosen.every(({ column, select }) => text(row.cells[column]) === select.value));
    };
    const update = (first) => {
      if (first) page = 0;
      const found = shown();
      page = Math.max(0, Math.min(page, Math.ceil(found.length / size) - 1));
      const visible = new Set(found.slice(page * size, (page + 1) * size));
      for (const row of rows) row.hidden = !visible.has(row);
      for (const body of table.tBodies) {
        if (body.rows[0]?.classList.contains("g")) body.rows[0].hidden = ![...body.rows].some((row) => visible.has(row));
      }
      back.disabled = page === 0;
      next.disabled = (page + 1) * size >= found.length;
      const range = found.length ? `${page * size + 1}\u2013${page * size + visible.size} of ` : "";
      status.textContent = `${range}${found.length} row${found.length === 1 ? "" : "s"}`
        + (found.length < rows.length ? `, filtered from ${rows.length}` : "");
    };
    field.addEventListener("input", () => update(true));
    choices.forEach(({ select }) => select.addEventListener("change", () => update(true)));
    back.addEventListener("click", () => { page -= 1; update(); });
    next.addEventListener("click", () => { page += 1; update(); });
    update(true);
    return { shown, update };
  };

  const startCode = () => $$(".code").forEach((box) => {
    const button = make("button", { type: "button", textContent: "Copy" });
    button.addEventListener("click", () => copy($("code", box).textContent, button));
    box.append(button);
  });

  /* --- Figures: unpacked and drawn when they come near, the rest when there is time --- */

  const unpack = async (id) => {
    const source = document.getElementById(id).textContent;
    const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%:()*+-;,=.?@^_`{|}~";
    const codes = new Uint8Array(128);
    for (let i = 0; i < 85; i += 1) codes[letters.charCodeAt(i)] = i;
    const length = source.length;
    const bytes = new Uint8Array(Math.ceil(length / 5) * 4);
    let at = 0;
    for (let i = 0; i < length; i += 5) {
      let word = 0;
      for (let j = i; j < i + 5; j += 1) word = word * 85 + (j < length ? codes[source.charCodeAt(j)] : 84);
      bytes[at] = word >>> 24;
      bytes[at + 1] = word >>> 16;
      bytes[at + 2] = word >>> 8;
      bytes[at + 3] = word;
      at += 4;
    }
    const whole = bytes.subarray(0, Math.floor((length * 4) / 5));
    const stream = new Blob([whole]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  let figures = [];
  let plots = [];
  let loading = null;
  const load = () => loading ??= (async () => {
    const [data, code] = await Promise.all([unpack("figures"), unpack("plotly")]);
    figures = JSON.parse(data);
    document.head.append(make("script", { textContent: code }));
    if (!window.Plotly) throw new Error("plotly.js did not start");
  })();

  const probe = make("span", { hidden: true });
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const faded = (value, alpha) => value.replace(/^rgb\((.*)\)$/, `rgba($1, ${alpha})`);
  const PALETTE = 7;

  const readTheme = () => {
    const names = ["paper", "panel", "ink", "soft", "line", "rule", "grid", "neutral", "low", "mid", "high", "minus", "zero", "plus"];
    const theme = Object.fromEntries(names.map((name) => [name, colour(name)]));
    theme.runs = Array.from({ length: PALETTE }, (_, index) => colour(`c${index}`));
    theme.font = getComputedStyle(document.body).fontFamily;
    return theme;
  };

  const paint = (trace, theme) => {
    const meta = trace.meta ?? {};
    const own = meta.colour === null || meta.colour === undefined ? theme.neutral : theme.runs[meta.colour % PALETTE];
    const painted = { ...trace };
    if (trace.type === "heatmap") {
      painted.colorscale = meta.scale === "diverging"
        ? [[0, theme.minus], [0.5, theme.zero], [1, theme.plus]]
        : [[0, theme.low], [0.5, theme.mid], [1, theme.high]];
      painted.colorbar = { thickness: 9, outlinewidth: 0, len: 1, lenmode: "fraction", ticklen: 0, tickfont: { size: 11, color: theme.soft } };
      return painted;
    }
    if (meta.band) return { ...painted, fillcolor: faded(own, 0.14), line: { width: 0, color: own } };
    if (meta.handle) return { ...painted, line: { ...trace.line, color: theme.line } };
    if (trace.line) painted.line = { ...trace.line, color: own };
    if (trace.marker) painted.marker = { ...trace.marker, color: own };
    if (trace.type === "bar") {
      const pattern = { ...trace.marker.pattern, bgcolor: own, fgcolor: theme.paper, solidity: 0.16, size: 7 };
      painted.marker = { ...painted.marker, pattern, line: { width: 0 } };
    }
    for (const side of ["error_x", "error_y"]) {
      if (trace[side]) painted[side] = { ...trace[side], thickness: 1.3, color: trace.type === "bar" ? theme.ink : own };
    }
    return painted;
  };

  const legendRows = (traces, width) => {
    const shown = traces.filter((trace) => trace.showlegend !== false && trace.visible !== false);
    const widest = Math.max(0, ...shown.map((trace) => (trace.name ?? "").length));
    const across = Math.max(1, Math.floor(width / (widest * 6.6 + 46)));
    return Math.ceil(shown.length / across);
  };

  /* Room for names below or above the columns where they are too long to lie flat. */
  const slant = (base, traces, width) => {
    if (base.xaxis.type !== "category") return 0;
    const names = [...new Set(traces.flatMap((trace) => (trace.meta?.handle ? [] : trace.x)))];
    const longest = Math.max(0, ...names.map((name) => String(name).length));
    return longest * 6.6 > (width - 130) / Math.max(1, names.length) ? longest * 5 : 0;
  };

  const dress = (figure, traces, theme, width, scale) => {
    const base = figure.layout;
    const narrow = width < 560;
    const axis = (own) => ({
      automargin: true, gridcolor: theme.grid, zeroline: false, linecolor: theme.line, ticks: "", ticklabelposition: "outside",
      ...own, title: { ...own.title, font: { size: 12, color: theme.soft }, standoff: 10 }, tickfont: { size: narrow ? 10 : 11.5, color: theme.soft },
      ...(slanted && own === base.xaxis ? { tickangle: -50 } : {}),
    });
    const slanted = slant(base, traces, width);
    const legend = base.showlegend ? legendRows(traces, width) * 21 + 14 : 0;
    const layout = {
      ...base, height: base.height * scale + legend + slanted, width, autosize: false,
      font: { family: theme.font, size: 12, color: theme.ink }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      margin: { l: 8, r: 8, t: 12 + legend, b: 8, pad: 4 }, xaxis: axis(base.xaxis), yaxis: axis(base.yaxis),
      hoverlabel: { bgcolor: theme.panel, bordercolor: theme.line, font: { family: theme.font, size: 12, color: theme.ink }, namelength: 40 },
      legend: { orientation: "h", x: 0, xanchor: "left", y: 1, yanchor: "bottom", font: { size: 11.5, color: theme.ink }, bgcolor: "rgba(0,0,0,0)", itemsizing: "trace" },
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom", bargap: 0.28, bargroupgap: 0.06, hovermode: base.hovermode ?? "closest",
    };
    layout.shapes = (base.shapes ?? []).map((shape) => ({ ...shape, line: { ...shape.line, color: theme.neutral } }));
    return layout;
  };

  const chosen = (figure, plot) => {
    const select = plot.closest("figure").querySelector(".choice select");
    if (!figure.choices || !select) return figure.data;
    return figure.data.filter((trace) => trace.meta?.group === undefined || trace.meta.group === select.selectedIndex);
  };

  const draw = (plot, theme = readTheme(), width = plot.clientWidth, scale = 1) => {
    const figure = figures[Number(plot.dataset.figure)];
    const traces = chosen(figure, plot).map((trace) => paint(trace, theme));
    const layout = dress(figure, traces, theme, width, scale);
    const canvas = plot.querySelector(".canvas") ?? plot.appendChild(make("div", { className: "canvas" }));
    window.Plotly.react(canvas, traces, layout, { displayModeBar: false, displaylogo: false, responsive: false, showTips: false });
    plot.classList.add("drawn");
    plot.style.minHeight = "0";
    plot.drawnWidth = width;
  };

  const failed = (plot, error) => {
    plot.classList.add("failed");
    const note = plot.querySelector(".fallback");
    if (note) note.textContent = `This figure could not be drawn here (${error.message}). Its table is below.`;
  };
  const show = async (plot) => {
    if (plot.classList.contains("drawn") || !plot.clientWidth) return;
    try {
      await load();
      if (!plot.classList.contains("drawn")) draw(plot);
    } catch (error) {
      failed(plot, error);
    }
  };
  const redraw = (width) => {
    const theme = readTheme();
    for (const plot of plots) if (plot.classList.contains("drawn")) draw(plot, theme, width);
  };
  const recolour = () => { if (figures.length) redraw(); };

  const startFigures = () => {
    plots = $$(".plot");
    if (!plots.length) return;
    document.body.append(probe);
    const watch = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) { watch.unobserve(entry.target); show(entry.target); }
    }, { rootMargin: "700px" });
    plots.forEach((plot) => watch.observe(plot));
    /* A browser without a window prints or shoots the page at its load event. A frame that is being
       written holds that back until all figures are there; no reader is kept waiting. */
    const windowless = /Headless/.test(navigator.userAgent);
    const hold = windowless && document.body.appendChild(make("iframe", { hidden: true }));
    if (hold) hold.contentDocument?.open();
    const later = (work) => (window.requestIdleCallback ?? setTimeout)(work, { timeout: 50 });
    const rest = () => {
      const plot = plots.find((one) => !one.matches(".drawn, .failed") && one.clientWidth);
      if (plot) return void show(plot).then(() => later(rest));
      root.dataset.figures = "drawn";
      if (hold) { hold.contentDocument?.close(); hold.remove(); }
    };
    later(rest);
    $$(".choice").forEach((choice) => {
      choice.hidden = false;
      $("select", choice).addEventListener("change", () => draw($(".plot", choice.closest("figure"))));
    });
    let timer = 0;
    addEventListener("resize", () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const theme = readTheme();
        for (const plot of plots) if (plot.classList.contains("drawn") && plot.drawnWidth !== plot.clientWidth) draw(plot, theme);
      }, 150);
    });
  };

  /* Paper is light and 178 mm wide whatever the screen is. */
  const PRINT_WIDTH = 670;
  let before = null;
  addEventListener("beforeprint", () => {
    if (!plots.length || !figures.length) return;
    before = root.dataset.theme ?? "auto";
    applyTheme("light");
    const theme = readTheme();
    for (const plot of plots) draw(plot, theme, PRINT_WIDTH, 0.86);
  });
  addEventListener("afterprint", () => {
    if (before === null) return;
    applyTheme(before);
    before = null;
    redraw();
  });

  document.addEventListener("DOMContentLoaded", () => {
    startThemes();
    startContents();
    $$(".table").forEach(startTable);
    startCode();
    startFigures();
    addEventListener("hashchange", reveal);
    reveal();
  });
})();

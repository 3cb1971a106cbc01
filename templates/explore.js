/* The reader's own questions to the page's data: which two runs, at which thresholds. All of it is
   in the address, after a "?" behind the name of a part, so that a view can be sent. */
(() => {
  const { $, $$, make, button, text, copy, HALF } = goemo;
  const MINUS = "\u2212";
  const show = (value, digits = 3) =>
    (value === null || value === undefined || Number.isNaN(value) ? "\u2013" : value.toFixed(digits).replace("-", MINUS));
  /* A difference that is not zero has the digits that it takes not to read as zero. */
  const signed = (value) => {
    const size = Math.abs(value);
    const digits = size > 1e-6 && size < 5e-4 ? Math.ceil(-Math.log10(size)) : 3;
    return (value > 0 ? "+" : "") + show(value, digits);
  };
  const percent = (value) => (value === null ? "\u2013" : `${show(100 * value, 1)}%`);

  /* --- What is asked: A and B, the thresholds, what is open --- */

  const NOTHING = { a: "", b: "", t: "", see: "", who: "", emotion: "", find: "" };
  const WORDS = Object.keys(NOTHING);
  const asked = { ...NOTHING, own: new Map() };
  const watchers = [];
  const slow = [];
  let painted = false;
  let unknown = ""; // what the address asks for and the page does not have
  let data = null;

  const written = () => {
    const words = new URLSearchParams();
    for (const word of WORDS) if (asked[word]) words.set(word, asked[word]);
    for (const [label, threshold] of asked.own) words.set(`t.${data.labels[label]}`, threshold);
    const part = location.hash.slice(1).split("?")[0];
    const text = words.toString();
    return `#${part}${text ? `?${text}` : ""}`;
  };
  const threshold = (word) => {
    if (word === "tuned" || word === "one") return word;
    const value = Math.round(100 * Number(word)) / 100;
    return word !== "" && value >= 0 && value <= 1 ? value : null;
  };
  const obey = () => {
    const words = new URLSearchParams(location.hash.split("?").slice(1).join("?"));
    for (const word of WORDS) asked[word] = words.get(word) ?? "";
    const known = new Set(["", ...sides().map((side) => side.key)]);
    const wrong = ["a", "b"].filter((word) => !known.has(asked[word]));
    if (asked.t && threshold(asked.t) === null) wrong.push("t");
    unknown = wrong.map((word) => `${word}=${asked[word]}`).join(", ");
    for (const word of wrong) asked[word] = "";
    asked.own = new Map();
    for (const [word, text] of words) {
      const label = word.startsWith("t.") ? data.labels.indexOf(word.slice(2)) : -1;
      if (label >= 0 && threshold(text) !== null) asked.own.set(label, threshold(text));
    }
  };
  const tell = () => [...watchers, ...(painted ? slow : [])].forEach((watch) => watch());

  /* A choice is a step that "back" undoes; what is dragged or typed at one `place` is one step. */
  let before = "";
  const ask = (changes, place = "") => {
    Object.assign(asked, changes);
    unknown = "";
    const address = written();
    const same = address === location.hash || (place && place === before);
    history[same ? "replaceState" : "pushState"]({ asked: true }, "", address);
    before = place;
    tell();
  };
  const startAddress = () => {
    obey();
    history.replaceState({ asked: true }, "", location.href);
    addEventListener("popstate", (event) => {
      before = "";
      const followed = !event.state && !location.hash.includes("?");
      if (followed) history.replaceState({ asked: true }, "", written()); // a link to a part keeps the rest
      else obey();
      tell();
    });
  };

  /* --- A run, or the mean of a recipe's seeds --- */

  const sides = () => [
    ...data.recipes.map((recipe, at) => ({
      key: `recipe${at + 1}`, title: `${recipe.title}, mean of ${recipe.runs.length} seeds`, runs: recipe.runs,
    })),
    ...data.runs.map((run) => ({ key: run.key, title: run.short, runs: [run.at] })),
  ].map((side) => ({ ...side, runs: side.runs.map((at) => data.runs[at]) }));
  const sideOf = (key, otherwise) => {
    const all = sides();
    return all.find((side) => side.key === key)
      ?? (otherwise === null ? null : all.find((side) => side.key === data.runs[otherwise].key));
  };
  const a = () => sideOf(asked.a, data.a);
  const b = () => sideOf(asked.b, data.b);
  const counted = (side) => side.runs.find((run) => run.counts) ?? null;
  const close = (side) => side.runs.find((run) => run.likely) ?? null;
  const half = (side) => {
    const all = side.runs.map(data.half);
    const labels = data.labels.map((_, label) => label).filter((label) => all.every((one) => one.has(label)));
    return new Map(labels.map((label) => [label, goemo.mean(all.map((one) => one.get(label).f1))]));
  };

  const startBar = () => {
    const choice = (word, otherwise) => {
      const groups = [["Recipes", (side) => side.runs.length > 1], ["Runs", (side) => side.runs.length === 1]];
      const select = make("select", { ariaLabel: word.toUpperCase() });
      for (const [name, belongs] of groups) {
        const own = sides().filter(belongs);
        if (own.length) {
          select.append(make("optgroup", { label: name },
            ...own.map((side) => make("option", { value: side.key, textContent: side.title }))));
        }
      }
      select.addEventListener("change", () =>
        ask({ [word]: select.value === data.runs[otherwise].key ? "" : select.value }));
      watchers.push(() => { select.value = (word === "a" ? a() : b()).key; });
      return make("label", {}, make("b", { textContent: word.toUpperCase() }), select);
    };
    const link = button("Copy link", () => copy(location.href, link));
    const bar = make("div", { className: "pick", role: "group", ariaLabel: "Runs to compare" }, choice("a", data.a));
    if (data.b !== null) {
      bar.append(choice("b", data.b), button("Swap", () => ask({ a: b().key, b: a().key })));
    }
    const reset = button("Reset", () => ask({ ...NOTHING, own: new Map() }));
    watchers.push(() => { reset.hidden = !Object.keys(NOTHING).some((word) => asked[word]) && !asked.own.size; });
    const status = make("span", { role: "status" });
    watchers.push(() => { status.textContent = unknown && `Not in this page: ${unknown}`; });
    bar.append(link, reset, status);
    $(".bar").insertBefore(bar, $(".themes"));
  };

  /* The recipes of A and B stand out in figures; their rows in tables. */
  const startHighlight = () => {
    const groups = $$("main .fig > g[class]").filter((group) => /^c\d$/.test(group.classList[0]));
    const names = new Map(data.runs.flatMap((run) => [[run.name, run], [run.short, run], [run.key, run]]));
    let runOf = null;
    watchers.push(() => {
      const chosen = [a(), b()].filter(Boolean);
      const colours = new Set(chosen.flatMap((side) => side.runs.map((run) => `c${run.colour}`)));
      const own = Boolean(asked.a || asked.b);
      if (!own && !runOf) return;
      runOf ??= new Map($$("main .table:not([data-page]) tbody tr").map((row) => [row, names.get(text(row.cells[0]))]));
      for (const group of groups) group.classList.toggle("dim", own && !colours.has(group.classList[0]));
      for (const [row, run] of runOf) {
        row.classList.toggle("is-a", own && Boolean(run) && chosen[0].runs.includes(run));
        row.classList.toggle("is-b", own && Boolean(run) && Boolean(chosen[1]?.runs.includes(run)));
      }
    });
  };

  /* --- Tables and blocks that the script makes --- */

  const row = (first, ...others) =>
    make("tr", {}, make("th", { scope: "row" }, first), ...others.map((content) => make("td", {}, content)));
  const table = (heads, rows, label) => {
    const numeric = heads.map((head, at) => (head.number ? `n${at + 1}` : "")).filter(Boolean).join(" ");
    const made = make("table", { className: numeric || "t" }, make("caption", { className: "sr", textContent: label }),
      make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col", textContent: head.title })))),
      make("tbody", {}, ...rows.map((cells) => row(...cells))));
    return make("div", { className: "table" }, make("div", { className: "scroll", role: "group", tabIndex: 0, ariaLabel: label }, made));
  };
  const title = (text) => make("h4", { textContent: text });
  const block = (id, ...children) => make("section", { className: "block explore", id }, ...children);

  /* --- Thresholds: one for all or one a label, tuned or by hand --- */

  const currentThresholds = (run) => {
    const all = threshold(asked.t) ?? HALF;
    const known = (one) => (run.tuned || typeof one === "number" ? one : HALF);
    return run.labels.map((label) => known(asked.own.get(label) ?? all));
  };
  const thresholdsDocument = (run) => {
    const thresholds = currentThresholds(run);
    const kinds = new Set(thresholds);
    const [only] = kinds;
    const exact = kinds.size === 1 && typeof only === "string";
    const protocol = kinds.size > 1 || only === "tuned" ? "per-class" : only === "one" ? "global" : "fixed";
    const fixed = protocol === "fixed" ? `fixed ${only}` : "chosen by hand in the report";
    return {
      schema_version: data.schema_version,
      rule: "p >= threshold",
      entries: [{
        run: run.id,
        protocol,
        description: exact ? run.descriptions[only === "tuned" ? 0 : 1] : fixed,
        split: exact ? "val" : null,
        n: exact ? run.validation.n : 0,
        labels: data.labelsOf(run),
        thresholds: thresholds.map((one, at) => data.valueOf(run, at, one)),
        fallback: only === "tuned" && exact ? run.fallback.map((at) => data.labels[run.labels[at]]) : [],
      }],
    };
  };

  const SPLIT_BY = ["macro_precision", "macro_recall", "micro_precision", "micro_recall"];
  const slider = (label, changed) => {
    const range = make("input", { type: "range", min: 0, max: 100, step: 1, ariaLabel: label });
    range.addEventListener("input", () => changed(Number(range.value) / 100, label));
    return range;
  };
  const set = (range, value) => {
    range.value = Math.round(100 * value);
    range.setAttribute("aria-valuetext", show(value));
  };

  const startThresholds = () => {
    const section = $("#thresholds");
    if (!section) return;
    const head = title("");
    const all = slider("Threshold for all", (value, place) => ask({ t: String(value), own: new Map() }, place));
    const said = make("output", {});
    const choose = (words, t) => button(words, () => ask({ t, own: new Map() }));
    const tuned = [choose("One, tuned", "one"), choose(`One per ${data.noun}, tuned`, "tuned")];
    const json = button("Copy thresholds as JSON", () =>
      copy(`${JSON.stringify(thresholdsDocument(counted(a())), null, 2)}\n`, json), { className: "push" });
    const tools = make("div", { className: "tools" },
      make("label", {}, "Threshold for all", all), said, choose("0.5", ""), ...tuned, json);
    const results = make("div", {});
    const each = make("div", {});
    const note = make("p", { className: "caption" });
    const fold = make("details", { className: "fold" },
      make("summary", { textContent: `Threshold of each ${data.noun}` }), each);
    section.insertBefore(block("threshold-slider", head, note, tools, results, fold), $(".lead, figure, .row", section));

    const rowsOf = { run: null, update: null };
    const show_ = () => {
      const run = counted(a());
      for (const part of [tools, results, fold]) part.hidden = !run;
      if (!run) {
        head.textContent = `Thresholds of ${a().title}`;
        note.textContent = close(a())
          ? "It has labels without probabilities: there is no threshold to choose."
          : "The page has the counts of the runs of the best recipes alone; goemo-report thresholds tunes every run.";
        return;
      }
      head.textContent = `Thresholds of ${run.short}`;
      const thresholds = currentThresholds(run);
      const alike = thresholds.every((one) => one === thresholds[0]);
      const value = data.valueOf(run, 0, thresholds[0]);
      if (alike && thresholds[0] !== "tuned") set(all, value);
      said.textContent = alike ? (thresholds[0] === "tuned" ? "tuned" : show(value)) : "by hand";
      for (const one of tuned) one.disabled = !run.tuned;
      note.textContent = run.tuned
        ? `Tuned: on validation, exactly. Choose by the row of validation; ${data.split} only tells what it gives.`
        : "Without validation predictions nothing is tuned: what looks best on the texts it is judged on is a bound.";
      const splits = [[data.split, "counts"], ["validation", "validation"]].filter(([, split]) => run[split]);
      const unknown = splits.map(([name, split]) => [name, data.uncovered(run, split, thresholds)]).filter(([, why]) => why);
      if (!alike && unknown.length) {
        note.textContent += ` No coverage of different thresholds: ${unknown.map(([name, why]) => `${name}, because ${why}`).join("; ")}.`;
      }
      const judged = new Map(splits.map(([, split]) => [split, data.judge(run, split, thresholds)]));
      const overall = splits.map(([name, split]) => {
        const found = judged.get(split).overall;
        return [name, show(found.macro_f1), show(found.micro_f1), percent(found.coverage),
          ...SPLIT_BY.map((key) => show(found[key]))];
      });
      const heads = ["texts", "macro F1", "micro F1", "coverage", ...SPLIT_BY.map((key) => key.replace("_", " "))];
      results.replaceChildren(table(heads.map((text, at) => ({ title: text, number: at > 0 })), overall,
        "Metrics at these thresholds"));
      if (!fold.open) return;
      if (rowsOf.run !== run) Object.assign(rowsOf, { run, update: startRows(run, each) });
      rowsOf.update(thresholds, judged);
    };
    fold.addEventListener("toggle", show_);
    watchers.push(show_);
  };

  /* One row a label, made once a run: a slider keeps the focus while it is moved. */
  const startRows = (run, box) => {
    const validated = Boolean(run.validation);
    const heads = [data.noun, "threshold", "at", "F1", "to 0.5", ...(validated ? ["F1, validation"] : []),
      "precision", "recall", "predicted", "support"];
    const rows = run.labels.map((label) => {
      const range = slider(`Threshold of ${data.labels[label]}`, (value, place) =>
        ask({ own: new Map([...asked.own, [label, value]]) }, place));
      const cells = heads.slice(2).map(() => document.createTextNode(""));
      return { range, cells, row: [goemo.opener?.(label) ?? data.labels[label], range, ...cells] };
    });
    box.replaceChildren(table(heads.map((text, at) => ({ title: text, number: at > 1 })),
      rows.map((one) => one.row), `Threshold of each ${data.noun}`));
    return (thresholds, judged) => rows.forEach(({ range, cells }, at) => {
      const value = data.valueOf(run, at, thresholds[at]);
      const now = judged.get("counts").each[at];
      const change = now.f1 - data.ofLabel(run, "counts", at, HALF).f1;
      const shown = [show(value), show(now.f1), signed(change),
        ...(validated ? [show(judged.get("validation").each[at].f1)] : []), show(now.precision), show(now.recall),
        now.predicted.toLocaleString("en"), now.support.toLocaleString("en")];
      set(range, value);
      shown.forEach((text, cell) => { cells[cell].data = text; });
    });
  };

  Object.assign(goemo, {
    asked, ask, watchers, slow, a, b, counted, close, half, row, table, title, block, show, signed, percent,
    currentThresholds, thresholdsDocument, parts: [startBar, startThresholds, startHighlight],
  });

  document.addEventListener("DOMContentLoaded", async () => {
    const found = $("#page-data");
    if (!found) return;
    data = goemo.data = await goemo.read(found.textContent);
    startAddress();
    for (const start of goemo.parts) start();
    tell();
    goemo.reveal(true);
    const there = scrollY;
    /* What needs the texts comes after the first paint, one piece at a time. */
    const rest = [...slow, () => {
      painted = true;
      slow.forEach((watch) => watch()); // nothing to do where nothing was asked meanwhile
      if (scrollY === there) goemo.reveal(true);
      document.documentElement.dataset.explored = "";
    }];
    const next = () => { rest.shift()(); if (rest.length) setTimeout(next); };
    requestAnimationFrame(() => setTimeout(next));
  });
})();

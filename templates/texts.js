/* A page of each label, the texts behind a figure, and the error browser: one row a text. Texts are
   put in as text, never as markup. */
(() => {
  const { $, $$, make, button, watchers, ask, asked, show, percent, table, draw, px, startPages, HALF, CUTS } = goemo;
  const FIRST = 20;
  const TENTH = 10;
  const MOST_LIFT = 3; // eight times

  const { format: whole } = new Intl.NumberFormat("en"); // many times as fast as toLocaleString
  const plural = (value, word) => `${whole(value)} ${word}${value === 1 ? "" : "s"}`;
  const name = (label) => goemo.data.labels[label];
  const names = (labels) => labels.map(name).join(", ") || "(none)";
  const see = (...parts) => parts.join(".");
  const caption = (text) => make("p", { className: "caption", textContent: text });
  const compared = () => [["A", goemo.close(goemo.a())], ["B", goemo.data.b === null ? null : goemo.close(goemo.b())]]
    .filter(([, run]) => run);

  /* --- What opens a page of a label: rows and dots --- */

  const opener = (label) => button(name(label), () => ask({ see: see("label", label) }), { className: "plain" });
  const opens = (mark, label, said) => {
    for (const [key, value] of Object.entries({ tabindex: 0, role: "button", "aria-label": said })) mark.setAttribute(key, value);
    mark.classList.add("opens");
    const open = () => ask({ see: see("label", label) });
    mark.addEventListener("click", open);
    mark.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      open();
    });
  };
  const headsOf = (one) => [...(one.tHead?.rows[0].cells ?? [])].map((cell) => cell.textContent.trim());
  const startRows = () => {
    const labels = new Map(goemo.data.labels.map((label, at) => [label, at]));
    const open = (one) => {
      const column = headsOf(one).findIndex((head) => head === goemo.data.noun);
      if (column < 0) return;
      for (const body of one.tBodies) {
        for (const row of body.rows) {
          const text = row.cells[column]?.firstChild;
          const label = text?.nodeType === Node.TEXT_NODE ? labels.get(text.data.trim()) : undefined;
          if (label !== undefined) text.replaceWith(opener(label));
        }
      }
    };
    for (const one of $$("main .table:not([data-scripted]) table")) if (!one.closest("details:not([open])")) open(one);
    goemo.onTable.push(open);
  };
  const startDots = () => {
    const byLength = goemo.data.labels.map((label, at) => [`, ${label}, `, at]).sort((one, other) => other[0].length - one[0].length);
    for (const title of $$("main .fig title")) {
      const mark = title.parentElement;
      if (mark.tagName === "svg") continue;
      const said = title.textContent;
      const found = byLength.find(([label]) => `, ${said}, `.includes(label));
      if (!found) continue;
      opens(mark, found[1], said);
      mark.ownerSVGElement.setAttribute("role", "group");
    }
  };

  /* --- Texts --- */

  const p = (run, row, label) => {
    const found = goemo.data.probability(run, row, label);
    if (found.exact) return show(found.low);
    return found.low === 0 ? `< ${show(found.high, 2)}` : `${show(found.low, 2)}\u2026`;
  };
  const textLine = ({ row, label }, runs) => {
    const { data } = goemo;
    const words = runs.map(([key, run]) =>
      `${key}: ${names(data.labelsAt(row, (at, one) => data.isPredicted(run, at, one)))}`
      + (label === undefined || !run.counts ? "" : ` (${name(label)} ${p(run, row, label)})`));
    const known = data.textOf.get(row);
    return make("li", {},
      make("p", { textContent: known || `Row ${whole(row + 1)} of the prediction file`, className: known ? "" : "caption" }),
      caption(`true: ${names(data.labelsAt(row, data.isTrue))} \u00b7 ${words.join(" \u00b7 ")}`));
  };
  const known = (list) => list.filter(({ row }) => goemo.data.textOf.has(row));
  /* The texts of a list that the page has, the surest first, and how many there are besides. */
  const textList = (list, runs, most = FIRST) => {
    const { data } = goemo;
    const shown = known(list);
    const sure = (one) => Math.max(...runs.map(([, run]) => (one.label === undefined ? 0 : data.sure(run, one.row, one.label))));
    const ordered = shown.map((one) => [sure(one), one]).sort((one, other) => other[0] - one[0]).map(([, one]) => one);
    const items = make("ul", { className: "texts" }, ...ordered.slice(0, most).map((one) => textLine(one, runs)));
    const left = ordered.length - most;
    const more = left > 0 && most >= FIRST ? [button(`Show ${Math.min(left, 80)} more`, (event) => {
      items.append(...ordered.slice(most, most + 80).map((one) => textLine(one, runs)));
      event.target.remove();
    })] : [];
    const absent = list.length - shown.length;
    const note = absent && most >= FIRST ? [caption(`${plural(absent, "more text")} not in this page, which has `
      + `${plural(data.textOf.size, "text")} that a run gets wrong or that look mislabelled.`)] : [];
    return [items, ...more, ...note];
  };
  const examples = (list, runs, most) => textList(list, runs.map((run, at) => ["AB"[at], run]), most).slice(0, 1);

  /* --- The page of a label --- */

  const curve = (runs, label) => {
    const size = goemo.isNarrow() ? 280 : 320;
    const at = ([recall, precision]) => `${px(40 + (size - 56) * recall)} ${px(10 + (size - 56) * (1 - precision))}`;
    const picture = draw("svg", { class: "fig", viewBox: `0 0 ${size} ${size}`, width: size, height: size, role: "img",
      "aria-label": `Precision over recall of ${name(label)} at ${CUTS} thresholds; the dots are at the chosen ones.` });
    for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
      picture.append(draw("path", { class: "g", d: `M${at([tick, 0])}L${at([tick, 1])}M${at([0, tick])}L${at([1, tick])}` }));
      if (tick % 0.5) continue;
      const [x, y] = at([tick, tick]).split(" ");
      picture.append(draw("text", { class: "m", x, y: size - 30 }, String(tick)), draw("text", { class: "e", x: 34, y: Number(y) + 4 }, String(tick)));
    }
    picture.append(draw("text", { class: "m", x: size / 2, y: size - 8 }, "recall"),
      draw("text", { class: "m", x: 10, y: size / 2, transform: `rotate(-90 10 ${size / 2})` }, "precision"));
    for (const [, run] of runs.filter(([, one]) => one.counts)) {
      const place = run.labels.indexOf(label);
      const points = [...Array(CUTS).keys()].map((cut) => goemo.data.ofLabel(run, "counts", place, cut / 100))
        .filter((one) => one.predicted).map((one) => at([one.recall, one.precision]));
      const now = goemo.data.ofLabel(run, "counts", place, goemo.currentThresholds(run)[place]);
      const [cx, cy] = at([now.recall, now.precision]).split(" ");
      picture.append(draw("g", { class: `c${run.colour ?? "n"}` }, draw("path", { class: "l", d: `M${points.join("L")}` }),
        draw("circle", { class: "p", cx, cy, r: 5 })));
    }
    return picture;
  };
  const metricsTable = (runs, label) => table(
    ["run", "threshold", "precision", "recall", "F1", "predicted", "support"].map((title, at) => ({ title, number: at > 0 })),
    runs.filter(([, run]) => run.counts).flatMap(([key, run]) => {
      const place = run.labels.indexOf(label);
      const chosen = goemo.currentThresholds(run)[place];
      const wanted = [...new Set([HALF, chosen, ...(run.tuned ? ["tuned"] : [])])];
      return wanted.map((threshold) => {
        const found = goemo.data.ofLabel(run, "counts", place, threshold);
        const word = threshold === "tuned" ? ", tuned" : threshold === "one" ? ", one tuned" : "";
        return [`${key}: ${run.short}`, show(goemo.data.valueOf(run, place, threshold)) + word, show(found.precision),
          show(found.recall), show(found.f1), whole(found.predicted), whole(found.support)];
      });
    }), `Metrics of ${name(label)}`);
  /* How often what gets a p in each tenth is true, from the counts at the cuts. */
  const binsTable = (run, label) => {
    const places = label === null ? run.labels.map((_, place) => place) : [run.labels.indexOf(label)];
    const at = (key, cut) => (cut >= CUTS - 1 ? 0 : goemo.sum(places.map((place) => goemo.data.counts(run, "counts")[key][place][cut])));
    const rows = [...Array(TENTH).keys()].map((tenth) => {
      const low = TENTH * tenth;
      const size = at("predicted", low) - at("predicted", low + TENTH);
      const share = size ? (at("tp", low) - at("tp", low + TENTH)) / size : null;
      const open = size && run.likely && low + TENTH > run.likely.floor
        ? button(whole(size), () => ask({ see: see("bin", label ?? "all", low) }), { className: "plain", ariaLabel: `${plural(size, "text")} with p from ${low / 100}` })
        : whole(size);
      return [`${show(low / 100, 1)} to ${show((low + TENTH) / 100, 1)}`, open, percent(share)];
    });
    return table(["p", "texts", "share true"].map((title, place) => ({ title, number: place > 0 })), rows, "Share of true labels by probability");
  };
  const confused = (run, label) => {
    const { data } = goemo;
    const found = data.confusion(run);
    const list = (head, of, link) => {
      const most = data.labels.map((_, other) => [other, of(other)]).filter(([, texts]) => texts > 0)
        .sort((one, other) => other[1] - one[1]).slice(0, 5);
      const rows = most.map(([other, texts]) => [name(other), button(show(texts, texts % 1 ? 1 : 0), () => ask({ see: link(other) }),
        { className: "plain", ariaLabel: `Texts, ${head} ${name(other)}` })]);
      return rows.length ? table([{ title: head }, { title: "texts", number: true }], rows, head) : caption(`${head}: none`);
    };
    return make("div", { className: "two" },
      list(`missed, and given instead`, (other) => found[label * data.size + other], (other) => see("miss", label, other)),
      list(`given, instead of`, (other) => found[other * data.size + label], (other) => see("miss", other, label)));
  };
  const labelPage = (label) => {
    const { data } = goemo;
    const runs = compared();
    const parts = [metricsTable(runs, label)];
    const [key, run] = runs[0] ?? [];
    if (run?.counts) {
      parts.push(make("div", { className: "two" }, curve(runs, label), make("div", {},
        make("h3", { textContent: `${key}: is p what it says?` }), binsTable(run, label))));
    }
    if (run) {
      const wrong = data.every((row) => data.isWrong(run, row, label)).map((row) => ({ row, label }));
      const missed = wrong.filter(({ row }) => data.isTrue(row, label)).length;
      parts.push(make("h3", { textContent: `${key}: what it is confused with, at ${HALF}` }), confused(run, label),
        make("h3", { textContent: `${key}: errors at ${HALF}` }),
        caption(`${plural(wrong.length - missed, "false positive")}, ${plural(missed, "false negative")}; the surest first.`),
        ...textList(wrong, runs, FIRST));
    }
    return [name(label), parts];
  };

  /* --- Lists of texts behind a number --- */

  const views = {
    label: (label) => labelPage(label),
    bins: () => {
      const run = goemo.counted(goemo.a());
      return run && [`Probabilities of ${run.short}: are they what they say?`, [
        caption(`All pairs of a text and ${goemo.data.noun}.`), binsTable(run, null)]];
    },
    bin: (label, low, all) => {
      const { data } = goemo;
      const [[, run]] = compared();
      const wanted = all ? run.labels : [label];
      const list = wanted.flatMap((one) => data.likely(run)[run.labels.indexOf(one)]
        .filter(({ cut }) => cut >= low && cut < low + TENTH).map(({ row }) => ({ row, label: one })));
      return [`${all ? "Texts" : name(label)} with p from ${show(low / 100, 1)} to ${show((low + TENTH) / 100, 1)}: ${run.short}`,
        textList(list, compared())];
    },
    miss: (missed, given) => {
      const { data } = goemo;
      const [[, run]] = compared();
      const list = data.every((row) => data.isTrue(row, missed) && !data.isPredicted(run, row, missed)
        && !data.isTrue(row, given) && data.isPredicted(run, row, given)).map((row) => ({ row, label: given }));
      return [`${run.short} misses ${name(missed)} and gives ${name(given)}: ${plural(list.length, "text")}`, textList(list, compared())];
    },
    both: (first, second) => {
      const { data } = goemo;
      const [[, run]] = compared();
      const both = (holds) => data.every((row) => holds(row, first) && holds(row, second)).map((row) => ({ row }));
      const parts = [["predicted", both((row, label) => data.isPredicted(run, row, label))], ["true", both(data.isTrue)]];
      return [`${name(first)} with ${name(second)}: ${run.short}`, parts.flatMap(([word, list]) =>
        [make("h3", { textContent: `Together ${word}: ${plural(list.length, "text")}` }), ...textList(list, compared())])];
    },
  };
  for (const kind of ["fixed", "broken"]) {
    views[kind] = (label) => {
      const runs = compared();
      if (runs.length < 2) return null;
      const all = goemo.data.changes(runs[0][1], runs[1][1])[kind];
      const list = Number.isInteger(label) ? all.filter((one) => one.label === label) : all;
      const words = kind === "fixed" ? "B is right, A is not" : "A is right, B is not";
      return [`${kind === "fixed" ? "Fixed" : "Broken"} from A to B: ${plural(list.length, "decision")}`, [caption(words), ...textList(list, runs)]];
    };
  }
  const viewed = () => {
    const [kind, ...rest] = asked.see.split(".");
    if (!Object.hasOwn(views, kind)) return null;
    if (!["label", "bins"].includes(kind) && !compared().length) return null;
    const all = rest[0] === "all";
    const numbers = rest.map((one) => (one === "all" ? 0 : Number(one)));
    const labels = kind === "bin" ? numbers.slice(0, 1) : numbers;
    if (labels.some((label) => !(label in goemo.data.labels))) return null;
    if (rest.length < ({ label: 1, bin: 2, miss: 2, both: 2 }[kind] ?? 0)) return null;
    return views[kind](...numbers, all);
  };

  const startDialog = () => {
    const head = make("h2", { id: "page-title" });
    const closer = button("Close", () => ask({ see: "" }), { className: "close" });
    const content = make("div", {});
    const dialog = make("dialog", { id: "page", className: "explore" }, make("div", { className: "head" }, head, closer), content);
    dialog.setAttribute("aria-labelledby", "page-title");
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); ask({ see: "" }); });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) ask({ see: "" }); });
    document.body.append(dialog);
    let shown = "";
    watchers.push(() => {
      const now = asked.see && [asked.see, asked.a, asked.b, asked.t, ...asked.own].join();
      if (now === shown) return;
      shown = now;
      const view = asked.see ? viewed() : null;
      if (!view) { dialog.close(); return; }
      head.textContent = view[0];
      content.replaceChildren(...view[1]);
      if (!dialog.open) dialog.showModal();
      dialog.scrollTop = 0;
    });
  };

  /* --- Confusions of A: the list, the matrix and its table --- */

  const counted = (texts, said, view) => button(texts, () => ask({ see: view }), { className: "plain", ariaLabel: `${texts}: ${said}` });
  const confusionRows = (run) => {
    const { data } = goemo;
    const [found, half] = [data.confusion(run), data.half(run)];
    const places = [...found.keys()].filter((at) => found[at]).sort((one, other) => found[other] - found[one]);
    const digits = places.every((at) => Number.isInteger(found[at])) ? 0 : 1;
    return places.map((at) => {
      const [missed, given] = [at / data.size | 0, at % data.size];
      const { support } = half.get(missed);
      return goemo.row(opener(missed), name(given), counted(show(found[at], digits), `texts of ${name(missed)}, ${name(given)}`,
        see("miss", missed, given)), `${show(100 * found[at] / support, 1)}\u00a0%`, whole(support));
    });
  };
  const pairRows = (run) => {
    const { data } = goemo;
    const { values, truly, given } = data.lift(run);
    const places = [...values.keys()].filter((at) => at / data.size < at % data.size && !Number.isNaN(values[at]))
      .sort((one, other) => Math.abs(values[other]) - Math.abs(values[one]));
    return places.map((at) => {
      const [first, second] = [at / data.size | 0, at % data.size];
      return goemo.row(opener(first), name(second), counted(`${values[at] > 0 ? "+" : ""}${show(values[at], 2)}`,
        `texts with ${name(first)}, ${name(second)}`, see("both", first, second)), whole(truly[at]), whole(given[at]));
    });
  };
  /* Where the names of the rows and columns of the matrix stand tells where its cells are. */
  const readMatrix = (picture, labels) => {
    const texts = [...picture.querySelectorAll(":scope > text")].filter((text) => labels.has(text.textContent));
    const place = (text, key) => Number(text.getAttribute(key));
    const isRow = (text) => text.classList.contains("e") && !text.hasAttribute("transform");
    return {
      rows: texts.filter(isRow).map((text) => place(text, "y") - 4),
      columns: texts.filter((text) => !isRow(text)).map((text) => place(text, "x") - (text.hasAttribute("transform") ? 3 : 0)),
    };
  };
  const drawMatrix = (picture, { rows, columns }, run) => {
    const { data } = goemo;
    const { values } = data.lift(run);
    const cells = picture.querySelector(".hm");
    const written = cells.querySelector("text") !== null;
    const [width, height] = [columns[1] - columns[0], rows[1] - rows[0]];
    const drawn = rows.flatMap((y, i) => columns.flatMap((x, j) => {
      const value = values[run.labels[i] * data.size + run.labels[j]];
      if (Number.isNaN(value)) return [];
      const shade = Math.round(10 * Math.min(1, Math.abs(value) / MOST_LIFT));
      const box = draw("path", { class: `h${value < 0 ? "q" : "p"}${shade}`,
        d: `M${px(x - width / 2 + 0.5)} ${px(y - height / 2 + 0.5)}h${px(width - 1)}v${px(height - 1)}h${px(1 - width)}z` });
      return written ? [box, draw("text", { class: `m ${shade > 5 ? "z" : "i"}`, x: px(x), y: px(y + 4) }, show(value, 2))] : [box];
    }));
    cells.replaceChildren(...cells.querySelectorAll(".g"), ...drawn);
  };
  const retitle = (id, words) => {
    for (const head of $$(`#${id} :is(figcaption :is(h3, h4), caption, .fig > title)`)) {
      const text = [...head.childNodes].find((node) => node.nodeType === Node.TEXT_NODE && node.data.includes(": "));
      if (text) text.data = `${text.data.split(": ")[0]}: ${words}`;
    }
  };
  const startConfusions = () => {
    const { data } = goemo;
    const best = data.runs[data.a];
    const places = new Map();
    const refills = new Map();
    for (const [id, rows] of [["confusions-list", confusionRows], ["confusions-lift", pairRows]]) {
      const box = $(`#${id} .table[data-scripted]`);
      if (box && best.likely) places.set(box, rows);
    }
    /* A wide one and one for phones; a name that a figure shortens is not found again. */
    const matrices = best.likely ? $$("#confusions-lift .fig").map((picture) => [picture, readMatrix(picture, new Set(data.labels))])
      .filter(([, { rows, columns }]) => [rows, columns].every((found) => found.length > 1 && found.length === best.labels.length)) : [];
    let shown = best;
    const fill = () => {
      for (const [box, rows] of places) {
        if (box.closest("details:not([open])") || (refills.has(box) && refills.get(box).run === shown)) continue;
        $("tbody", box).replaceChildren(...rows(shown));
        for (const head of $$("th[aria-sort]", box)) head.removeAttribute("aria-sort");
        const update = refills.get(box)?.update ?? goemo.startTable(box);
        refills.set(box, { run: shown, update });
        update(true);
      }
    };
    goemo.slow.push(() => {
      const own = goemo.close(goemo.a());
      const run = own ?? best;
      const whose = own ? run.short : `${run.short}, as the page has no texts of A`;
      for (const id of ["confusions-list", "confusions-lift"]) retitle(id, whose);
      if (run !== shown) matrices.forEach(([picture, matrix]) => drawMatrix(picture, matrix, run));
      shown = run;
      fill();
    });
    $("#confusions-lift .behind")?.addEventListener("toggle", fill);
    const nearest = (all, value) => all.reduce((near, one, at) => (Math.abs(one - value) < Math.abs(all[near] - value) ? at : near), 0);
    for (const [picture, matrix] of matrices) {
      picture.classList.add("opens");
      picture.addEventListener("click", (event) => {
        const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
        const [first, second] = [nearest(matrix.rows, point.y), nearest(matrix.columns, point.x)].map((at) => shown.labels[at]);
        if (first !== second && point.x > 60) ask({ see: see("both", first, second) });
      });
    }
  };
  const startBins = () => {
    if (!compared().length) return;
    $("#reliability .plot")?.append(make("div", { className: "tools" }, button("Texts by probability", () => ask({ see: "bins" }))));
  };

  /* --- Errors: one row a text --- */

  const decision = (row, runs) => {
    const { data } = goemo;
    for (const [, run] of runs) {
      const wrong = data.labelsAt(row, (at, label) => data.isWrong(run, at, label));
      if (!wrong.length) continue;
      const sure = wrong.map((label) => [data.sure(run, row, label) + (data.probability(run, row, label).exact ? 1e-3 : 0), label]);
      const [, label] = sure.reduce((best, one) => (one[0] > best[0] ? one : best));
      return { row, label, sure: data.sure(run, row, label), given: !data.isTrue(row, label) };
    }
    return null;
  };
  const who = (wrong, hasB) => {
    const count = wrong.filter(Boolean).length;
    if (count === wrong.length) return count > 1 ? "all wrong" : "wrong";
    if (!hasB) return wrong[0] ? "A wrong" : "others wrong";
    if (wrong[0] === wrong[1]) return wrong[0] ? "A and B wrong" : "others wrong";
    const [first, other] = wrong[0] ? ["A", "B"] : ["B", "A"];
    return count === 1 ? `only ${first} wrong` : `${first} wrong, ${other} right`;
  };
  const strip = (values) => {
    const bars = values.map(([, value]) => (value === null ? " " : String.fromCharCode(0x2581 + Math.min(7, Math.floor(8 * value))))).join("");
    const said = values.map(([key, value]) => `${key} ${show(value, 2)}`).join(", ");
    return make("span", { className: "st", title: said, textContent: bars, role: "img", ariaLabel: said });
  };

  const startErrors = () => {
    const box = $("#errors-texts .table");
    const { data } = goemo;
    if (!box || !data.wrong) return;
    const one = $("table", box);
    const body = one.tBodies[0];
    const about = $("figcaption p", box.closest("figure"));
    const template = body.rows[0].cloneNode(true);
    const hasText = template.cells.length > 8;
    const field = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    const chips = make("div", { className: "chips", role: "group", ariaLabel: "Who is wrong" });
    const choice = make("select", {}, make("option", { value: "", textContent: "all" }),
      ...data.labels.map((label) => make("option", { value: label, textContent: label })));
    const csv = button("Copy as CSV", () => goemo.copyTable(one, found.map(errorRow), csv), { className: "push" });
    box.prepend(chips, make("div", { className: "tools" }, make("label", {}, "Search", field),
      make("label", {}, data.noun, choice), csv));
    const pages = startPages(box, () => update());
    let entries = [];
    let found = [];
    let pair = "";

    /* A, B and the others; a recipe speaks by its best run. */
    const runs = () => {
      const chosen = compared();
      const others = data.close.map((at) => data.runs[at]).filter((run) => !chosen.some(([, mine]) => mine === run));
      return [...chosen, ...others.map((run) => [run.key, run])];
    };
    const collect = () => {
      const all = runs();
      const hasB = all[1]?.[0] === "B";
      entries = data.listed.map((row) => decision(row, all)).filter(Boolean);
      for (const entry of entries) {
        entry.who = who(all.map(([, run]) => data.isWrong(run, entry.row, entry.label)), hasB);
        entry.words = [data.textOf.get(entry.row), names(data.labelsAt(entry.row, data.isTrue)), name(entry.label), entry.who].join(" ").toLowerCase();
      }
      entries.sort((a, b) => b.sure - a.sure || a.row - b.row);
      const sides = all.slice(0, hasB ? 2 : 1).map(([key, run]) => `${key} is ${run.short}`).join(", ");
      if (about) about.textContent = `${sides}. ${plural(entries.length, "text")}, the surest mistake of each; by confidence.`;
    };
    const errorRow = (entry) => {
      const all = runs();
      const row = template.cloneNode(true);
      const values = all.map(([key, run]) => {
        const { low, high } = data.probability(run, entry.row, entry.label);
        return [key, run.counts ? (low + high) / 2 : null];
      });
      const contents = [
        ...(hasText ? [data.textOf.get(entry.row)] : []),
        names(data.labelsAt(entry.row, data.isTrue)),
        names(data.labelsAt(entry.row, (at, label) => data.isPredicted(all[0][1], at, label))),
        opener(entry.label),
        entry.given ? "false positive" : "false negative",
        show(entry.sure, 2),
        entry.who,
        strip(values),
        whole(entry.row + 1),
      ];
      contents.forEach((content, at) => row.cells[at]?.replaceChildren(content));
      return row;
    };
    const drawChips = () => {
      const counts = new Map();
      for (const entry of entries) counts.set(entry.who, (counts.get(entry.who) ?? 0) + 1);
      const kinds = [["", entries.length], ...[...counts].sort((a, b) => b[1] - a[1])];
      chips.replaceChildren(...kinds.map(([kind, count]) => {
        const made = button(`${kind || "all texts"} ${whole(count)}`, () => ask({ who: kind === asked.who ? "" : kind }));
        made.setAttribute("aria-pressed", String(asked.who === kind));
        made.dataset.kind = kind;
        return made;
      }));
    };
    const update = () => body.replaceChildren(...pages.of(found, entries.length).map(errorRow));
    let before = null;
    goemo.slow.push(() => {
      const now = [asked.a, asked.b, asked.who, asked.emotion, asked.find].join("\n");
      if (now === before) return;
      before = now;
      const chosen = [asked.a, asked.b].join();
      if (pair !== chosen || !entries.length) collect();
      pair = chosen;
      const focused = chips.contains(document.activeElement) ? document.activeElement.dataset.kind : null;
      drawChips();
      if (focused !== null) [...chips.children].find((chip) => chip.dataset.kind === focused)?.focus();
      if (field.value !== asked.find) field.value = asked.find;
      choice.value = asked.emotion;
      const wanted = asked.find.toLowerCase().split(/\s+/).filter(Boolean);
      found = entries.filter((entry) => (!asked.who || entry.who === asked.who)
        && (!asked.emotion || name(entry.label) === asked.emotion)
        && wanted.every((word) => entry.words.includes(word)));
      pages.first();
      update();
    });
    field.addEventListener("input", () => ask({ find: field.value }, "find"));
    choice.addEventListener("change", () => ask({ emotion: choice.value }));
  };

  Object.assign(goemo, { opener, opens, examples });
  goemo.parts.push(startRows, startDots, startConfusions, startBins, startDialog, startErrors);
})();

/* From A to B: differences per label, what changed in the config, and the texts that B gets right
   where A does not, and the reverse. Intervals are those that were computed with the report. */
(() => {
  const { $, $$, make, button, slow, ask, show, signed, title, block, table, HALF } = goemo;
  const WIDE = 720;
  const NARROW = 350;
  const EXAMPLES = 3;
  const METRICS = ["macro_f1", "micro_f1"];

  /* --- Drawing --- */

  const draw = (tag, attributes = {}, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const px = (value) => value.toFixed(1);
  const isNarrow = () => matchMedia("(max-width: 62rem)").matches;

  /* Labels whose difference is drawn as a dot on its interval, filled where it is more than noise. */
  const drawDifferences = (rows, names) => {
    const width = isNarrow() ? NARROW : WIDE;
    const left = isNarrow() ? 118 : 150;
    const reach = Math.max(0.01, ...rows.flatMap((row) => [row.value, row.low ?? 0, row.high ?? 0].map(Math.abs)));
    const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5].find((size) => reach / size <= (isNarrow() ? 2 : 5)) ?? 1;
    const x = (value) => left + (width - left - 16) * (0.5 + value / (2.1 * reach));
    const y = (at) => 14 + 18 * at;
    const bottom = y(rows.length);
    const said = `F1 of ${names[0]} minus F1 of ${names[1]} per ${goemo.data.noun}, at 0.5`;
    const picture = draw("svg", { class: "fig", viewBox: `0 0 ${width} ${bottom + 40}`, width, height: bottom + 40, role: "group", "aria-label": said });
    for (let tick = -Math.floor(reach / step); tick <= Math.floor(reach / step); tick += 1) {
      const at = px(x(tick * step));
      picture.append(
        draw("path", { class: tick ? "g" : "a", d: `M${at} 4V${px(bottom - 6)}` }),
        draw("text", { class: "m", x: at, y: px(bottom + 10) }, tick ? signed(tick * step).replace(/0$/, "") : "0"),
      );
    }
    picture.append(draw("text", { class: "m", x: px(x(0)), y: px(bottom + 32) }, `F1 of A minus F1 of B, at ${HALF}`));
    rows.forEach((row, at) => {
      const group = draw("g", { class: `c${row.colour ?? "n"}` });
      if (row.low !== null) group.append(draw("path", { class: "w", d: `M${px(x(row.low))} ${px(y(at))}H${px(x(row.high))}` }));
      group.append(draw("circle", { class: row.clear ? "p" : "o", cx: px(x(row.value)), cy: px(y(at)), r: 4.4 }));
      const name = draw("text", { class: "e i", x: left - 8, y: px(y(at) + 4) }, goemo.data.labels[row.label]);
      goemo.opens?.(group, row.label, `${goemo.data.labels[row.label]}: ${signed(row.value)}`);
      picture.append(name, group);
    });
    return picture;
  };

  /* --- What is known of a pair --- */

  /* Intervals of A minus B, turned round where the report has B minus A. */
  const computed = (a, b) => {
    if (a.runs.length > 1 || b.runs.length > 1) return null;
    const [first, second] = [a.runs[0].at, b.runs[0].at];
    const found = goemo.data.pairs[`${first}-${second}`] ?? goemo.data.pairs[`${second}-${first}`];
    if (!found) return null;
    const turned = !goemo.data.pairs[`${first}-${second}`];
    const turn = (one) => {
      if (!one) return null;
      const [value, low, high, p, clear] = one;
      return { ...(turned ? { value: -value, low: -high, high: -low } : { value, low, high }), p, clear: clear && !found.chance };
    };
    return {
      chance: found.chance,
      label: (label) => turn(found.labels[label]),
      metric: (key) => turn(found.metrics[key]),
    };
  };
  const differences = (a, b) => {
    const [ours, theirs, tested] = [goemo.half(a), goemo.half(b), computed(a, b)];
    const rows = [...ours.keys()].filter((label) => theirs.has(label)).map((label) => {
      const known = tested?.label(label);
      const value = known?.value ?? ours.get(label) - theirs.get(label);
      const { low = null, high = null, p = null, clear = false } = known ?? {};
      const ahead = value >= 0 ? a : b;
      return { label, a: ours.get(label), b: theirs.get(label), value, low, high, p, clear, colour: ahead.runs[0].colour };
    });
    return rows.sort((one, other) => other.value - one.value);
  };
  const overall = (side, key) => goemo.mean(side.runs.map((run) => goemo.averages([...goemo.data.half(run).values()])[key]));
  const tested = (known) => (known
    ? `[${signed(known.low)}, ${signed(known.high)}], p ${known.p < 0.001 ? "< 0.001" : `= ${show(known.p)}`}`
    : "no interval");

  const isOwn = (a, b) => a.runs.length === 1 && b.runs.length === 1
    && a.runs[0].at === goemo.data.a && b.runs[0].at === goemo.data.b;

  /* --- The block --- */

  const sentence = (a, b) => {
    const known = computed(a, b);
    const parts = METRICS.map((key) => {
      const [ours, theirs] = [overall(a, key), overall(b, key)];
      const name = key.replace("_", " ").replace("f1", "F1");
      return `${name} ${show(ours)} against ${show(theirs)}, A minus B ${signed(known?.metric(key)?.value ?? ours - theirs)} (${tested(known?.metric(key))})`;
    });
    const texts = new Set([...a.runs, ...b.runs].map((run) => run.texts));
    const apart = texts.size > 1 ? ` Not the same texts: each on its own${known ? ", the differences on the common ones" : ""}.` : "";
    const dots = known && !isOwn(a, b) ? ` Filled dots: more than noise over all ${goemo.data.nouns}.` : "";
    return `At ${HALF}: ${parts.join("; ")}.${known?.chance ? ` Not told apart: ${known.chance}.` : ""}${apart}${dots}`;
  };
  const settings = (a, b) => {
    const [ours, theirs] = [a.runs[0].config, b.runs[0].config];
    if (!ours || !theirs) return make("p", { className: "caption", textContent: "The page does not have the configs of both." });
    const rows = Object.keys({ ...ours, ...theirs }).filter((key) => ours[key] !== theirs[key]);
    if (!rows.length) return make("p", { className: "caption", textContent: "No difference in the configs." });
    return table(["setting", "A", "B"].map((text) => ({ title: text })), rows.map((key) => [key, ...[ours, theirs].map((config) => config[key] || "\u2013")]), "Config differences of A and B");
  };
  const named = (rows) => rows.map((row) => `${goemo.data.labels[row.label]} ${signed(Math.abs(row.value))}${row.clear ? "*" : ""}`).join(", ");
  const gains = (rows) => {
    const lost = rows.filter((row) => row.value > 0).slice(0, 5);
    const gained = rows.filter((row) => row.value < 0).slice(-5).reverse();
    return make("p", { className: "caption" },
      `From A to B gained: ${named(gained) || "none"}; lost: ${named(lost) || "none"}.${rows.some((row) => row.clear) ? " * more than noise." : ""}`);
  };
  const perLabel = (rows, changed) => {
    const number = (list) => {
      const found = new Map();
      for (const { label } of list) found.set(label, (found.get(label) ?? 0) + 1);
      return (label) => (found.get(label) ?? 0).toLocaleString("en");
    };
    const heads = [goemo.data.noun, "A", "B", "A minus B", "interval", ...(changed ? ["fixed", "broken"] : [])];
    const counts = changed ? [number(changed.fixed), number(changed.broken)] : [];
    return table(heads.map((text, at) => ({ title: text, number: at > 0 })), rows.map((row) => [
      goemo.opener?.(row.label) ?? goemo.data.labels[row.label], show(row.a), show(row.b), signed(row.value),
      row.low === null ? "no interval" : `[${signed(row.low)}, ${signed(row.high)}]`,
      ...counts.map((count) => count(row.label)),
    ]), `F1 per ${goemo.data.noun}, A minus B`);
  };

  const texts = (a, b) => {
    const [from, to] = [goemo.close(a), goemo.close(b)];
    if (!from || !to) {
      const why = a.runs[0].texts === b.runs[0].texts ? "the page has the probabilities of the best run of the top recipes alone"
        : "A and B were not judged on the same ones";
      return [make("p", { className: "caption", textContent: `Texts: ${why}.` })];
    }
    const changed = goemo.data.changes(from, to);
    const parts = [["fixed", "B is right, A is not"], ["broken", "A is right, B is not"]].map(([kind, words]) => {
      const all = changed[kind];
      const rows = new Set(all.map((one) => one.row)).size;
      const more = button("Show texts", () => ask({ see: kind }));
      const head = make("p", {}, make("b", { textContent: kind[0].toUpperCase() + kind.slice(1) }),
        ...(rows ? [`: ${all.length.toLocaleString("en")} decisions on ${rows.toLocaleString("en")} texts (${words}) `, more] : [`: no decision (${words})`]));
      return make("div", {}, head, ...(goemo.examples?.(all, [from, to], EXAMPLES) ?? []));
    });
    return [make("div", { className: "two" }, ...parts)];
  };

  const startPair = () => {
    const section = $("#differences");
    if (!section || goemo.data.b === null) return;
    const own = $$(":scope > .lead, :scope > figure, :scope > .row, :scope > details:not(.method)", section);
    const head = title("");
    const line = make("p", { className: "caption" });
    const figure = make("div", { className: "plot" });
    const rest = make("div", {});
    const each = make("div", {});
    const fold = make("details", { className: "fold" },
      make("summary", { textContent: `A and B per ${goemo.data.noun}, with what is fixed and broken` }), each);
    const made = block("a-to-b", head, line, figure, rest, fold);
    const first = $(":scope > .method", section);
    section.insertBefore(made, first);
    let drawn = "";
    const update = () => {
      const [a, b] = [goemo.a(), goemo.b()];
      const now = [a.key, b.key, fold.open, isNarrow()].join();
      if (now === drawn) return;
      drawn = now;
      const rows = differences(a, b);
      for (const element of own) element.hidden = !isOwn(a, b);
      head.textContent = `From A to B: ${a.title} to ${b.title}`;
      line.textContent = isOwn(a, b) ? "" : sentence(a, b); // above stands what Python says of them
      figure.replaceChildren(...(isOwn(a, b) ? [] : [drawDifferences(rows, [a.title, b.title])]));
      rest.replaceChildren(...(isOwn(a, b) ? [] : [gains(rows)]), settings(a, b), ...texts(a, b));
      const known = goemo.close(a) && goemo.close(b);
      if (fold.open) each.replaceChildren(perLabel(rows, known && goemo.data.changes(goemo.close(a), goemo.close(b))));
    };
    fold.addEventListener("toggle", update);
    matchMedia("(max-width: 62rem)").addEventListener("change", update);
    slow.push(update);
  };

  Object.assign(goemo, { draw, px, isNarrow, differences, overall });
  goemo.parts.push(startPair);
})();

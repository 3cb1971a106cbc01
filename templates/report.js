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
  const button = (words, action, properties = {}) => {
    const made = make("button", { type: "button", textContent: words, ...properties });
    made.addEventListener("click", action);
    return made;
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
    });
  };

  /* --- Contents: the section that is being read --- */

  const startContents = () => {
    const links = new Map($$(".toc a").map((link) => [link.hash.slice(1), link]));
    const parts = $$("main section.part");
    const toc = $(".toc");
    if (!toc || !parts.length) return;
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
    requestAnimationFrame(mark); // before the first paint it would only force a layout
  };

  /* A link may point into a folded part or to a row on another page of a table. */
  const reveal = (always) => {
    let target = null;
    try { target = document.getElementById(decodeURIComponent(location.hash.slice(1).split("?")[0])); } catch { return; }
    if (!target) return;
    for (let up = target; up; up = up.parentElement) {
      if (up.tagName === "DETAILS") up.open = true;
    }
    startTables();
    if (target.hidden && target.classList.contains("sub")) {
      let top = target;
      while (top.classList.contains("sub")) top = top.previousElementSibling;
      $("button.open", top).click();
    }
    const folded = target.tagName === "DETAILS" || target.closest("details");
    if (always === true || folded || location.hash.includes("?")) target.scrollIntoView({ behavior: "instant" });
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
      for (const entry of keyed) entry.top = entry.row.classList.contains("sub") ? null : entry;
      for (let i = 1; i < keyed.length; i += 1) keyed[i].top ??= keyed[i - 1].top;
      keyed.sort((a, b) => {
        if (a.top !== b.top) return order(a.top, b.top);
        return (b.top === b) - (a.top === a) || order(a, b);
      });
      function order(a, b) {
        if (!numeric) return sign * collator.compare(a.key, b.key) || a.index - b.index;
        if (Number.isNaN(a.key) || Number.isNaN(b.key)) return Number.isNaN(a.key) - Number.isNaN(b.key);
        return sign * (a.key - b.key) || a.index - b.index;
      }
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
      const label = [...head.childNodes];
      const sort = button("", () => {
        const numeric = table.classList.contains(`n${column + 1}`);
        const before = head.getAttribute("aria-sort");
        const descending = before ? before === "ascending" : numeric;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sortRows(table, column, descending);
        changed();
      });
      sort.append(...label);
      head.append(sort);
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

  const copyTable = (table, rows, button) => copy(asCsv(table, rows), button);

  /* Choices for columns with few values, so that the errors of one emotion are one click away. */
  const facets = (table, rows) => [...table.tHead.rows[0].cells].flatMap((head, column) => {
    if (table.classList.contains(`n${column + 1}`) || table.classList.contains(`w${column + 1}`)) return [];
    const values = [...new Set(rows.map((row) => text(row.cells[column])))];
    if (values.length < 2 || values.length > 40 || values.length > rows.length / 2) return [];
    const select = make("select", {}, make("option", { value: "", textContent: "all" }),
      ...values.sort(collator.compare).map((value) => make("option", { value, textContent: value })));
    return [{ column, select, label: make("label", {}, text(head), select) }];
  }).slice(0, 4);

  /* Recipes stay, their seeds open: the rows that a row stands for follow it. */
  const startNested = (table) => {
    for (const row of table.querySelectorAll("tr:not(.sub)")) {
      if (!row.nextElementSibling?.classList.contains("sub")) continue;
      const opener = button("", () => show(opener.ariaExpanded === "false"), { className: "open", ariaLabel: "Runs of this recipe" });
      const show = (open) => {
        opener.ariaExpanded = String(open);
        for (let next = row.nextElementSibling; next?.classList.contains("sub"); next = next.nextElementSibling) next.hidden = !open;
      };
      row.cells[0].prepend(opener);
      show(false);
    }
  };

  const startTable = (box) => {
    const table = $("table", box);
    const all = () => [...table.tBodies].flatMap((body) => [...body.rows]).filter((row) => !row.classList.contains("g"));
    const rows = all();
    const tools = make("div", { className: "tools" });
    let shown = () => all();
    let update = () => {};
    if (box.dataset.page && rows.length > 5) ({ shown, update } = startBrowsing(box, table, all, tools));
    linkRows(table);
    startNested(table);
    if (rows.length > 2) startSorting(table, () => update(true));
    const csv = button("Copy as CSV", () => copyTable(table, shown(), csv), { className: "push" });
    if (!tools.childElementCount) tools.classList.add("solo");
    tools.append(csv);
    box.prepend(tools);
    return update;
  };
  /* Tables are made sortable when they are first seen: those in folded parts later, if at all. */
  const started = new Set();
  const onTable = [];
  const startTables = () => {
    const own = $("#page-data") ? ".table:not([data-scripted])" : ".table";
    for (const box of $$(own)) {
      if (started.has(box) || box.closest("details:not([open]), .explore")) continue;
      started.add(box);
      startTable(box);
      onTable.forEach((watch) => watch($("table", box)));
    }
  };

  /* Pages below a table: `of` gives the rows of the page that is open, and says which they are. */
  const startPages = (box, turned) => {
    const size = Number(box.dataset.page);
    const status = make("span", { role: "status" });
    let page = 0;
    const back = button("Previous", () => { page -= 1; turned(); });
    const next = button("Next", () => { page += 1; turned(); });
    box.append(make("div", { className: "tools pages" }, back, next, status));
    const of = (found, all) => {
      page = Math.max(0, Math.min(page, Math.ceil(found.length / size) - 1));
      const shown = found.slice(page * size, (page + 1) * size);
      back.disabled = page === 0;
      next.disabled = (page + 1) * size >= found.length;
      const range = found.length ? `${page * size + 1}\u2013${page * size + shown.length} of ` : "";
      status.textContent = `${range}${found.length} row${found.length === 1 ? "" : "s"}`
        + (found.length < all ? `, filtered from ${all}` : "");
      return shown;
    };
    return { of, first: () => { page = 0; } };
  };

  const startBrowsing = (box, table, all, tools) => {
    const known = new WeakMap();
    const words = (row) => known.get(row) ?? known.set(row, row.textContent.toLowerCase()).get(row);
    const choices = facets(table, all());
    const field = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    tools.append(make("label", {}, "Filter", field), ...choices.map((choice) => choice.label));
    const shown = () => {
      const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      const chosen = choices.filter((choice) => choice.select.value);
      return all().filter((row) => wanted.every((word) => words(row).includes(word))
        && chosen.every(({ column, select }) => text(row.cells[column]) === select.value));
    };
    const update = (first) => {
      if (first) pages.first();
      const found = shown();
      const rows = all();
      const visible = new Set(pages.of(found, rows.length));
      for (const row of rows) row.hidden = !visible.has(row);
      for (const body of table.tBodies) {
        if (body.rows[0]?.classList.contains("g")) body.rows[0].hidden = ![...body.rows].some((row) => visible.has(row));
      }
    };
    const pages = startPages(box, () => update());
    field.addEventListener("input", () => update(true));
    choices.forEach(({ select }) => select.addEventListener("change", () => update(true)));
    update(true);
    return { shown, update };
  };

  const startCode = () => $$(".code").forEach((box) => {
    const made = button("Copy", () => copy($("code", box).textContent, made));
    box.append(made);
  });

  Object.assign(goemo, { $, $$, make, button, text, reveal, copy, copyTable, startTable, startPages, onTable });

  document.addEventListener("DOMContentLoaded", () => {
    startThemes();
    startContents();
    startTables();
    if ($("#page-data")) { // what follows from it is read later: print shows one page of these
      for (const box of $$(".table[data-scripted]")) {
        [...$("tbody", box).rows].slice(Number(box.dataset.page)).forEach((row) => { row.hidden = true; });
      }
    }
    document.addEventListener("toggle", startTables, true);
    startCode();
    addEventListener("hashchange", reveal);
    reveal();
  });
})();

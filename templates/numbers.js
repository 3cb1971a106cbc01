"use strict";
/* Numbers of the page's data, without the page: counts, metrics at thresholds, and who
   decides what of which text. They are those of goemo_report.metrics, to the last digits. */
const goemo = (() => {
  const CUTS = 101;
  const FEW = 20;
  const HALF = 0.5;

  const ratio = (part, whole) => (whole ? part / whole : 0);
  const metrics = (tp, predicted, support) => ({
    tp, predicted, support,
    precision: ratio(tp, predicted),
    recall: ratio(tp, support),
    f1: ratio(2 * tp, predicted + support),
  });
  const KEYS = ["precision", "recall", "f1"];
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const mean = (values) => sum(values) / values.length;

  /* Macro and micro averages of the metrics of all labels. */
  const averages = (each) => {
    const pooled = metrics(...["tp", "predicted", "support"].map((key) => sum(each.map((one) => one[key]))));
    const found = {};
    for (const key of KEYS) {
      found[`macro_${key}`] = mean(each.map((one) => one[key]));
      found[`micro_${key}`] = pooled[key];
    }
    return found;
  };

  const once = (compute) => {
    const known = new Map();
    return (key) => {
      if (!known.has(key)) known.set(key, compute(key));
      return known.get(key);
    };
  };

  /* What a page holds of the report's data: base64 of compressed JSON. */
  const read = async (text) => {
    const letters = atob(text);
    const bytes = new Uint8Array(letters.length); // several times as fast as Uint8Array.from
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = letters.charCodeAt(at);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const data = await new Response(stream).json();
    const size = data.labels.length;
    data.runs.forEach((run, at) => {
      run.at = at;
      run.labels ??= data.labels.map((_, label) => label);
    });
    const labelsOf = (run) => run.labels.map((label) => data.labels[label]);

    /* By label, how many texts reach each cut, all and those that carry it. */
    const countsOf = once((run) => once((split) => {
      const found = run[split];
      const reached = (of) => {
        const row = Array.from({ length: CUTS }, (_, cut) => of(cut));
        for (let cut = CUTS - 2; cut >= 0; cut -= 1) row[cut] += row[cut + 1];
        return row;
      };
      return {
        n: found.n,
        predicted: found.true.map((own, at) => reached((cut) => own[cut] + found.false[at][cut])),
        tp: found.true.map((own) => reached((cut) => own[cut])),
        exact: found.exact,
        covered: reached((cut) => found.covered[cut]),
        exactCovered: found.exact_covered,
      };
    }));
    const counts = (run, split) => countsOf(run)(split);

    /* A threshold is a cut, 0.01 apart, or "tuned" or "one": per label or for all, tuned exactly. */
    const valueOf = (run, at, threshold) =>
      threshold === "tuned" ? run.tuned[at] : threshold === "one" ? run.overall : threshold;
    const cutOf = (threshold) => Math.round(100 * threshold);
    const choices = { tuned: 0, one: 1 };

    const ofLabel = (run, split, at, threshold) => {
      const found = counts(run, split);
      const support = found.tp[at][0];
      if (threshold in choices) return metrics(...found.exact[choices[threshold]][at], support);
      const cut = cutOf(threshold);
      return metrics(found.tp[at][cut], found.predicted[at][cut], support);
    };

    /* Metrics of every label and their averages at a threshold for each label. */
    const judge = (run, split, thresholds) => {
      const each = thresholds.map((threshold, at) => ofLabel(run, split, at, threshold));
      return { each, overall: { ...averages(each), coverage: coverage(run, split, thresholds) } };
    };

    /* The share of texts with a label; null where the page does not know the lower ones. */
    const coverage = (run, split, thresholds) => {
      const found = counts(run, split);
      const first = thresholds[0];
      if (thresholds.every((one) => one === first)) {
        return (first in choices ? found.exactCovered[choices[first]] : found.covered[cutOf(first)]) / found.n;
      }
      if (uncovered(run, split, thresholds)) return null;
      const texts = new Uint8Array(found.n);
      thresholds.forEach((threshold, at) => predicted(run, at, threshold).forEach((row) => { texts[row] = 1; }));
      return sum([...texts]) / found.n;
    };
    /* Why the coverage of different thresholds is not known; empty where it is. */
    const uncovered = (run, split, thresholds) => {
      if (split !== "counts") return `the page has its counts per ${data.noun}, not per text`;
      if (!run.likely) return "the page has the texts of the best run of the top recipes alone";
      const low = thresholds.find((threshold, at) => valueOf(run, at, threshold) < run.likely.floor / 100);
      return low === undefined ? "" : `of each text the page knows p from ${run.likely.floor / 100} on alone`;
    };

    /* Rows from the steps between them. */
    const rowsOf = (steps) => { let row = -1; return steps.map((step) => { row += step + 1; return row; }); };
    const likely = once((run) => run.likely.rows.map((steps, at) => rowsOf(steps).map((row, place) => {
      const code = run.likely.codes[at][place];
      return { row, cut: run.likely.floor + (code >> 2), tuned: code >> 1 & 1, one: code & 1 };
    })));

    /* The rows for which a run predicts a label; null where the threshold is below what is known. */
    const predicted = (run, at, threshold) => {
      const exact = threshold in choices;
      if (valueOf(run, at, threshold) < run.likely.floor / 100) return null;
      return likely(run)[at]
        .filter((pair) => (exact ? pair[threshold] : pair.cut >= cutOf(threshold)))
        .map((pair) => pair.row);
    };

    const run0 = data.runs[data.a];
    const n = run0.n;
    const truth = once(() => {
      const found = new Uint8Array(n * size);
      run0.labels.forEach((label, at) => rowsOf(data.truth[at]).forEach((row) => { found[row * size + label] = 1; }));
      return found;
    });

    /* 1 where a run predicts the label of a text at 0.5, (texts x labels). */
    const decided = once((run) => {
      const found = new Uint8Array(n * size);
      run.labels.forEach((label, at) => {
        for (const row of predicted(run, at, HALF)) found[row * size + label] = 1;
      });
      return found;
    });

    /* Metrics at 0.5 by label, of every run. */
    const half = once((run) => new Map(run.labels.map((label, at) => [label, metrics(...run.half[at])])));

    /* --- Texts: those that the page has, and what a run gives them --- */

    const shownRows = rowsOf(data.rows ?? []);
    const textOf = new Map(shownRows.map((row, at) => [row, data.texts?.[at] ?? ""]));
    const wrong = once(() => {
      const [listed, exact] = [[], new Map()];
      for (const [row, label, ...known] of data.wrong ?? []) {
        listed.push(row);
        data.close.forEach((run, at) => exact.set(`${run}|${row}|${label}`, known[at] / 1000));
      }
      return { listed, exact };
    });
    const cutsOf = once((run) => {
      const found = new Int8Array(n * size).fill(-1);
      run.labels.forEach((label, at) => likely(run)[at].forEach(({ row, cut }) => { found[row * size + label] = cut; }));
      return found;
    });
    /* The p of a label: known to a thousandth, or that it is at least `low` and below `high`. */
    const probability = (run, row, label) => {
      const known = wrong().exact.get(`${run.at}|${row}|${label}`);
      if (known !== undefined) return { low: known, high: known, exact: true };
      const cut = cutsOf(run)[row * size + label];
      return cut < 0 ? { low: 0, high: run.likely.floor / 100 } : { low: cut / 100, high: Math.min(1, (cut + 1) / 100) };
    };
    const isTrue = (row, label) => truth()[row * size + label] === 1;
    const isPredicted = (run, row, label) => decided(run)[row * size + label] === 1;
    const isWrong = (run, row, label) => isTrue(row, label) !== isPredicted(run, row, label);
    const labelsAt = (row, holds) => run0.labels.filter((label) => holds(row, label));
    /* How sure a run is at least of a wrong decision; labels without probabilities are not. */
    const sure = (run, row, label) => {
      if (!run.counts) return null;
      const p = probability(run, row, label);
      return isTrue(row, label) ? 1 - p.high : p.low;
    };
    const every = (holds) => {
      const found = [];
      for (let row = 0; row < n; row += 1) if (holds(row)) found.push(row);
      return found;
    };

    /* What is fixed and broken from one run to another: decisions at 0.5, by label. */
    const changesOf = once((from) => once((other) => {
      const found = { fixed: [], broken: [] };
      for (let row = 0; row < n; row += 1) {
        for (const label of run0.labels) {
          const before = isWrong(from, row, label);
          if (before !== isWrong(other, row, label)) found[before ? "fixed" : "broken"].push({ row, label });
        }
      }
      return found;
    }));
    const changes = (from, to) => changesOf(from)(to);

    /* Texts that miss one label and wrongly get another, by 1/m where they wrongly get m. */
    const confusion = once((run) => {
      const found = new Float64Array(size * size);
      for (let row = 0; row < n; row += 1) {
        const missed = labelsAt(row, (at, label) => isTrue(at, label) && !isPredicted(run, at, label));
        if (!missed.length) continue;
        const given = labelsAt(row, (at, label) => !isTrue(at, label) && isPredicted(run, at, label));
        for (const first of missed) for (const second of given) found[first * size + second] += 1 / given.length;
      }
      return found;
    });

    /* How often each two labels stand together, and how much more often than by chance (log2). */
    const together = (holds) => {
      const found = new Float64Array(size * size);
      for (let row = 0; row < n; row += 1) {
        const own = labelsAt(row, holds);
        for (const first of own) for (const second of own) found[first * size + second] += 1;
      }
      return found;
    };
    const logLift = (counts) => counts.map((count, at) => {
      const [first, second] = [at / size | 0, at % size];
      return Math.log2((count + 0.5) / (counts[first * size + first] * counts[second * size + second] / n + 0.5));
    });
    const trulyTogether = once(() => together(isTrue));
    /* The lift of the predictions minus that of the truth; cells of labels with few texts are no number. */
    const lift = once((run) => {
      const [truly, given] = [trulyTogether(), together((row, label) => isPredicted(run, row, label))];
      const [before, after] = [logLift(truly), logLift(given)];
      const support = (label) => truly[label * size + label];
      const values = after.map((value, at) => {
        const [first, second] = [at / size | 0, at % size];
        return first === second || Math.min(support(first), support(second)) < FEW ? NaN : value - before[at];
      });
      return { values, truly, given };
    });

    return {
      ...data, n, size, labelsOf, counts, valueOf, ofLabel, judge, uncovered, likely, truth, decided, half, textOf, lift,
      shownRows, probability, isTrue, isPredicted, isWrong, labelsAt, sure, every, changes, confusion,
      get listed() { return wrong().listed; },
    };
  };

  return { read, metrics, averages, mean, sum, CUTS, HALF };
})();

"""A rich synthetic report with every kind of block, for any number of runs."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from goemo_report.labels import EMOTIONS, GOEMOTIONS
from goemo_report.report.document import (
    Axis,
    Callout,
    Cell,
    Code,
    Column,
    Heatmap,
    Mark,
    Plot,
    Report,
    Section,
    Series,
    Table,
    Value,
)

CREATED = datetime(2026, 3, 14, 9, 26, tzinfo=UTC)
MODELS = ("roberta-large", "distilbert-base", "minilm-l6", "bert-base-uncased", "deberta-v3-small")
SENTIMENT, EKMAN = (grouping.groups for grouping in GOEMOTIONS.groupings)
SUPPORT = tuple(int(1800 / (1 + index * 1.7)) for index in range(len(EMOTIONS)))
HOSTILE = "</script><img src=x onerror=alert(1)>\"'`|\u202egnp.exe @team #1 =1+1 \\input{x} $x_1$"


def run_names(count: int) -> tuple[str, ...]:
    return tuple(f"{MODELS[i % 5]}-2026030{1 + i % 9}-1{i:02d}500" for i in range(count))


def interval(value: float, width: float) -> Cell:
    return Cell(value, low=value - width, high=value + width)


class Example:
    """Random but fixed numbers, and the sections made of them."""

    def __init__(self, runs: int = 3, *, errors: int = 120, name: str | None = None) -> None:
        self.random = np.random.default_rng(7)
        self.names = run_names(runs)
        if name is not None:
            self.names = (name, *self.names[1:])
        base = np.linspace(0.75, 0.12, len(EMOTIONS))
        self.f1 = np.clip(base + self.random.normal(0, 0.05, (runs, len(EMOTIONS))), 0, 0.95)
        self.f1[-1, -3:] = 0.0
        self.errors = errors

    def report(self) -> Report:
        return Report(
            title="Which encoder reads emotions best?",
            subtitle=f"{len(self.names)} runs on the 5,427 texts of the GoEmotions test split, "
            "recomputed from their predictions",
            created_at=CREATED,
            sections=(
                self.summary(),
                self.overall(),
                self.emotions(),
                self.curves(),
                self.training(),
                self.browser(),
                self.method(),
            ),
            signature="metrics:1|split:test|threshold:0.5|interval:bootstrap-1000|seed:20260314",
            command="goemo-report compare --tag final --wandb-dir runs --split test --format html",
            palette_names=self.names,
            data={"split": "test", "runs": list(self.names)},
        )

    def summary(self) -> Section:
        macro = self.f1.mean(axis=1)
        order = np.argsort(-macro)
        best = self.names[int(order[0])]
        columns = (
            Column("run", "Run"),
            Column("macro_f1", "Macro F1", "number", help="mean of the per-class F1 scores"),
            Column("delta", "To baseline", "delta", help="paired difference to the baseline"),
            Column("p", "p", "pvalue", help="paired randomisation test, 10,000 draws"),
            Column("micro_f1", "Micro F1", "number"),
            Column("micro_auc", "Micro AUC", "number", digits=4),
            Column("time", "Training", "duration"),
            Column("size", "Checkpoint", "bytes"),
        )
        rows: list[tuple[Value | Cell, ...]] = []
        for rank, index in enumerate(order):
            value = float(macro[index])
            delta = value - float(macro[0])
            mark: Mark | None = None if index == 0 else ("good" if delta > 0 else "bad")
            rows.append(
                (
                    Cell(self.names[index], link="https://wandb.ai/team/goemotions/runs/x1"),
                    Cell(value, value - 0.018, value + 0.019, mark="best" if rank == 0 else None),
                    Cell(None)
                    if index == 0
                    else Cell(delta, delta - 0.01, delta + 0.01, mark=mark),
                    Cell(None, note="the baseline itself")
                    if index == 0
                    else float(0.0004 + 0.05 * rank),
                    interval(value + 0.09, 0.011),
                    0.92 + value / 20,
                    3725.0 + 400 * rank,
                    1_421_000_000 // (rank + 1),
                )
            )
        return Section(
            "summary",
            "Summary",
            (
                Callout(
                    "verdict",
                    f"{best} leads with a macro F1 of {macro.max():.3f}, and the lead over the "
                    "baseline is more than sampling noise.",
                    (
                        "Gained most: pride +0.084, relief +0.071, grief +0.052",
                        "Lost most: realization \u22120.031, nervousness \u22120.022",
                    ),
                ),
                Callout(
                    "warning",
                    f"{self.names[-1]} never predicts 3 of 28 emotions.",
                    ("realization, relief and grief have no predicted text at threshold 0.5",),
                ),
                Table(
                    "leaderboard",
                    "Leaderboard",
                    columns,
                    tuple(rows),
                    caption="Sorted by macro F1; 95% bootstrap intervals over texts in brackets.",
                ),
            ),
            lead="What changed, by how much, and whether it can be trusted.",
            method="Every number is recomputed from the prediction files of the test split. "
            "Intervals are percentile bootstrap intervals over texts, 1,000 resamples.",
        )

    def overall(self) -> Section:
        points = tuple(
            Series(
                name,
                ("macro F1", "micro F1", "samples F1"),
                tuple(float(self.f1[i].mean() + shift) for shift in (0.0, 0.09, 0.07)),
                style="bars",
                low=tuple(float(self.f1[i].mean() + shift - 0.02) for shift in (0.0, 0.09, 0.07)),
                high=tuple(float(self.f1[i].mean() + shift + 0.02) for shift in (0.0, 0.09, 0.07)),
                colour=i,
            )
            for i, name in enumerate(self.names)
        )
        table = Table(
            "overall-table",
            "Overall metrics",
            (
                Column("run", "Run"),
                *(Column(k, k, "number") for k in ("macro", "micro", "samples")),
            ),
            tuple(
                (name, *(interval(float(self.f1[i].mean() + s), 0.02) for s in (0.0, 0.09, 0.07)))
                for i, name in enumerate(self.names)
            ),
        )
        figure = Plot(
            "overall-f1",
            "F1 by averaging",
            "Bars of macro, micro and samples F1 of every run with 95% intervals.",
            Axis("", scale="category", categories=("macro F1", "micro F1", "samples F1")),
            Axis("F1", low=0.0, high=0.8),
            points,
            table,
            caption="Whiskers are 95% intervals.",
        )
        return Section(
            "overall", "Overall metrics", (figure,), lead="One number a run, three ways."
        )

    def emotions(self) -> Section:
        columns = (
            Column("emotion", "Emotion"),
            Column("support", "Support", "integer", help="texts that carry the emotion"),
            *(Column(f"f1_{i}", name[:12], "number") for i, name in enumerate(self.names)),
            Column("spread", "Spread", "number", shade=True, help="largest less smallest F1"),
            Column("delta", "Last to first", "delta", shade=True),
        )
        order = [EMOTIONS.index(e) for members in SENTIMENT.values() for e in members]
        rows: list[tuple[Value | Cell, ...]] = []
        for index in order:
            scores = self.f1[:, index]
            cells = [
                Cell(
                    float(score),
                    low=max(0.0, float(score) - 0.04),
                    high=min(1.0, float(score) + 0.04),
                    mark="best" if score == scores.max() else "muted" if score == 0 else None,
                    note="never predicted" if score == 0 else "",
                )
                for score in scores
            ]
            spread = float(scores.max() - scores.min())
            rows.append(
                (EMOTIONS[index], SUPPORT[index], *cells, spread, float(scores[-1] - scores[0]))
            )
        per_class = Table(
            "per-class",
            "F1 of every emotion",
            columns,
            tuple(rows),
            caption="Grouped by sentiment.",
            row_groups=tuple((name, len(members)) for name, members in SENTIMENT.items()),
        )
        plain_table = Table(
            "heat-table",
            "F1 by emotion and run",
            (Column("emotion", "Emotion"), *(Column(n, n, "number") for n in self.names)),
            tuple((e, *map(float, self.f1[:, i])) for i, e in enumerate(EMOTIONS)),
        )
        heat = Heatmap(
            "heat",
            "F1 by emotion and run",
            "Heatmap of F1; rows are emotions, columns are runs.",
            EMOTIONS,
            self.names,
            tuple(tuple(map(float, self.f1[:, i])) for i in range(len(EMOTIONS))),
            plain_table,
        )
        change = Heatmap(
            "change",
            "Difference to the baseline by Ekman group",
            "Diverging heatmap of differences.",
            tuple(EKMAN),
            self.names,
            tuple(tuple(map(float, self.f1[:, i] - self.f1[0, i])) for i in range(len(EKMAN))),
            plain_table,
            scale="diverging",
        )
        scatter = Plot(
            "support",
            "F1 against support",
            "Points: F1 of each emotion against its support.",
            Axis("texts with the emotion"),
            Axis("F1", low=0.0, high=1.0),
            tuple(
                Series(
                    n, SUPPORT, tuple(map(float, self.f1[i])), "points", notes=EMOTIONS, colour=i
                )
                for i, n in enumerate(self.names)
            ),
            plain_table,
        )
        return Section(
            "emotions",
            "Emotions",
            (per_class, heat, change, scatter),
            lead="Rare emotions decide macro F1 and are known least: mind the intervals.",
        )

    def curves(self) -> Section:
        recall = np.linspace(0, 1, 120)
        series = tuple(
            Series(
                name,
                tuple(map(float, recall)),
                tuple(map(float, 1 - recall ** (2 + 6 * self.f1[i, j]))),
                colour=i,
            )
            for j in range(6)
            for i, name in enumerate(self.names)
        )
        table = Table(
            "pr-table",
            "Average precision",
            (Column("emotion", "Emotion"), *(Column(n, n, "number") for n in self.names)),
            tuple((e, *map(float, self.f1[:, i])) for i, e in enumerate(EMOTIONS[:6])),
        )
        precision_recall = Plot(
            "precision-recall",
            "Precision and recall",
            "Precision-recall curves, one line a run and emotion.",
            Axis("recall", low=0, high=1),
            Axis("precision", low=0, high=1.02),
            series,
            table,
        )
        bins = tuple((b + 0.5) / 10 for b in range(10))
        reliability = Plot(
            "reliability",
            "Reliability",
            "Observed frequency against predicted probability in ten equal-mass bins.",
            Axis("predicted probability", low=0, high=1, percent=True),
            Axis("observed frequency", low=0, high=1, percent=True),
            tuple(
                Series(
                    name,
                    bins,
                    tuple(b ** (1 + 0.1 * i) for b in bins),
                    low=tuple(max(0, b ** (1 + 0.1 * i) - 0.04) for b in bins),
                    high=tuple(b ** (1 + 0.1 * i) + 0.04 for b in bins),
                    colour=i,
                )
                for i, name in enumerate(self.names)
            ),
            table,
            diagonal=True,
        )
        return Section("curves", "Curves", (precision_recall, reliability))

    def training(self) -> Section:
        epochs = (1, 2, 3, 4)
        series = tuple(
            Series(
                f"{name} {part}",
                epochs,
                tuple(0.2 / epoch + 0.01 * i + shift for epoch in epochs),
                style=style,  # type: ignore[arg-type] # one of the styles
                colour=i,
                group=name,
            )
            for i, name in enumerate(self.names[:6])
            for part, style, shift in (("train", "line", 0.0), ("val", "dashed", 0.02))
        )
        table = Table(
            "loss-table",
            "Loss",
            (Column("run", "Run"), *(Column(f"e{e}", f"Epoch {e}", "number") for e in epochs)),
            tuple((s.name, *s.y) for s in series),
        )
        figure = Plot(
            "loss",
            "Training and validation loss",
            "Lines of training and validation loss over the epochs of every run.",
            Axis("epoch"),
            Axis("loss", low=0.0),
            series,
            table,
        )
        artifacts = Table(
            "artifacts",
            "Artifacts",
            (
                Column("name", "Artifact", "code"),
                Column("version", "Version"),
                Column("digest", "Digest", "code"),
                Column("size", "Size", "bytes"),
            ),
            tuple(
                (f"{name}-checkpoint-ab12", "v0", "9e107d9d372bb6826bd81d3542a419d6", 267_000_000)
                for name in self.names
            ),
            collapsed=True,
        )
        return Section("training", "Training", (figure, artifacts))

    def browser(self) -> Section:
        texts = (
            "I can't believe they finally released it, well done to the whole team!",
            "Nope. Not going to happen, and you know it \U0001f602",
            "That is so sad, I hope the family is all right after a long winter like this one",
            HOSTILE,
        )
        rows = tuple(
            (
                EMOTIONS[i % 28],
                "false positive" if i % 3 else "false negative",
                texts[i % 4],
                EMOTIONS[(i * 5) % 28],
                float(0.99 - (i % 90) / 100),
            )
            for i in range(self.errors)
        )
        table = Table(
            "errors",
            "Errors by confidence",
            (
                Column("emotion", "Emotion"),
                Column("kind", "Error"),
                Column("text", "Text"),
                Column("true", "True labels"),
                Column("p", "Probability", "number", digits=2, shade=True),
            ),
            rows,
            browse=True,
            row_header=2,
        )
        return Section(
            "errors",
            "Error browser",
            (Callout("note", "Each row is one wrong decision of the first run."), table),
        )

    def method(self) -> Section:
        return Section(
            "method",
            "How every number was made",
            (
                Code("goemo-report metrics predictions.csv --format json", "sh"),
                Callout("note", "Seeds are fixed: the same input gives the same report."),
            ),
        )


def example_report(runs: int = 3, *, errors: int = 120, name: str | None = None) -> Report:
    """The example with so many runs; `name` replaces the first run's name."""
    return Example(runs, errors=errors, name=name).report()

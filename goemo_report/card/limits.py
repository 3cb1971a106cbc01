"""What the numbers say against a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from goemo_report.card.facts import Card
from goemo_report.report.render.text import markdown_text
from goemo_report.sources.logged import as_number

_RARE: Final = 50
_WEAK: Final = 0.3


def limitations(card: Card) -> Iterator[str]:
    """What the numbers say against the model, as Markdown lines."""
    scores, tuned = card.scores, card.tuned
    support = dict(zip(scores.labels, scores.counts.support.tolist(), strict=True))
    if scores.never_predicted:
        yield (
            f"At 0.5 it never predicts {_names(scores.never_predicted)}"
            + ("; use the tuned thresholds." if tuned is not None else ".")
        )
    if tuned is not None and tuned.never_predicted:
        still = " still" if set(tuned.never_predicted) <= set(scores.never_predicted) else ""
        yield (
            f"At the tuned thresholds it{still} never predicts {_names(tuned.never_predicted)}."
            + _without_own(card, tuned.never_predicted)
        )
    best = tuned or scores
    f1 = dict(zip(best.labels, best.counts.f1.tolist(), strict=True))
    weak = [
        f"{name} ({f1[name]:.2f})" for name in sorted(f1, key=f1.__getitem__) if f1[name] < _WEAK
    ]
    if weak:
        where = "at the tuned thresholds" if tuned is not None else "at 0.5"
        yield f"F1 {where} is below {_WEAK} for {_names(weak)}."
    rare = [f"{name} ({n})" for name, n in support.items() if 0 < n < _RARE]
    if rare:
        yield f"Fewer than {_RARE} texts carry {_names(rare)}: their numbers are uncertain."
    absent = [name for name, n in support.items() if not n]
    if absent:
        yield f"Nothing is known about {_names(absent)}: no text of the split carries them."
    true, called = sum(support.values()), int(scores.counts.predicted.sum())
    yield (
        f"Texts carry {true / scores.rows:.2f} labels on average; at 0.5 it predicts "
        f"{called / scores.rows:.2f}."
    )
    if scores.overall["exact_match"] is not None:
        yield f"All labels of a text are right for {scores.overall['exact_match']:.1%} of texts."
    yield from _about_training(card)


def _without_own(card: Card, silent: Sequence[str]) -> str:
    """Which classes may be silent because they had too few positives to be tuned."""
    kept = [name for name in silent if card.choice is not None and name in card.choice.fallback]
    if not kept:
        return ""
    return f" Validation has too few positives to tune {_names(kept)}: see Thresholds."


def _about_training(card: Card) -> Iterator[str]:
    seen = as_number(card.config.get("train_samples"))
    whole = card.data.split_samples["train"] if card.data else 0
    if seen is not None and seen < whole / 2:
        yield f"It was trained on {seen:,.0f} of the data set's {whole:,} texts."
    known = card.label_set.own_data
    if known is not None and card.data is None:
        yield (
            f"It was not trained on {known.title}: its numbers do not compare with published ones."
        )
    if card.part:
        yield f"It was evaluated on {card.part}: its numbers do not compare with those on all."
    cut, length = as_number(card.config.get("truncated_texts")), card.config.get("max_seq_length")
    if cut:
        yield f"{cut:,.0f} texts were cut after {markdown_text(str(length))} tokens."
    yield ("This is one seed. Another gives other numbers, which the intervals above do not cover.")
    if card.data:
        yield (
            "Texts are English Reddit comments; other kinds of text, languages and times were "
            "not tested."
        )


def _names(labels: Sequence[str], limit: int = 12) -> str:
    more = f" and {len(labels) - limit} more" if len(labels) > limit else ""
    return markdown_text(", ".join(labels[:limit])) + more

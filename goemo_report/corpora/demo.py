"""A small corpus made by rule: the 28 emotions of GoEmotions, imbalanced, multi-label, seeded.

Every text is a few clauses: one that carries a cue of each of its emotions, around
everyday matter that carries none. Related emotions share some cues and some cues are left
out, so that a model has something to learn and something to get wrong.
"""

from __future__ import annotations

import random

SIZES = {"train": 2400, "val": 600, "test": 600}
SEED = 28  # of the corpus; the seed of a run is the trainer's own

# Cues of an emotion, in the order of the ids, then its weight: draws in a thousand texts.
CUES: dict[str, tuple[tuple[str, ...], int]] = {
    "admiration": (("what a gifted person", "such skill", "brilliant work", "so well made"), 95),
    "amusement": (("that had me laughing", "haha", "too funny", "what a hilarious mess"), 55),
    "anger": (("this makes me furious", "i am fuming", "how dare they", "utter rage"), 40),
    "annoyance": (("so irritating", "stop doing that", "here we go again", "how tiresome"), 60),
    "approval": (("good call", "i agree", "that is the right way", "fair enough"), 65),
    "caring": (("please look after yourself", "i am here for you", "rest well", "take care"), 28),
    "confusion": (
        ("i do not get it", "now i am lost", "what does that mean", "makes no sense"),
        35,
    ),
    "curiosity": (("i wonder why", "tell me more", "how does it work", "what happens next"), 50),
    "desire": (("i want one", "if only i had that", "craving it", "wish it were mine"), 18),
    "disappointment": (("what a letdown", "i hoped for more", "not what was promised"), 32),
    "disapproval": (("that is wrong", "bad idea", "i object", "they should not do that"), 48),
    "disgust": (("that is revolting", "gross", "it made me sick", "what a foul smell"), 20),
    "embarrassment": (("i could sink into the floor", "so awkward", "my face went red"), 10),
    "excitement": (("cannot wait", "so thrilled", "it is finally happening", "let us go"), 22),
    "fear": (("i am scared", "that is terrifying", "it haunts me at night"), 16),
    "gratitude": (("thank you", "thanks a lot", "much obliged", "grateful for it"), 65),
    "grief": (("we buried him today", "i mourn her still"), 5),
    "joy": (("what a happy day", "i am beaming", "pure delight", "so glad"), 36),
    "love": (("i adore it", "love this", "my heart is full", "sweetest thing ever"), 48),
    "nervousness": (("my hands shake", "butterflies in my stomach", "i keep fretting"), 8),
    "optimism": (("it will turn out fine", "better days ahead", "here is hoping"), 38),
    "pride": (("i did it on my own", "proud of the team"), 6),
    "realization": (("now i see", "it just dawned on me", "turns out i was mistaken"), 26),
    "relief": (("phew", "a weight off my shoulders"), 7),
    "remorse": (("i am so sorry", "my fault entirely", "i regret it"), 14),
    "sadness": (("i have been crying", "feeling low", "my heart is heavy"), 32),
    "surprise": (("i did not see that coming", "wow", "what are the odds"), 26),
    "neutral": (
        ("it opens at nine", "the list is below", "see page two", "it is on the left"),
        330,
    ),
}
NEIGHBOURS = {
    "anger": "annoyance", "annoyance": "disapproval", "disappointment": "sadness",
    "sadness": "grief", "joy": "excitement", "excitement": "joy", "confusion": "curiosity",
    "approval": "admiration", "fear": "nervousness", "nervousness": "fear",
    "surprise": "realization", "optimism": "approval",
}  # fmt: skip
SUBJECTS = ("the bus", "our garden", "this recipe", "the match", "my neighbour", "the update",
            "that film", "the dog", "her speech", "the bill", "his letter", "the boat")  # fmt: skip
MATTER = ("came up at lunch", "was in the paper", "took all afternoon", "is on again tonight",
          "looks different now", "cost ten coins", "got moved to friday", "sits by the door",
          "was mentioned twice", "runs every hour")  # fmt: skip


def generate() -> dict[str, list[tuple[str, tuple[int, ...]]]]:
    """Texts and label ids of the splits train, val and test; the same at every call."""
    chance = random.Random(SEED)  # noqa: S311 - a corpus, no secret
    return {split: _split(chance, size) for split, size in SIZES.items()}


def _split(chance: random.Random, size: int) -> list[tuple[str, tuple[int, ...]]]:
    *feelings, neutral = CUES
    weights = [CUES[emotion][1] for emotion in feelings]
    rows = []
    for row in range(size):
        if row < 4 * len(feelings):  # four texts at least for the rarest emotion
            emotions = [feelings[row // 4]]
        elif chance.random() < 0.32:
            emotions = [neutral]
        else:
            several = chance.choices((1, 2, 3), (80, 18, 2))[0]
            emotions = list(dict.fromkeys(chance.choices(feelings, weights, k=several)))
        rows.append((_text(chance, emotions), tuple(sorted(map(list(CUES).index, emotions)))))
    chance.shuffle(rows)
    return rows


def _text(chance: random.Random, emotions: list[str]) -> str:
    clauses = [f"{chance.choice(SUBJECTS)} {chance.choice(MATTER)}"]
    for emotion in emotions:
        said = emotion
        if chance.random() < 0.12:
            said = NEIGHBOURS.get(emotion, emotion)
        if chance.random() > 0.06:
            clauses.append(chance.choice(CUES[said][0]))
    if chance.random() < 0.3:
        clauses.append(f"{chance.choice(SUBJECTS)} {chance.choice(MATTER)}")
    chance.shuffle(clauses)
    return chance.choice((", ", ". ", " - ")).join(clauses) + chance.choice(("", ".", "!", "..."))

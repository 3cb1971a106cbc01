"""Label sets: what a model may say about a text, in which order, and what is known about it.

GoEmotions with and without neutral, Ekman's emotions and sentiment are known; any other set
is made from the labels of a prediction file, in the file's own order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from goemo_report.contract import DATASET_NAME, PER_CLASS_STATISTICS
from goemo_report.errors import DataError
from goemo_report.formats.text import shown

LONGEST_LABEL: Final = 100
_AVERAGES: Final = ("macro", "micro", "weighted", "samples")


@dataclass(frozen=True, slots=True)
class Grouping:
    """Labels put together under coarser names; `source` says who grouped them."""

    name: str
    title: str
    groups: Mapping[str, tuple[str, ...]]
    source: str

    @property
    def short(self) -> str:
        """Its name as the head of a column."""
        return self.name.capitalize()

    def target(self, groups: Iterable[str]) -> LabelSet:
        """The groups as labels, with what is known about them."""
        names = tuple(groups)
        known = next((one for one in LABEL_SETS if one.name.lower() == self.name), None)
        return known.only(names) if known is not None else LabelSet.of(names)

    def group_of(self, label: str) -> str:
        """The group that holds a label; empty if none does."""
        return next((group for group, members in self.groups.items() if label in members), "")


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """One row as its source reports it. `bound` marks thresholds tuned on the test split."""

    model: str
    source: str
    threshold: str
    link: str
    macro_f1: float
    micro_f1: float | None = None
    bound: bool = False


@dataclass(frozen=True, slots=True)
class DataSet:
    """A published data set: its name in a run's config, its title, its name on the hub.

    `split_samples` has the number of texts in each official split.
    """

    name: str
    title: str
    hub: str
    split_samples: Mapping[str, int]

    def is_named(self, name: object) -> bool:
        """Whether a run's `dataset_name` means it, with or without an owner."""
        return isinstance(name, str) and name.rsplit("/", 1)[-1] == self.name


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels of a run in order, what one of them is called, and what is known about them.

    `title` heads a report. `data` is the data set that the labels belong to, and `board` holds
    results that others reported for all of the labels on its test split.
    """

    name: str
    labels: tuple[str, ...]
    noun: str = "label"
    title: str = "Multi-label"
    groupings: tuple[Grouping, ...] = field(default=(), compare=False)
    data: DataSet | None = field(default=None, compare=False)
    board: tuple[PublishedResult, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, labels: Iterable[str]) -> LabelSet:
        """These labels in this order, with what is known about them."""
        names = tuple(labels)
        known = known_set(names)
        return known.only(names) if known else cls(f"{len(names)} labels", names)

    @property
    def own_data(self) -> DataSet | None:
        """The data set that the labels mean on their own; with others a run has to name it."""
        return self.data if self.data is not None and self.data.title == self.title else None

    @property
    def a_noun(self) -> str:
        """One label with its article."""
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"

    @property
    def task(self) -> str:
        """What a model with these labels does: `multi-label emotion classification`."""
        return f"multi-label {'' if self.noun == 'label' else f'{self.noun} '}classification"

    @property
    def nouns(self) -> str:
        """What several labels are called."""
        return f"{self.noun}s"

    def only(self, labels: Iterable[str]) -> LabelSet:
        """Some of these labels, in another order if that is given; a part has no board."""
        names = tuple(labels)
        if len(names) == len(self.labels):
            return self if names == self.labels else replace(self, labels=names)
        return replace(self, name=f"{len(names)} {self.nouns}", labels=names, board=())

    def grouping(self, name: str) -> Grouping | None:
        """The grouping of a name, None where the labels have none."""
        return next((one for one in self.groupings if one.name == name), None)

    def by_group(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """(group, its labels) of the first grouping, without empty groups.

        Labels in no group come last, under an empty name.
        """
        groups = dict(self.groupings[0].groups) if self.groupings else {}
        grouped = {label for members in groups.values() for label in members}
        groups[""] = tuple(label for label in self.labels if label not in grouped)
        present = set(self.labels)
        kept = ((g, tuple(m for m in members if m in present)) for g, members in groups.items())
        return tuple((group, members) for group, members in kept if members)


# --- GoEmotions -----------------------------------------------------------------------

NEUTRAL: Final = "neutral"
EMOTIONS: Final = (
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion",
    "curiosity", "desire", "disappointment", "disapproval", "disgust", "embarrassment",
    "excitement", "fear", "gratitude", "grief", "joy", "love", "nervousness", "optimism",
    "pride", "realization", "relief", "remorse", "sadness", "surprise", NEUTRAL,
)  # fmt: skip
SPLIT_SAMPLES: Final = {"train": 43410, "val": 5426, "test": 5427}
_POSITIVE: Final = (
    "admiration", "amusement", "approval", "caring", "desire", "excitement", "gratitude", "joy",
    "love", "optimism", "pride", "relief",
)  # fmt: skip
_AMBIGUOUS: Final = ("confusion", "curiosity", "realization", "surprise")
_EKMAN: Final[Mapping[str, tuple[str, ...]]] = {
    "anger": ("anger", "annoyance", "disapproval"),
    "disgust": ("disgust",),
    "fear": ("fear", "nervousness"),
    "joy": _POSITIVE,
    "sadness": ("disappointment", "embarrassment", "grief", "remorse", "sadness"),
    "surprise": _AMBIGUOUS,
    NEUTRAL: (NEUTRAL,),
}
_SENTIMENT: Final[Mapping[str, tuple[str, ...]]] = {
    "positive": _POSITIVE,
    "negative": tuple(e for e in EMOTIONS if e not in (*_POSITIVE, *_AMBIGUOUS, NEUTRAL)),
    "ambiguous": _AMBIGUOUS,
    NEUTRAL: (NEUTRAL,),
}
_EKMAN_SENTIMENT: Final[Mapping[str, tuple[str, ...]]] = {
    "positive": ("joy",),
    "negative": ("anger", "disgust", "fear", "sadness"),
    "ambiguous": ("surprise",),
    NEUTRAL: (NEUTRAL,),
}
_PAPER: Final = "Demszky et al., ACL 2020"

_FOCAL: Final = "Kevin-Li-2025/goemotions-roberta-large-focal"
_FOCAL_MODEL: Final = "RoBERTa-large, focal loss, seed 42"
_SAMLOWE: Final = "samlowe/go_emotions-dataset"
_LIGHT: Final = "amnyarkhan/goemotions-lightweight-transformer-evaluation"
_BERT_SEEDS: Final = "duyanh0208/goemotions-emotion-classification"
_HUB: Final = "https://github.com/"
_TUNED: Final = "per class, tuned on validation"
# As read from the sources named; what cannot be looked up and cited is left out. All are on
# the "simplified" test split. Thresholds tuned on the test split give a bound, not a result.
_BOARD: Final = (
    PublishedResult("BERT-base cased", _PAPER, "fixed",
                    "https://aclanthology.org/2020.acl-main.372/", 0.46),
    PublishedResult("BERT-base cased", "monologg/GoEmotions-pytorch, README",
                    "fixed (0.3 in its pipeline example)",
                    f"{_HUB}monologg/GoEmotions-pytorch", 0.503),
    PublishedResult("RoBERTa-base", f"{_SAMLOWE}, notebook", "fixed 0.5",
                    f"{_HUB}{_SAMLOWE}", 0.450, 0.585),
    PublishedResult("RoBERTa-base", f"{_SAMLOWE}, notebook", "per class, tuned on test",
                    f"{_HUB}{_SAMLOWE}", 0.541, bound=True),
    PublishedResult(_FOCAL_MODEL, f"{_FOCAL}, README", "fixed 0.5", f"{_HUB}{_FOCAL}", 0.5184),
    PublishedResult(_FOCAL_MODEL, f"{_FOCAL}, README", "global, tuned on validation",
                    f"{_HUB}{_FOCAL}", 0.5320),
    PublishedResult(_FOCAL_MODEL, f"{_FOCAL}, README", _TUNED, f"{_HUB}{_FOCAL}", 0.5330, 0.5767),
    PublishedResult("DistilBERT", f"{_LIGHT}, README", _TUNED, f"{_HUB}{_LIGHT}", 0.5182),
    PublishedResult("TF-IDF + logistic regression", f"{_LIGHT}, README", _TUNED,
                    f"{_HUB}{_LIGHT}", 0.4458),
    PublishedResult("BERT-base uncased, 3 seeds", _BERT_SEEDS, "fixed 0.5",
                    f"{_HUB}{_BERT_SEEDS}", 0.4148, 0.466),
)  # fmt: skip
SAMPLING_ERROR: Final = 0.02
"""Half the width of a 95% interval of macro F1 on the test split of GoEmotions, about."""

GOEMOTIONS_DATA: Final = DataSet(
    DATASET_NAME, "GoEmotions", "google-research-datasets/go_emotions", SPLIT_SAMPLES
)
GOEMOTIONS: Final = LabelSet(
    "GoEmotions",
    EMOTIONS,
    "emotion",
    "GoEmotions",
    (
        Grouping("sentiment", "Sentiment", _SENTIMENT, _PAPER),
        Grouping("ekman", "Ekman emotions", _EKMAN, _PAPER),
    ),
    GOEMOTIONS_DATA,
    _BOARD,
)
WITHOUT_NEUTRAL: Final = replace(
    GOEMOTIONS, name="GoEmotions without neutral", labels=EMOTIONS[:-1], board=()
)
EKMAN: Final = LabelSet(
    "Ekman",
    tuple(_EKMAN),
    "emotion",
    "Ekman emotions",
    (Grouping("sentiment", "Sentiment", _EKMAN_SENTIMENT, _PAPER),),
    GOEMOTIONS_DATA,
)
SENTIMENT: Final = LabelSet(
    "sentiment", tuple(_SENTIMENT), "sentiment", "Sentiment", data=GOEMOTIONS_DATA
)
LABEL_SETS: Final = (GOEMOTIONS, WITHOUT_NEUTRAL, EKMAN, SENTIMENT)


def known_set(labels: Iterable[str]) -> LabelSet | None:
    """The known set with exactly these labels, in whatever order they are given."""
    names = sorted(labels)
    return next((known for known in LABEL_SETS if sorted(known.labels) == names), None)


def set_of(labels: Iterable[str], expected: Sequence[LabelSet] = ()) -> LabelSet:
    """The expected or known set with these labels in its own order, else one in their order."""
    names = tuple(labels)
    fitting = (one for one in expected if set(one.labels) == set(names))
    return next(fitting, None) or known_set(names) or LabelSet.of(names)


def logged_set(keys: Iterable[str]) -> LabelSet | None:
    """The labels for which at least two per-class test metrics were logged, None without any."""
    found: dict[str, int] = {}
    for key in keys:
        statistic, _, label = key.removeprefix("test/").partition("_")
        if key.startswith("test/") and statistic in PER_CLASS_STATISTICS:
            found[label] = found.get(label, 0) + 1
    labels = [label for label, times in found.items() if times > 1 and label not in _AVERAGES]
    return set_of(labels) if labels else None


def check_label(label: str, place: str) -> None:
    """Refuse a name that files and metric keys cannot carry. Raises DataError, naming `place`."""
    if not label or label != label.strip() or "," in label or not label.isprintable():
        why = "no name, or has a comma, a space at an end or a character that is not printed"
    elif len(label) > LONGEST_LABEL:
        why = f"longer than {LONGEST_LABEL} characters"
    elif label in _AVERAGES:
        why = "the name of an average, so that test/f1_macro could mean either"
    else:
        return
    raise DataError(f"{place}: the label {shown(label)} is {why}", "Rename the label")

"""Label sets: what a model may say about a text, in which order, and what is known about it.

GoEmotions with and without neutral, Ekman's emotions and sentiment are known; any other set
is made from the labels of a prediction file, in the file's own order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from goemo_report.contract import DATASET_NAME, PER_CLASS_STATISTICS, PROJECT
from goemo_report.errors import DataError
from goemo_report.formats.text import shown
from goemo_report.formats.wording import plural_of

LONGEST_LABEL: Final = 100
_MANY: Final = 20
"""So many labels are hardly those of another set that has as many."""
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
class Board:
    """Results that others reported on a test split.

    `sampling_error` is half the width of a 95% interval of macro F1 there, about.
    """

    results: tuple[PublishedResult, ...]
    sampling_error: float


@dataclass(frozen=True, slots=True)
class DataSet:
    """A published data set: its name in a run's config, its title, its name on the hub.

    `split_samples` has the number of texts in each official split, `config` the configuration
    on the hub that has them, and `project` is the W&B project of its runs. The rest is what is
    said of it, each left out where it is empty: `language` and `tag` in the front matter of a
    card, `use` (a paragraph), `description` (how the texts were labelled, after the title),
    `texts` (of what kind they are) and `citation` (BibTeX) in its body, and `repeats` (which
    texts occur several times) in a report.
    """

    name: str
    title: str
    hub: str
    split_samples: Mapping[str, int]
    config: str = ""
    project: str = ""
    language: str = ""
    tag: str = ""
    use: str = ""
    description: str = ""
    texts: str = ""
    citation: str = ""
    repeats: str = ""

    def is_named(self, name: object) -> bool:
        """Whether a run's `dataset_name` means it, with or without an owner."""
        return isinstance(name, str) and name.rsplit("/", 1)[-1] == self.name


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels of a run in order, what one of them is called, and what is known about them.

    `title` heads a report. `data` is the data set that the labels belong to, and `board` holds
    results that others reported for all of the labels on its test split. `rest` is the label of
    texts that no other fits, as neutral: a model may be trained without it. `tag` is that of the
    task on the hub, and `plural` what several labels are called where that is irregular.
    """

    name: str
    labels: tuple[str, ...]
    noun: str = "label"
    title: str = "Multi-label"
    groupings: tuple[Grouping, ...] = field(default=(), compare=False)
    data: DataSet | None = field(default=None, compare=False)
    board: Board | None = field(default=None, compare=False)
    rest: str = field(default="", compare=False)
    tag: str = field(default="", compare=False)
    plural: str = field(default="", compare=False)

    @classmethod
    def of(cls, labels: Iterable[str]) -> LabelSet:
        """These labels in this order, with what is known about them."""
        names = tuple(labels)
        known = known_set(names)
        if known is not None:
            return known.only(names)
        rest = next((one.rest for one in LABEL_SETS if one.rest in names), "")
        return cls(f"{len(names)} labels", names, rest=rest)

    @property
    def left_out(self) -> str:
        """The label of texts that no other fits where the set lacks it, else empty."""
        return "" if self.rest in self.labels else self.rest

    @property
    def with_rest(self) -> frozenset[str]:
        """The labels with the one that may be left out."""
        return frozenset((*self.labels, self.rest)) - {""}

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
        """Name of the task: `multi-label emotion classification`."""
        return f"multi-label {'' if self.noun == 'label' else f'{self.noun} '}classification"

    @property
    def nouns(self) -> str:
        """What several labels are called."""
        return self.plural or plural_of(self.noun)

    def only(self, labels: Iterable[str]) -> LabelSet:
        """Some of these labels, in another order if that is given; a part has no board."""
        names = tuple(labels)
        if len(names) == len(self.labels):
            return self if names == self.labels else replace(self, labels=names)
        rest = self.rest if self.rest in names else ""
        return replace(self, name=f"{len(names)} {self.nouns}", labels=names, board=None, rest=rest)

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
_BOARD: Final = Board((
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
), sampling_error=0.02)  # fmt: skip

GOEMOTIONS_DATA: Final = DataSet(
    DATASET_NAME,
    "GoEmotions",
    "google-research-datasets/go_emotions",
    SPLIT_SAMPLES,
    config="simplified",
    project=PROJECT,
    language="en",
    tag="goemotions",
    use="Labelling short English texts with the emotions that a reader would see in them; a text "
    "may carry several, or none. It suits research and aggregate analysis. It is not made for "
    "decisions about single people: the labels are readers' judgements, not writers' feelings.",
    description="Reddit comments, each labelled by three raters or more with 27 emotions and "
    "`neutral`; a label stays where at least two raters agree.",
    texts="English Reddit comments",
    citation="""\
@inproceedings{demszky-etal-2020-goemotions,
  title     = {{GoEmotions}: A Dataset of Fine-Grained Emotions},
  author    = {Demszky, Dorottya and Movshovitz-Attias, Dana and Ko, Jeongwoo and Cowen, Alan
               and Nemade, Gaurav and Ravi, Sujith},
  booktitle = {Proceedings of the 58th Annual Meeting of the Association for Computational
               Linguistics},
  year      = {2020},
  pages     = {4040--4054}
}""",
    repeats="short comments such as thanks",
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
    rest=NEUTRAL,
    tag="emotion-classification",
)
WITHOUT_NEUTRAL: Final = replace(
    GOEMOTIONS, name="GoEmotions without neutral", labels=EMOTIONS[:-1], board=None
)
EKMAN: Final = LabelSet(
    "Ekman",
    tuple(_EKMAN),
    "emotion",
    "Ekman emotions",
    (Grouping("sentiment", "Sentiment", _EKMAN_SENTIMENT, _PAPER),),
    GOEMOTIONS_DATA,
    rest=NEUTRAL,
    tag="emotion-classification",
)
SENTIMENT: Final = LabelSet(
    "sentiment", tuple(_SENTIMENT), "sentiment", "Sentiment", data=GOEMOTIONS_DATA, rest=NEUTRAL
)
LABEL_SETS: Final[tuple[LabelSet, ...]] = (GOEMOTIONS, WITHOUT_NEUTRAL, EKMAN, SENTIMENT)
"""The known sets. The guide's is the first: it is meant where nothing says anything else."""


# --- Which set is meant -----------------------------------------------------------------


def known_sets() -> tuple[LabelSet, ...]:
    """All known sets; the guide's is the first."""
    return LABEL_SETS


def named_sets() -> dict[str, tuple[LabelSet, ...]]:
    """The sets that each name means: one, and the same without the label that may be left out."""
    return {
        one.name.lower(): tuple(s for s in LABEL_SETS if s.with_rest == one.with_rest)
        for one in LABEL_SETS
        if not one.left_out
    }


def known_groupings() -> tuple[Grouping, ...]:
    """The groupings of all known sets."""
    return tuple(grouping for one in LABEL_SETS for grouping in one.groupings)


def is_known_label(name: str) -> bool:
    """Whether a set of a data set of its own has a label of this name."""
    return any(name in one.labels for one in LABEL_SETS if one.own_data)


def known_data(name: object) -> DataSet | None:
    """The known data set that a run's `dataset_name` means, with or without an owner."""
    found = (one.data for one in LABEL_SETS if one.data is not None and one.data.is_named(name))
    return next(found, None)


def guess(names: Iterable[str], count: int = 0) -> LabelSet | None:
    """The set that some of its labels mean, or how many there are; None where that is open.

    The names must belong to one set alone, which means its own data set. A set without the label
    for the rest is meant where that does not occur. `count` (0: not known) settles it by itself
    where a set has many labels.
    """
    seen = set(names)
    fitting = [one for one in LABEL_SETS if seen <= set(one.labels)]
    if count:
        sized = [one for one in fitting if len(one.labels) == count]
        certain = [one for one in sized if seen or (one.own_data and count >= _MANY)]
        return certain[0] if len(certain) == 1 else None
    if not seen or len({one.with_rest for one in fitting}) != 1:
        return None
    meant = [one for one in fitting if one.own_data]
    return next((one for one in meant if one.left_out), next(iter(meant), None))


def nearly_known(labels: Iterable[str], most: int) -> LabelSet | None:
    """The set of a data set of its own that differs in at most so many labels, and shares more."""
    held = set(labels)
    for one in LABEL_SETS:
        different = len(held.symmetric_difference(one.labels))
        if one.own_data and different <= most and different < len(held.intersection(one.labels)):
            return one
    return None


def configured_set(number: object, dataset: object) -> LabelSet | None:
    """The known set that a config means by `num_labels` and `dataset_name`, None without one.

    A set of another data set than the guide's is meant only where that is named.
    """
    sized = [one for one in LABEL_SETS if number in (None, len(one.labels))]
    named = [one for one in sized if one.data is not None and one.data.is_named(dataset)]
    if named or known_data(dataset) or (number is None and dataset):
        return next(iter(named), None)
    return next((one for one in sized if one.data is LABEL_SETS[0].data), None)


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

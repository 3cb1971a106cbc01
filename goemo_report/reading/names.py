"""How columns of prediction tables are named, and what a user says of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from goemo_report.labels import LabelSet

TEXTS: Final = (
    "text", "texts", "sentence", "sentences", "comment_text", "comment", "content", "tweet",
    "input", "input_text", "document", "utterance", "message", "review",
)  # fmt: skip
IDS: Final = (
    "id", "ids", "comment_id", "text_id", "example_id", "sample_id", "tweet_id", "row_id", "uid",
    "guid", "idx", "index",
)  # fmt: skip
TRUE: Final = (
    "true_labels", "true_label", "true", "y_true", "labels", "label", "gold", "gold_labels",
    "gold_label", "target", "targets", "actual", "ground_truth", "true_emotions", "emotions",
    "emotion", "labels_true", "reference", "references",
)  # fmt: skip
PREDICTED: Final = (
    "pred_labels", "pred_label", "pred", "preds", "y_pred", "predicted", "predicted_labels",
    "predicted_label", "prediction", "predictions", "pred_emotions", "labels_pred",
    "predicted_emotions", "predicted_emotion", "prediction_labels",
)  # fmt: skip
LISTS: Final = (
    "pred_probs", "pred_prob", "probs", "prob", "proba", "probability", "probabilities",
    "pred_probabilities", "y_prob", "y_probs", "y_proba", "y_score", "y_scores", "score", "scores",
    "p", "confidence", "confidences",
)  # fmt: skip
WORDS: Final = frozenset((*TRUE, *PREDICTED, *LISTS, *TEXTS, *IDS))
"""Names of columns that are no label's."""
STEMS: Final = {
    **dict.fromkeys(LISTS, "prob"),
    **dict.fromkeys((*PREDICTED[:11], "predictions"), "pred"),
    **dict.fromkeys(TRUE[:13], "true"),
}
STEM: Final = "|".join(sorted(STEMS, key=len, reverse=True))
BEFORE: Final = re.compile(rf"(?:.*\.)?({STEM})[_.\s:/-]+(.+)", re.IGNORECASE)
AFTER: Final = re.compile(rf"(.+?)[_.\s:/-]+({STEM})", re.IGNORECASE)
GUIDES: Final = ("text", "true_labels", "pred_labels")
LABEL: Final = "{label}"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a user says of prediction files, empty where nothing.

    A file must have the labels of one of the `expected` sets, and they are in that one's order.
    `true`, `pred` and `prob` name columns, or with `{label}` a column for each label. Those that
    `settings` lists are of [tool.goemo.columns], and hold for the files that have these columns.
    `cluster` names the column that says which texts belong together, where a file has it.
    """

    expected: tuple[LabelSet, ...] = ()
    true: str = ""
    pred: str = ""
    prob: str = ""
    settings: tuple[str, ...] = ()
    cluster: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """Key of caches; empty where the user says nothing."""
        said = (*(one.labels for one in self.expected), self.true, self.pred, self.prob)
        held = (*said, self.settings) if any(said) else ()
        return (*held, "cluster", self.cluster) if self.cluster else held


AS_FOUND: Final = Reading()
"""Nothing is said of the files."""

"""GoEmotions results that others reported in papers, READMEs and notebooks.

Figures are as read from the sources named; what cannot be looked up and cited is left out.

All are on the 28 labels and the "simplified" test split of 5,427 texts, unless a note says
otherwise. A row whose thresholds were tuned on the test split is a bound, not a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """One row as its source reports it. `bound` marks thresholds tuned on the test split."""

    model: str
    source: str
    threshold: str
    macro_f1: float | None = None
    micro_f1: float | None = None
    link: str | None = None
    bound: bool = False


_FOCAL: Final = "https://github.com/Kevin-Li-2025/goemotions-roberta-large-focal"
_SAMLOWE: Final = "https://github.com/samlowe/go_emotions-dataset"
_LIGHT: Final = "https://github.com/amnyarkhan/goemotions-lightweight-transformer-evaluation"

REFERENCE_BOARD: Final[tuple[PublishedResult, ...]] = (
    PublishedResult(
        "BERT-base cased",
        "Demszky et al., ACL 2020",
        "fixed",
        macro_f1=0.46,
        link="https://aclanthology.org/2020.acl-main.372/",
    ),
    PublishedResult(
        "BERT-base cased",
        "monologg/GoEmotions-pytorch, README",
        "fixed (0.3 in its pipeline example)",
        macro_f1=0.503,
        link="https://github.com/monologg/GoEmotions-pytorch",
    ),
    PublishedResult(
        "RoBERTa-base",
        "samlowe/go_emotions-dataset, notebook",
        "fixed 0.5",
        macro_f1=0.450,
        micro_f1=0.585,
        link=_SAMLOWE,
    ),
    PublishedResult(
        "RoBERTa-base",
        "samlowe/go_emotions-dataset, notebook",
        "per class, tuned on test",
        macro_f1=0.541,
        link=_SAMLOWE,
        bound=True,
    ),
    PublishedResult(
        "RoBERTa-large, focal loss, seed 42",
        "Kevin-Li-2025/goemotions-roberta-large-focal, README",
        "fixed 0.5",
        macro_f1=0.5184,
        link=_FOCAL,
    ),
    PublishedResult(
        "RoBERTa-large, focal loss, seed 42",
        "Kevin-Li-2025/goemotions-roberta-large-focal, README",
        "global, tuned on validation",
        macro_f1=0.5320,
        link=_FOCAL,
    ),
    PublishedResult(
        "RoBERTa-large, focal loss, seed 42",
        "Kevin-Li-2025/goemotions-roberta-large-focal, README",
        "per class, tuned on validation",
        macro_f1=0.5330,
        micro_f1=0.5767,
        link=_FOCAL,
    ),
    PublishedResult(
        "DistilBERT",
        "amnyarkhan/goemotions-lightweight-transformer-evaluation, README",
        "per class, tuned on validation",
        macro_f1=0.5182,
        link=_LIGHT,
    ),
    PublishedResult(
        "TF-IDF + logistic regression",
        "amnyarkhan/goemotions-lightweight-transformer-evaluation, README",
        "per class, tuned on validation",
        macro_f1=0.4458,
        link=_LIGHT,
    ),
    PublishedResult(
        "BERT-base uncased, 3 seeds",
        "duyanh0208/goemotions-emotion-classification",
        "fixed 0.5",
        macro_f1=0.4148,
        micro_f1=0.466,
        link="https://github.com/duyanh0208/goemotions-emotion-classification",
    ),
)

SAMPLING_ERROR: Final = 0.02
"""Half the width of a 95% interval of macro F1 on the test split, about."""

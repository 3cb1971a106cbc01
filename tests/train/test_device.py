"""What a device gets, and that the host never waits for it, as far as a CPU can tell."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    CamembertConfig,
    CamembertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    MPNetConfig,
    MPNetForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLNetConfig,
    XLNetForSequenceClassification,
)

from goemo_report.corpora.corpus import Corpus
from goemo_train import data, model
from goemo_train.config import TrainConfig
from goemo_train.data import Tokens
from goemo_train.model import READY_MASK, Classifier, MeanPooled, use_cheap_dropout
from goemo_train.optimiser import Optimiser, choose_loss

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
FEW: dict[str, Any] = {"vocab_size": 60, "num_labels": 3}
SIZES: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 48, **FEW}  # fmt: skip
MODELS: dict[str, Any] = {
    "albert": lambda: AlbertForSequenceClassification(AlbertConfig(**SIZES, embedding_size=16)),
    "bert": lambda: BertForSequenceClassification(BertConfig(**SIZES)),
    "camembert": lambda: CamembertForSequenceClassification(CamembertConfig(**SIZES)),
    "distilbert": lambda: DistilBertForSequenceClassification(
        DistilBertConfig(dim=32, n_layers=2, n_heads=4, hidden_dim=48, **FEW)
    ),
    "electra": lambda: ElectraForSequenceClassification(ElectraConfig(**SIZES, embedding_size=16)),
    "roberta": lambda: RobertaForSequenceClassification(RobertaConfig(**SIZES)),
    "xlm-roberta": lambda: XLMRobertaForSequenceClassification(XLMRobertaConfig(**SIZES)),
    # These make something else of a mask.
    "deberta": lambda: DebertaV2ForSequenceClassification(DebertaV2Config(**SIZES)),
    "modernbert": lambda: ModernBertForSequenceClassification(
        ModernBertConfig(**SIZES, local_attention=4, pad_token_id=0, classifier_pooling="mean")
    ),
    "mpnet": lambda: MPNetForSequenceClassification(MPNetConfig(**SIZES)),
    "xlnet": lambda: XLNetForSequenceClassification(
        XLNetConfig(d_model=32, n_layer=2, n_head=4, d_inner=48, **FEW)
    ),
}


class NoWait(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's, as below
    """Refuses what makes the host wait for a GPU: values that Python reads or sizes follow."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        aten = torch.ops.aten
        waits = (aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default)
        assert function not in waits, f"the host reads {args[0].shape}"
        return function(*args, **(kwargs or {}))


def no_wait() -> NoWait:
    return NoWait()  # type: ignore[no-untyped-call]


def padded(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return torch.randint(5, 60, mask.shape) * mask + ~mask, mask  # padding is 1, as RoBERTa's


@pytest.mark.parametrize("cheap", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_the_plain_model_with_its_own_mask(name: str, cheap: bool) -> None:
    torch.manual_seed(9)
    plain = MODELS[name]().eval()
    classifier = Classifier(copy.deepcopy(plain))
    if cheap:
        use_cheap_dropout(classifier.plain)
    for lengths in ([11, 3, 7, 2], [6, 6, 6, 6]):
        ids, mask = padded(lengths)
        with torch.no_grad():
            expected = plain(input_ids=ids, attention_mask=mask.long()).logits
            found = classifier.eval()(ids, None if mask.all() else mask)
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_attention_without_the_fused_kernel_takes_the_mask_as_it_is() -> None:
    plain = MODELS["bert"]().eval()
    plain.set_attn_implementation("eager")
    ids, mask = padded([5, 9])
    with torch.no_grad():
        expected = plain(input_ids=ids, attention_mask=mask.long()).logits
        torch.testing.assert_close(Classifier(plain)(ids, mask), expected)


@pytest.mark.parametrize("name", READY_MASK)
def test_no_forward_reads_its_mask(name: str) -> None:
    plain = MODELS[name]()
    for lengths in ([11, 3, 7, 2], [6, 6, 6, 6]):
        ids, mask = padded(lengths)
        given = None if mask.all() else mask
        with no_wait():
            Classifier(plain)(ids, given)
        with pytest.raises(AssertionError, match="the host reads"), no_wait():  # plain ones do
            plain(input_ids=ids, attention_mask=mask)


def test_a_mean_without_a_mask_is_over_all_tokens() -> None:
    pooled = MeanPooled(MODELS["bert"]()).eval()
    ids, mask = padded([6, 6, 6])
    assert torch.equal(pooled(ids, None), pooled(ids, mask))
    ids, mask = padded([6, 4])
    alone = pooled(ids[1:, :4], None)
    torch.testing.assert_close(pooled(ids, mask)[1:], alone, atol=1e-6, rtol=1e-6)


@pytest.fixture
def parts() -> tuple[TrainConfig, Corpus, Classifier, Tokens]:
    config = TrainConfig(model="tiny-bert", dataset="demo", limit=60, embedding_updates="all")
    corpus = data.load_corpus(config)
    classifier, tokenizer = model.load(config, corpus.labels)
    return config, corpus, classifier, data.tokenise(corpus.train, tokenizer, 64)


def test_no_step_waits(parts: tuple[TrainConfig, Corpus, Classifier, Tokens]) -> None:
    config, corpus, classifier, tokens = parts
    criterion = choose_loss(config, corpus.train.truth, CPU)
    optimiser = Optimiser(classifier, config)
    for rows in (np.arange(8), np.array([3, 3])):
        ids, mask, truth = tokens.batch(rows, CPU)
        with no_wait():
            criterion(classifier(ids, mask), truth).backward()  # type: ignore[no-untyped-call]
            optimiser.step(1e-3)


class Pinned:
    """A tensor in memory that a GPU copies from by itself; notes what is sent, and how."""

    sent: list[tuple[torch.device, bool]] = []  # noqa: RUF012 - one list for all of a test

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def to(self, device: torch.device, *, non_blocking: bool = False) -> torch.Tensor:
        self.sent.append((device, non_blocking))
        return self.tensor


def test_a_gpu_gets_its_batch_without_waiting(
    parts: tuple[TrainConfig, Corpus, Classifier, Tokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, tokens = parts
    rows = np.array([5, 1, 9])
    expected = tokens.batch(rows, CPU)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: Pinned(tensor))
    monkeypatch.setattr(Pinned, "sent", [])
    found = tokens.batch(rows, CUDA)
    assert Pinned.sent == [(CUDA, True)] * 3
    for mine, other in zip(found, expected, strict=True):
        assert mine is not None
        assert other is not None
        assert torch.equal(mine, other)


def test_a_batch_without_padding_has_no_mask(
    parts: tuple[TrainConfig, Corpus, Classifier, Tokens],
) -> None:
    *_, tokens = parts
    ids, mask, _ = tokens.batch(np.array([4, 4]), CPU)
    assert mask is None
    assert ids.shape == (2, tokens.lengths[4])

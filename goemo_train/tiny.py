"""Small models that are made on the spot, with a vocabulary from the demo corpus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaTokenizer,
)

from goemo_train import demo_corpus


def _tiny_bert(settings: dict[str, Any], dropout: float) -> tuple[Any, Any]:
    words = sorted({word for text in _demo_texts() for word in _words(text)})
    letters = sorted(set("abcdefghijklmnopqrstuvwxyz0123456789'") | set(".,!?-"))
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*specials, *letters, *(f"##{letter}" for letter in letters), *words]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = BertTokenizer(vocab=vocabulary, model_max_length=128)
    described = BertConfig(
        vocab_size=len(vocabulary), hidden_size=96, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=192, max_position_embeddings=128, initializer_range=0.08,
        hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, **settings,
    )  # fmt: skip
    return BertForSequenceClassification(described), tokenizer


def _tiny_roberta(settings: dict[str, Any], dropout: float) -> tuple[Any, Any]:
    from tokenizers import ByteLevelBPETokenizer

    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        _demo_texts(), vocab_size=600, special_tokens=specials, show_progress=False
    )
    state = json.loads(trained.to_str())["model"]
    merges = [tuple(m.split()) if isinstance(m, str) else tuple(m) for m in state["merges"]]
    tokenizer = RobertaTokenizer(vocab=state["vocab"], merges=merges, model_max_length=128)  # type: ignore[arg-type]  # pairs
    described = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=48, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=96, max_position_embeddings=130, pad_token_id=1, bos_token_id=0,
        eos_token_id=2, type_vocab_size=1, initializer_range=0.08,
        hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, **settings,
    )  # fmt: skip
    return RobertaForSequenceClassification(described), tokenizer


TINY = {"tiny-bert": _tiny_bert, "tiny-roberta": _tiny_roberta}


def _demo_texts() -> list[str]:
    return [text for text, _ in demo_corpus.generate()["train"]]


def _words(text: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in text).split()


@contextmanager
def threads_for(model: str) -> Iterator[None]:
    """One thread for a tiny model in the block: more of them only wait for each other."""
    before = torch.get_num_threads()
    if model in TINY:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

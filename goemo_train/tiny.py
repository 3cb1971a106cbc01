"""Small encoders for tests and demonstrations, with a vocabulary from the demo corpus."""

from __future__ import annotations

import json
from typing import Any

import transformers
from tokenizers import ByteLevelBPETokenizer

from goemo_report.corpora import demo


def _sizes(vocabulary: int, width: int, layers: int, heads: int, dropout: float) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary, "hidden_size": width, "num_hidden_layers": layers,
        "num_attention_heads": heads, "intermediate_size": 2 * width, "initializer_range": 0.08,
        "hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout,
    }  # fmt: skip


def _tiny_bert(settings: dict[str, Any], dropout: float) -> tuple[Any, Any]:
    letters = sorted("abcdefghijklmnopqrstuvwxyz0123456789'.,!?-")
    words = "".join(c if c.isalnum() else " " for c in " ".join(_texts())).split()
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    pieces += [*(f"##{letter}" for letter in letters), *sorted(set(words))]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    sizes = _sizes(len(vocabulary), 96, 2, 4, dropout)
    described = transformers.BertConfig(**sizes, max_position_embeddings=128, **settings)
    tokenizer = transformers.BertTokenizer(vocab=vocabulary, model_max_length=128)
    return transformers.BertForSequenceClassification(described), tokenizer


def _tiny_roberta(settings: dict[str, Any], dropout: float) -> tuple[Any, Any]:
    trained = ByteLevelBPETokenizer()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(_texts(), 600, special_tokens=specials, show_progress=False)
    state = json.loads(trained.to_str())["model"]
    merges: Any = [tuple(m.split()) if isinstance(m, str) else tuple(m) for m in state["merges"]]
    tokenizer = transformers.RobertaTokenizer(state["vocab"], merges, model_max_length=128)
    described = transformers.RobertaConfig(
        **_sizes(len(tokenizer), 48, 1, 2, dropout), max_position_embeddings=130, pad_token_id=1,
        bos_token_id=0, eos_token_id=2, type_vocab_size=1, **settings,
    )  # fmt: skip
    return transformers.RobertaForSequenceClassification(described), tokenizer


TINY = {"tiny-bert": _tiny_bert, "tiny-roberta": _tiny_roberta}


def _texts() -> list[str]:
    return [text for text, _ in demo.generate()["train"]]

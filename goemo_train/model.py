"""Encoders: loading, mean pooling, and the checkpoint directory that the guide asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
)

from goemo_report.errors import GoemoError, SettingsError
from goemo_train.config import Pooling, TrainConfig
from goemo_train.disk import flush
from goemo_train.tiny import TINY

MEAN_SCALE = 1e4  # how much the mean over tokens outweighs the first token before LayerNorm
POOLER_SCALE = 1e-4  # tanh is linear to 1e-7 in what the exported pooler sees
DROPOUT_NAMES = (
    "hidden_dropout_prob", "attention_probs_dropout_prob", "pooler_dropout", "cls_dropout",
    "dropout", "attention_dropout", "seq_classif_dropout", "classifier_dropout",
    "classifier_dropout_prob", "embedding_dropout", "mlp_dropout", "hidden_dropout",
    "summary_last_dropout",
)  # fmt: skip
READY_MASK = ("albert", "bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta")
"""Types whose attention takes a boolean mask (b, 1, t, t) as it is."""


class Classifier(nn.Module):
    """Ids and mask (b, t) to logits (b, k), through the model's own head.

    The mask is True at tokens; None: nothing is padded.
    """

    pooling: ClassVar[Pooling] = "default"

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.plain = plain

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Logits (b, k)."""
        logits: torch.Tensor = self.plain(
            input_ids=ids, attention_mask=self._ready(ids, mask)
        ).logits
        return logits

    def _ready(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor | None:
        """The mask as the model takes it without a look at its values: on GPU that waits."""
        config = self.plain.config
        if config.model_type not in READY_MASK or config._attn_implementation == "eager":
            return torch.ones_like(ids) if mask is None else mask.long()
        if mask is None:
            return None
        return mask.bool()[:, None, None].expand(-1, -1, mask.size(1), -1).contiguous()

    def output(self) -> nn.Linear:
        """The layer that makes the logits."""
        return [m for m in self.plain.modules() if isinstance(m, nn.Linear)][-1]

    def export(self) -> Any:
        """The model as a class that transformers loads by itself."""
        return self.plain

    def exported_size(self) -> int:
        """Parameters of what `export` gives."""
        return sum(p.numel() for p in self.plain.parameters())


class MeanPooled(Classifier):
    """A BERT whose head sees the LayerNorm of the mean over tokens.

    The same function exists as an ordinary BERT with one more layer: attention that is
    uniform (query and key zero) and copies (value identity) takes the mean, a large output
    weight lets it outweigh the first token, and a pooler scaled down to where tanh is linear
    passes it on. `export` writes that; what the first token still adds is trained as well, so
    that both give the same logits up to rounding.
    """

    pooling = "mean"

    def __init__(self, plain: BertForSequenceClassification) -> None:
        super().__init__(plain)
        config = plain.config
        plain.bert.pooler = None
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Logits (b, k)."""
        ready = self._ready(ids, mask)
        tokens = self.plain.bert(input_ids=ids, attention_mask=ready).last_hidden_state
        with torch.autocast(tokens.device.type, enabled=False):
            weights = torch.ones_like(ids) if mask is None else mask
            tokens, weights = tokens.float(), weights.unsqueeze(-1).float()
            mean = (tokens * weights).sum(1) / weights.sum(1)
            pooled = self.norm(tokens[:, 0] / MEAN_SCALE + mean)
            logits: torch.Tensor = self.plain.classifier(self.plain.dropout(pooled))
        return logits

    def output(self) -> nn.Linear:
        """The layer that makes the logits."""
        layer: nn.Linear = self.plain.classifier
        return layer

    def exported_size(self) -> int:
        """Those of the encoder and the head, of one more layer and of a pooler."""
        layer: int = sum(p.numel() for p in self.plain.bert.encoder.layer[0].parameters())
        width = int(self.plain.config.hidden_size)
        return super().exported_size() + layer + width * width + width

    @torch.no_grad()
    def export(self) -> Any:
        """An ordinary BERT of one more layer that gives the same logits."""
        config = BertConfig.from_dict(self.plain.config.to_dict())
        config.num_hidden_layers += 1
        bert: Any = BertForSequenceClassification(config)
        bert.load_state_dict(self.plain.state_dict(), strict=False)  # copies to the CPU
        layer = bert.bert.encoder.layer[-1]
        pieces = (
            (layer.attention.self.query, 0.0),
            (layer.attention.self.key, 0.0),
            (layer.attention.self.value, 1.0),
            (layer.attention.output.dense, MEAN_SCALE),
            (layer.intermediate.dense, 0.0),
            (layer.output.dense, 0.0),
            (bert.bert.pooler.dense, POOLER_SCALE),
        )
        for module, scale in pieces:
            module.weight.copy_(scale * torch.eye(*module.weight.shape))
            module.bias.zero_()
        layer.output.LayerNorm.load_state_dict(self.norm.state_dict())
        bert.classifier.weight.div_(POOLER_SCALE)
        return bert


@torch.no_grad()
def _undo_export(plain: BertForSequenceClassification) -> MeanPooled:
    """The model that `MeanPooled.export` wrote, ready to be trained further."""
    layer: Any = plain.bert.encoder.layer[-1]
    plain.bert.encoder.layer = plain.bert.encoder.layer[:-1]
    plain.config.num_hidden_layers -= 1
    plain.classifier.weight.mul_(POOLER_SCALE)
    model = MeanPooled(plain)
    model.norm.load_state_dict(layer.output.LayerNorm.state_dict())
    return model


def _is_export(plain: Any) -> bool:
    """Whether the last layer attends uniformly, as only an exported mean does."""
    if not isinstance(plain, BertForSequenceClassification):
        return False
    layer: Any = plain.bert.encoder.layer[-1]
    attention = layer.attention.self
    return not (attention.query.weight.any() or attention.key.weight.any())


def load(config: TrainConfig, labels: tuple[str, ...]) -> tuple[Classifier, Any]:
    """The encoder with a fresh multi-label head, and its tokenizer.

    Raises:
        GoemoError: the model cannot be had.

    """
    settings = {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
        "problem_type": "multi_label_classification",
    }
    if config.model in TINY:
        plain, tokenizer = TINY[config.model](settings, config.dropout)
    else:
        try:
            described = AutoConfig.from_pretrained(config.model, **settings)
            _set_dropout(described, config.dropout)
            tokenizer = AutoTokenizer.from_pretrained(config.model)
            plain = AutoModelForSequenceClassification.from_pretrained(
                config.model, config=described, dtype=torch.float32, ignore_mismatched_sizes=True
            )
        except (OSError, ValueError, KeyError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise GoemoError(
                f"the model {config.model} cannot be loaded: {reason}",
                "Give --model a hub name or a directory of config, weights and tokenizer; without "
                "network, HF_HOME must hold it (HF_HUB_OFFLINE=1)",
            ) from error
    if tokenizer.pad_token_id is None or not tokenizer.is_fast:
        raise GoemoError(f"{config.model} has no fast tokenizer with padding", "Use an encoder")
    limit = getattr(plain.config, "max_position_embeddings", config.max_seq_length)
    limit -= 2 if plain.config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
    if 0 < limit < config.max_seq_length:  # XLNet says -1: any
        raise SettingsError(
            f"--max-seq-length is {config.max_seq_length}", f"{config.model} reads at most {limit}"
        )
    if _is_export(plain):  # its scaled layer cannot be trained as it is
        return _undo_export(plain), tokenizer
    if config.pooling != "default" and isinstance(plain, BertForSequenceClassification):
        return MeanPooled(plain), tokenizer
    if config.pooling == "mean":
        raise SettingsError(
            f"--pooling mean is made for BERT types, {config.model} is a {plain.config.model_type}",
            "Give --pooling default",
        )
    return Classifier(plain), tokenizer


def encoder_layers(plain: Any) -> list[nn.Module]:
    """The layers of an encoder from the embeddings on: its longest list of modules."""
    lists = [m for m in plain.modules() if isinstance(m, nn.ModuleList)]
    return list(max(lists, key=len, default=()))


def _set_dropout(described: Any, dropout: float) -> None:
    """Set the rates that are above zero in the model's config or by default in its type.

    Rates that are zero by design stay, and those at None follow another. A model without any
    (ModernBERT) has its classifier's set.
    """
    usual = type(described)()  # what was trained with --dropout 0 has zeros of its own
    rates = [name for name in DROPOUT_NAMES if getattr(described, name, None) is not None]
    used = [name for name in rates if getattr(described, name) or getattr(usual, name, 0)]
    used = used or [name for name in rates if name == "classifier_dropout"]
    if dropout and not used:
        raise SettingsError(f"a {described.model_type} has no dropout to set", "Give --dropout 0")
    for name in used:
        setattr(described, name, dropout)


def start_bias(model: Classifier, truth: npt.NDArray[np.bool_]) -> None:
    """Start the output bias at each label's log-odds in the training split."""
    positives = truth.sum(0) + 0.5
    odds = np.log(positives / (len(truth) + 1 - positives))
    with torch.no_grad():
        model.output().bias.copy_(torch.from_numpy(odds))


def save_checkpoint(model: Classifier, tokenizer: Any, directory: Path) -> None:
    """Write the guide's checkpoint directory, which is new, and have it on the disk.

    transformers by itself writes `model.safetensors` and one `tokenizer.json`; the guide
    wants `pytorch_model.bin` and the vocabulary files, so they are written here.
    """
    directory.mkdir()
    plain = model.export()
    plain.config.architectures = [type(plain).__name__]
    plain.config.save_pretrained(directory)
    weights = {k: v.detach().cpu().contiguous() for k, v in plain.state_dict().items()}
    with (directory / "pytorch_model.bin").open("wb") as file:  # tells why it cannot be written
        torch.save(weights, file)
    tokenizer.save_pretrained(directory)
    tokenizer.backend_tokenizer.model.save(str(directory))
    special = json.dumps(tokenizer.special_tokens_map, indent=2, default=str)
    (directory / "special_tokens_map.json").write_text(special + "\n", "utf-8")
    for path in directory.iterdir():
        flush(path)


def load_checkpoint(directory: Path) -> Classifier:
    """A saved checkpoint, loaded as anyone would load it."""
    return Classifier(AutoModelForSequenceClassification.from_pretrained(directory))

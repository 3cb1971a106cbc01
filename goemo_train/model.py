"""Encoders: loading, mean pooling, cheap dropout, and the checkpoint that the guide asks for."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
import transformers
from torch import nn
from torch.nn import functional
from transformers.masking_utils import sdpa_mask

from goemo_report.checkpoints.checkpoint import most_tokens
from goemo_report.errors import GoemoError, SettingsError, first_line
from goemo_report.formats.json_text import to_json
from goemo_train.config import Pooling, TrainConfig
from goemo_train.run_directory import flush
from goemo_train.tiny import TINY

MEAN_SCALE = 1e4  # how much the mean over tokens outweighs the first token before LayerNorm
POOLER_SCALE = 1e-4  # tanh is linear to 1e-7 in what the exported pooler sees
NAME_LOGIT = 10.0  # of a text whose features are those of the label's name, before the bias
READY_MASK = ("albert", "bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta")
"""Types whose attention takes a boolean mask (b, 1, t, t) as it is."""


class Classifier(nn.Module):
    """Ids and mask (b, t) to logits (b, k), through the model's own head.

    The mask is True at tokens; None: nothing is padded.
    """

    pooling: ClassVar[Pooling] = "default"
    new_head = True  # False: a trained one was loaded

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.plain = plain
        self.exported_size = _size(plain)  # parameters of what `export` gives

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Logits (b, k)."""
        logits: torch.Tensor = self.plain(ids, attention_mask=self._ready(ids, mask)).logits
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

    def draws_by_thread(self) -> bool:
        """Whether all that training draws at random comes from the thread's own generator."""
        config = self.plain.config
        return config.model_type in READY_MASK and config._attn_implementation == ATTENTION

    def layers(self) -> list[nn.Module]:
        """The encoder's layers from the embeddings on: its longest list of modules."""
        lists = [m for m in self.plain.modules() if isinstance(m, nn.ModuleList)]
        return list(max(lists, key=len, default=()))

    def export(self) -> Any:
        """The model as a class that transformers loads by itself."""
        return self.plain


def _size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


class MeanPooled(Classifier):
    """A BERT whose head sees the LayerNorm of the mean over tokens.

    The same function exists as an ordinary BERT with one more layer: attention that is
    uniform (query and key zero) and copies (value identity) takes the mean, a large output
    weight lets it outweigh the first token, and a pooler scaled down to where tanh is linear
    passes it on. `export` writes that; what the first token still adds is trained as well, so
    that both give the same logits up to rounding.
    """

    pooling = "mean"

    def __init__(self, plain: transformers.BertForSequenceClassification) -> None:
        super().__init__(plain)
        self.exported_size += _size(plain.bert.encoder.layer[-1])
        plain.bert.pooler = None
        self.norm = nn.LayerNorm(plain.config.hidden_size, eps=plain.config.layer_norm_eps)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Logits (b, k)."""
        found = self.plain.bert(ids, attention_mask=self._ready(ids, mask))
        tokens = found.last_hidden_state
        with torch.autocast(tokens.device.type, enabled=False):
            weights = torch.ones_like(ids) if mask is None else mask
            tokens, weights = tokens.float(), weights.unsqueeze(-1).float()
            mean = (tokens * weights).sum(1) / weights.sum(1)
            pooled = self.norm(tokens[:, 0] / MEAN_SCALE + mean)
            logits: torch.Tensor = self.plain.classifier(self.plain.dropout(pooled))
        return logits

    @torch.no_grad()
    def export(self) -> Any:
        """An ordinary BERT of one more layer that gives the same logits."""
        config = transformers.BertConfig.from_dict(self.plain.config.to_dict())
        config.num_hidden_layers += 1
        bert: Any = transformers.BertForSequenceClassification(config)
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
def _undo_export(plain: transformers.BertForSequenceClassification) -> MeanPooled | None:
    """The model that `MeanPooled.export` wrote, ready to be trained further; None: it is none.

    Its scaled layer cannot be trained as it is; no other model attends uniformly.
    """
    layer: Any = plain.bert.encoder.layer[-1]
    if layer.attention.self.query.weight.any() or layer.attention.self.key.weight.any():
        return None
    plain.bert.encoder.layer = plain.bert.encoder.layer[:-1]
    plain.config.num_hidden_layers -= 1
    plain.classifier.weight.mul_(POOLER_SCALE)
    model = MeanPooled(plain)
    model.norm.load_state_dict(layer.output.LayerNorm.state_dict())
    return model


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
    name, loaded = config.model, {"missing_keys": True}
    if name in TINY:
        plain, tokenizer = TINY[name](settings, config.dropout)
    else:
        try:
            described = transformers.AutoConfig.from_pretrained(name, **settings)
            _set_dropout(described, config.dropout)
            tokenizer = transformers.AutoTokenizer.from_pretrained(name)
            plain, loaded = transformers.AutoModelForSequenceClassification.from_pretrained(
                name, config=described, dtype=torch.float32, ignore_mismatched_sizes=True,
                output_loading_info=True,
            )  # fmt: skip
        except (OSError, ValueError, KeyError) as error:
            raise GoemoError(
                f"the model {name} cannot be loaded: {first_line(error)}",
                "Give --model a hub name or a directory of config, weights and tokenizer; without "
                "network, HF_HOME must hold it (HF_HUB_OFFLINE=1)",
            ) from error
    if tokenizer.pad_token_id is None or not tokenizer.is_fast:
        raise GoemoError(f"{name} has no fast tokenizer with padding", "Use an encoder")
    kind, asked = plain.config.model_type, config.max_seq_length
    if (limit := most_tokens(plain.config) or asked) < asked:
        raise SettingsError(f"--max-seq-length is {asked}", f"{name} reads at most {limit}")
    bert = isinstance(plain, transformers.BertForSequenceClassification)
    if config.pooling == "mean" and not bert:
        what = f"--pooling mean is made for BERT types, {name} is a {kind}"
        raise SettingsError(what, "Give --pooling default")
    mean = MeanPooled if bert and config.pooling != "default" else Classifier
    classifier = (bert and _undo_export(plain)) or mean(plain)
    classifier.new_head = bool(loaded["missing_keys"] or loaded.get("mismatched_keys"))
    return classifier, tokenizer


def _set_dropout(described: Any, dropout: float) -> None:
    """Set the rates that are above zero in the model's config or by default in its type.

    Rates that are zero by design stay, and those at None follow another. A model without any
    (ModernBERT) has its classifier's set.
    """
    usual = type(described)()  # what was trained with --dropout 0 has zeros of its own
    named = {key: value for key, value in vars(described).items() if "dropout" in key}
    rates = [key for key, value in named.items() if type(value) in (float, int)]
    used = [key for key in rates if getattr(described, key) or getattr(usual, key, 0)]
    used = used or [key for key in rates if key == "classifier_dropout"]
    if dropout and not used:
        raise SettingsError(f"a {described.model_type} has no dropout to set", "Give --dropout 0")
    for key in used:
        setattr(described, key, dropout)


def start_bias(model: Classifier, truth: npt.NDArray[np.bool_]) -> None:
    """Start the output bias at each label's log-odds in the training split."""
    positives = truth.sum(0) + 0.5
    odds = np.log(positives / (len(truth) + 1 - positives))
    with torch.no_grad():
        model.output().bias.copy_(torch.from_numpy(odds))


@torch.no_grad()
def start_weights(model: Classifier, tokenizer: Any, labels: tuple[str, ...]) -> None:
    """Start the output weights of each label at the direction of its name in the encoder.

    The mean direction of all names is taken away first: it tells no label from another.
    """
    features: list[torch.Tensor] = []
    head = model.output()
    hook = head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    names = [label.replace("_", " ") for label in labels]
    encoded = tokenizer(names, padding=True, truncation=True, return_tensors="pt")
    model.eval()(encoded["input_ids"], encoded["attention_mask"].bool())
    hook.remove()
    found = features[0]
    directions = functional.normalize(found - found.mean(0))
    head.weight.copy_(NAME_LOGIT / found.norm(dim=1).mean() * directions)


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
    special = to_json(tokenizer.special_tokens_map)
    (directory / "special_tokens_map.json").write_text(special, "utf-8")
    for path in directory.iterdir():
        flush(path)


def load_checkpoint(directory: Path) -> Classifier:
    """A saved checkpoint, loaded as anyone would load it."""
    return Classifier(transformers.AutoModelForSequenceClassification.from_pretrained(directory))


# --- Dropout on CPU ---------------------------------------------------------------------
# torch draws each of millions of random numbers a step by itself there, an eighth of the time
# of a step. Here one 64-bit number of its generator decides over four elements, 16 bits each;
# the probability is rounded to a multiple of 2^-16 and the scale follows it exactly.

LEVELS = 2**16
ATTENTION = "goemo_cpu"
RANDOM = threading.local()
"""`generator` of a thread is what its dropout draws from, else torch's own."""


def drop(x: torch.Tensor, p: float) -> torch.Tensor:
    """Zero each element with probability `p`, and scale the others by 1 / (1 - p)."""
    dropped = round(p * LEVELS)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64)
    bits.random_(-(2**63), None, generator=getattr(RANDOM, "generator", None))
    # numpy compares 16-bit numbers four times as fast as torch.
    levels = bits.numpy().view(np.int16)[: x.numel()]
    kept = (levels >= dropped - LEVELS // 2).view(np.uint8)  # a plain int: all in 16 bits
    mask = torch.from_numpy(kept).view(x.shape)  # a product with it is fast, with bool not
    return (x * mask).mul_(LEVELS / (LEVELS - dropped))


class Dropout(nn.Dropout):
    """`nn.Dropout` by `drop`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The tensor, with dropout while training."""
        return drop(x, self.p) if self.training and self.p else x


def attention(
    _module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
    attention_mask: torch.Tensor | None, scaling: float | None = None, dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Softmax attention of (b, heads, t, d) in transformers' form; gives (b, t, heads, d).

    The mask is True where a token may be seen. Without dropout torch's own kernel is best.
    """
    if not dropout:
        fused = functional.scaled_dot_product_attention
        mixed = fused(query, key, value, attention_mask, scale=scaling)
        return mixed.transpose(1, 2).contiguous(), None
    scores = (query * (scaling or query.size(-1) ** -0.5)) @ key.transpose(2, 3)
    if attention_mask is not None:
        # A sum, as its gradient costs nothing; that of a fill is one more pass over all scores.
        scores = scores + torch.where(attention_mask, 0.0, torch.finfo(scores.dtype).min)
    weights = drop(scores.softmax(-1).to(value.dtype), dropout)
    return (weights @ value).transpose(1, 2).contiguous(), None


def use_cheap_dropout(plain: Any) -> None:
    """Give a model of transformers this dropout, in place; its function stays the same.

    Models that do not leave attention to transformers' own interface keep theirs.
    """
    for module in plain.modules():
        if type(module) is nn.Dropout:
            module.__class__ = Dropout
    if plain.config._attn_implementation == "sdpa":
        transformers.AttentionInterface.register(ATTENTION, attention)
        transformers.AttentionMaskInterface.register(ATTENTION, sdpa_mask)
        plain.set_attn_implementation(ATTENTION)

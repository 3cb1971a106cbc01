"""The parts of a model card that are the same for every run."""

from __future__ import annotations

from typing import Final

INTENDED_USE: Final = (
    "Labelling short English texts with the emotions that a reader would see in them; a text may "
    "carry several, or none. It suits research and aggregate analysis. It is not made for "
    "decisions about single people: the labels are readers' judgements, not writers' feelings."
)
OTHER_USE: Final = (
    "Labelling texts like those that it was trained on with these {nouns}: {names}. A text may "
    "carry several, or none. It is not made for decisions about single people."
)
DATA: Final = (
    "[GoEmotions](https://huggingface.co/datasets/google-research-datasets/go_emotions) "
    "(simplified): Reddit comments, each labelled by three raters or more with 27 emotions and "
    "`neutral`; a label stays where at least two raters agree."
)
EVALUATION_NOTE: Final = (
    "Recomputed from the run's predictions; 95% intervals in brackets. Micro averages are taken "
    "over all text and {noun} pairs, macro averages over {nouns}. A ratio with an empty "
    "denominator counts as 0."
)
THRESHOLD_CODE: Final = """\
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

directory = "DIRECTORY"  # of the checkpoint, or its name on the hub
texts = ["You made my day!", "Why would anyone do that?"]
thresholds = THRESHOLDS

model = AutoModelForSequenceClassification.from_pretrained(directory)
tokenizer = AutoTokenizer.from_pretrained(directory)
tokens = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=LENGTH)
with torch.no_grad():
    probabilities = model(**tokens).logits.sigmoid().tolist()
for text, row in zip(texts, probabilities):
    named = {model.config.id2label[i]: p for i, p in enumerate(row)}
    print(text, {label: p for label, p in named.items() if p >= thresholds[label]})"""
CITATION: Final = """\
@inproceedings{demszky-etal-2020-goemotions,
  title     = {{GoEmotions}: A Dataset of Fine-Grained Emotions},
  author    = {Demszky, Dorottya and Movshovitz-Attias, Dana and Ko, Jeongwoo and Cowen, Alan
               and Nemade, Gaurav and Ravi, Sujith},
  booktitle = {Proceedings of the 58th Annual Meeting of the Association for Computational
               Linguistics},
  year      = {2020},
  pages     = {4040--4054}
}"""

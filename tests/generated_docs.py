"""The parts of docs/ that follow from the code: help texts and the contract.

`python -m tests.generated_docs` writes them anew; `tests/test_docs.py` holds them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from goemo_report import contract
from goemo_report.audit import RULES
from goemo_report.audit.registry import Severity
from goemo_report.cli import goemo_report as main
from goemo_report.formats.json_text import SCHEMA_VERSION
from goemo_report.labels import GOEMOTIONS, LABEL_SETS
from goemo_train.config import COMMAND, PRESETS, TrainConfig

SEVERITY_MEANINGS: dict[Severity, str] = {
    "error": "the guide asks for it and it is missing or wrong, or a logged figure is not true",
    "warning": "the run can be read, but something about it is likely to mislead",
    "note": "the run spells it otherwise than the guide; goemo-report reads it all the same",
}
SENTIMENT, EKMAN = GOEMOTIONS.groupings
ROOT = Path(__file__).parent.parent
WIDTH = 92


def commands_page() -> str:
    """docs/commands.md: the help text of every command."""
    parts = [
        "# Commands\n",
        "Written by `make docs` from the commands themselves.\n",
        "## goemo-report\n",
        _block(_help(main, "goemo-report", None)),
    ]
    context = click.Context(main, info_name="goemo-report", **main.context_settings)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        parts += [f"## goemo-report {name}\n", _block(_help(command, name, context))]
    parts += ["## goemo-train\n", _block(_help(COMMAND, "goemo-train", None))]
    return "\n".join(parts)


def contract_page() -> str:
    """docs/contract.md: names, keys, columns and artifacts, from contract.py."""
    parts = [
        "# The contract\n",
        (
            "What runs and reports agree on. Written by `make docs` from "
            "`goemo_report/contract.py`; reading also takes the spellings at the end.\n"
        ),
        (
            f"Project: `{contract.PROJECT}`. Run name: `{{model_name}}-{{YYYYMMDD}}-{{HHMMSS}}`. "
            "Tags: the model name; "
            f"one of {_codes(contract.PHASE_TAGS)}; one of {_codes(contract.STATUS_TAGS)}.\n"
        ),
        "## Labels\n",
        (
            "A run has two labels or more, those of its `pred_probs_` columns; the keys of a class "
            "follow them. Any set is taken, in the file's own order. A name holds no comma, has no "
            "space at its ends and is not that of an average (macro, micro, weighted, samples). "
            "These sets are known:\n"
        ),
        "| set | labels in order |",
        "| --- | --- |",
        *(f"| {known.name} | {', '.join(known.labels)} |" for known in LABEL_SETS),
        "",
        "GoEmotions can be rolled up to groups:\n",
        "| group | members |",
        "| --- | --- |",
        *(f"| Ekman: {name} | {', '.join(group)} |" for name, group in EKMAN.groups.items()),
        *(f"| {name} | {', '.join(group)} |" for name, group in SENTIMENT.groups.items()),
        "",
        "## Config\n",
        _keys(contract.CONFIG_KEYS),
        "System information, in the config as well:\n",
        _keys(contract.SYSTEM_KEYS),
        "## Metrics of each epoch\n",
        "Logged with `step=epoch`.\n",
        _keys(contract.EPOCH_METRICS),
        "## Metrics after training\n",
        _keys(contract.OVERALL_METRICS),
        "For each label:\n",
        _keys(
            contract.Key(contract.per_class_metric(name, "{emotion}"), kind, f"{name} of it")
            for name, kind in contract.PER_CLASS_STATISTICS.items()
        ),
        "Of the training:\n",
        _keys(contract.SUMMARY_METRICS),
        (
            "A bare `auc` is the micro average, over all text x label pairs. The macro average "
            "is always logged beside it:\n"
        ),
        _keys(contract.MACRO_AUC_METRICS),
        "## Artifacts\n",
        *_artifacts(),
        "## Other spellings that are read\n",
        (
            "Real runs differ from the above in a few ways. These are read as if they kept it; "
            "nothing is ever written so.\n"
        ),
        "| found | read as |",
        "| --- | --- |",
        "| columns `pred_prob_{emotion}` | `pred_probs_{emotion}` |",
        "| `test/auc_micro`, `test/auc_macro` | `test/auc`, `test/macro_auc` |",
        (
            "| `test/f1_macro`, `test/precision_micro`, ... | `test/macro_f1`, "
            "`test/micro_precision`, ... |"
        ),
        "| `model.safetensors` | `pytorch_model.bin` |",
        f"| run files below `{contract.PREDICTIONS_FOLDER}` | the prediction artifacts |",
        "",
        "## JSON documents\n",
        (
            f"Every document that a command writes has a `schema_version`, which is "
            f"{SCHEMA_VERSION}. It rises with a release that renames or removes something, and "
            "what changed is listed here."
        ),
        "",
        (
            "2 (0.2.0): the blocks of a report's `sections` have no kinds `facts` and `prose`; a "
            "`plot` lost `choose` and `connect`, a series `hidden`, an axis the scale `log`, a "
            "`heatmap` `row_title` and `column_title`. Thresholds of version 1 are still read."
        ),
        "",
        CALIBRATION,
    ]
    return "\n".join(parts)


CALIBRATION = """\
`compare` has, under `data.runs[].calibration` (null without probabilities): `methods`, one
for the predictions as they are and one each for `temperature` and `isotonic` where there are
validation predictions to fit on, with `ece`, `floor` (the ECE of a perfectly calibrated copy:
`value`, `low`, `high`), `debiased`, `log_loss`, `brier`, `macro_f1` at 0.5, `tuned_macro_f1`, the
gains in log loss and Brier score (`value`, `low`, `high`) and the `temperature`; and `selective`:
`error` (1 minus micro F1) and `hamming` over `coverage`, with their areas `error_aurc` and `aurc`.

`data.standing` is the verdict as numbers: `best` against `other` in `metric`, `difference` with
`low`, `high`, `p` and `verdict`, and `decision` against the margin (null where runs are not
paired): `answer` (`better`, `worse`, `equivalent`, `undecided`), `p_equivalence`, `detectable`, the
`texts` and `seeds` that would find a difference of `margin`, and the `carriers` of the variance
with what is `carried`.

With `--raters` it has `data.raters`, by run id (else empty): `rater` and `run`, each with
`macro_f1`, `micro_f1` and `f1` of each label against the labels that the other raters chose
(`value`, `low`, `high`), their `gap` in macro F1, `soft` (`cross_entropy` of the raters' shares,
`above` their entropy, which is `floor`, with its `interval`), the numbers of `texts` compared, of
those `unrated`, `rated` and `open` (no two raters agree beside a third), and `as_true`, the share
of rated texts whose true labels are those that two raters chose.
"""


def audit_page() -> str:
    """docs/audit.md: what the audit judges, from its rules."""
    severities = "".join(
        f"- **{severity}**: {meaning}.\n" for severity, meaning in SEVERITY_MEANINGS.items()
    )
    return AUDIT.format(number=len(RULES), severities=severities, rules=_rule_table())


def _rule_table() -> str:
    lines = ["| rule | severity | requires | what to do |", "| --- | --- | --- | --- |"]
    for rule in (one.worded(replace(GOEMOTIONS, noun="label")) for one in RULES):
        requires, remedy = _cell(rule.requires), _cell(rule.remedy)
        lines.append(f"| `{rule.id}` | {rule.severity} | {requires} | {remedy} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text of ours in a Markdown table: braces, stars and underscores are no markup there."""
    for character in ("\\", "*", "_", "|", "<"):
        text = text.replace(character, f"\\{character}")
    return text


AUDIT = """\
# The audit

Written by `make docs` from the rules in `goemo_report/audit/`.

`goemo-report audit` asks {number} rules about each run: whether it keeps the W&B guide, and
whether what it logged is what its predictions say. Weights are not downloaded, only the
checkpoint's `config.json`; `goemo-report verify` loads the weights.

```console
$ goemo-report audit RUN
$ goemo-report audit --tag final --strict
$ goemo-report audit --tag final --format github
```

## Severity

{severities}
Errors make the exit code 3; with `--strict` warnings do as well. A run that may be meant and
cannot be read is an error, `run-readable`. A run of `goemo-train` has no
finding at all. Prediction files that no run logged are held against the rules about predictions
and against those about keys that a `config.*` beside them has; a line says how many rules are
left out.

## Waivers

A rule that need not be kept is waived in `pyproject.toml`, with the reason. Its findings are
still listed, under "Waived", and fail nothing. The name of a rule that does not exist is an
error.

```toml
[tool.goemo.waive]
tags-status = "runs get their status when the paper is out"
artifact-per-class-metrics = "recomputed by every report"
```

## How truth is judged

Metrics are recomputed from the exported predictions, F1, precision and recall with the labels
that the file itself predicts. A figure is true when it differs by no more than half a unit of the
third decimal; counts must be equal. Where a wrong figure equals another average, or the same
metric at threshold 0.5, the finding says so. Validation metrics are compared with those of the
best epoch, and differences are warnings: they were measured within training, perhaps in another
precision.

Runs that spell things otherwise (`test/f1_macro`, `pred_prob_joy`, `model.safetensors`,
predictions as files of the run) get notes, because `goemo-report` reads them all the same. What
is missing is an error in any spelling.

## Formats

`--format table` and `md` group the findings by severity. `--format json` is one document:
`{{"schema_version", "passed", "strict", "runs": [{{"run", "passed", "rules", "left_out",
"counts", "findings": [{{"rule", "subject", "severity", "finding", "requires", "remedy",
"waived"}}]}}]}}`.
`--format github` prints one workflow command a finding, which GitHub Actions shows as an
annotation; it shows ten of each severity a step. See [the quality gate](quality-gate.md).

## Rules

{rules}"""


def training_page() -> str:
    """docs/training.md: written by hand but for the table of recipes."""
    page = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    before, _, rest = page.partition(RECIPES[0])
    _, _, after = rest.partition(RECIPES[1])
    return f"{before}{RECIPES[0]}\n{_recipes()}{RECIPES[1]}{after}"


RECIPES = ("<!-- recipes: written by `make docs` -->", "<!-- end of recipes -->")


def _recipes() -> str:
    keys = list(dict.fromkeys(key for _, recipe in PRESETS for key in recipe))
    lines = [
        ["model"] + [f"`--{key.replace('_', '-')}`" for key in keys],
        ["---"] * (len(keys) + 1),
    ]
    defaults = TrainConfig()
    for pattern, recipe in PRESETS:
        lines.append([f"`{pattern}`", *(f"{recipe[k]}" if k in recipe else "" for k in keys)])
    lines.append(["any other", *(f"{getattr(defaults, key)}" for key in keys)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _artifacts() -> Iterable[str]:
    for role, kind in contract.ARTIFACTS.items():
        yield f"### {role}\n"
        yield f"`{kind.name('{model_name}', '{run_id}')}`, type `{kind.type}`.\n"
        contents = (
            " or ".join(f"`{one}`" for one in ((name,) if isinstance(name, str) else name))
            for name in kind.contents
        )
        yield f"Files: {', '.join(contents)}.\n"
        if kind.columns:
            yield _keys(kind.columns, "column")
        if role.endswith("predictions"):
            yield f"and `{contract.probability_column('{emotion}')}` for each label, in order.\n"
        if kind.metadata:
            yield _keys(kind.metadata, "metadata")


def _keys(keys: Iterable[contract.Key], head: str = "key") -> str:
    rows = [f"| {head} | type | meaning |", "| --- | --- | --- |"]
    for key in keys:
        kind = key.type.__name__ + (" or null" if key.optional else "")
        meaning = key.meaning.format(noun="label", nouns="labels")
        rows.append(f"| `{key.name}` | {kind} | {meaning} |")
    return "\n".join(rows) + "\n"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


def _help(command: click.Command, name: str, parent: click.Context | None) -> str:
    settings: dict[str, Any] = {**command.context_settings, "terminal_width": WIDTH}
    settings["max_content_width"] = WIDTH
    context = click.Context(command, info_name=name, parent=parent, **settings)
    return command.get_help(context)


PAGES = {
    "docs/audit.md": audit_page,
    "docs/commands.md": commands_page,
    "docs/contract.md": contract_page,
    "docs/training.md": training_page,
}

if __name__ == "__main__":
    for path, page in PAGES.items():
        (ROOT / path).write_text(page(), encoding="utf-8")

"""Config: what differs between the runs, what they share, and where they ran."""

from __future__ import annotations

from goemo_report.analysis.configs import config_differences, flat_config, is_environment
from goemo_report.comparison import Comparison
from goemo_report.report.document import Block, Callout, Column, Section, Table
from goemo_report.report.sections._common import key_column, plain, plural, run_cell

ORDER = 130


def build(comparison: Comparison) -> Section:
    """Config differences, common config, environment."""
    records = [run.run for run in comparison.runs]
    differences = config_differences(records)
    common = {
        key: value for key, value in flat_config(records[0]).items() if key not in differences
    }
    blocks: list[Block] = []
    chosen = [key for key in differences if not is_environment(key)]
    same_data = {"dataset_name", "dataset_version"} <= common.keys() and "dataset" in chosen
    if same_data:  # read from several places
        chosen.remove("dataset")
    if len(records) > 1 and chosen:
        blocks.append(_by_run(comparison, "config-differences", "What differs", chosen))
    elif len(records) > 1:
        blocks.append(Callout("note", "All runs have the same config."))
    blocks.append(
        Table(
            id="config-common",
            title="What all runs share" if len(records) > 1 else "Config",
            columns=(Column("key", "key", "code"), Column("value", "value")),
            rows=tuple(
                (key, plain(value)) for key, value in common.items() if not is_environment(key)
            ),
            collapsed=len(records) > 1,
        )
    )
    environment = list(
        dict.fromkeys(key for run in records for key in flat_config(run) if is_environment(key))
    )
    columns = config_columns(comparison)
    environment = [
        key
        for key in environment
        if not key.startswith("system/") or columns.get(key.removeprefix("system/")) != columns[key]
    ] + ["dataset"] * same_data
    if environment:
        blocks.append(_by_run(comparison, "environment", "Environment", environment))
    words = plural(len(chosen), "config key")
    lead = f"{words} {'differs' if len(chosen) == 1 else 'differ'} between the runs."
    return Section(
        "settings",
        "Config and environment",
        tuple(blocks),
        lead=lead if len(records) > 1 else "",
        method="As logged in the runs' configs. A dash: the run did not log the key.",
    )


def config_columns(comparison: Comparison) -> dict[str, list[object]]:
    """The value of each config key in every run, None where it was not logged."""
    flat = [flat_config(run.run) for run in comparison.runs]
    return {
        key: [config.get(key) for config in flat]
        for key in dict.fromkeys(k for c in flat for k in c)
    }


def _by_run(comparison: Comparison, identifier: str, title: str, keys: list[str]) -> Table:
    return Table(
        id=identifier,
        title=title,
        columns=(
            key_column(),
            Column("run", "run"),
            *(Column(key, key.removeprefix("system/"), "text") for key in keys),
        ),
        rows=tuple(
            (
                comparison.keys[run.id],
                run_cell(comparison, run),
                *(plain(flat_config(run.run).get(key)) for key in keys),
            )
            for run in comparison.runs
        ),
        row_header=1,
        collapsed=identifier == "environment",
    )

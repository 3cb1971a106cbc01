"""Config: what differs between the runs, what they share, and where they ran."""

from __future__ import annotations

from goemo_report.analysis.configs import (
    config_columns,
    config_differences,
    flat_config,
    is_environment,
)
from goemo_report.comparison import Comparison
from goemo_report.formats.wording import plural
from goemo_report.report.document import Block, Callout, Column, Section, Table
from goemo_report.report.sections._tables import columns, plain, run_table

ORDER = 140
CHAPTER = "Appendix"


def build(comparison: Comparison) -> Section:
    """Config differences, common config, environment."""
    records = [run.record for run in comparison.runs]
    several = len(records) > 1
    differences = config_differences(records)
    common = {
        key: value for key, value in flat_config(records[0]).items() if key not in differences
    }
    chosen = [key for key in differences if not is_environment(key)]
    same_data = {"dataset_name", "dataset_version"} <= common.keys() and "dataset" in chosen
    if same_data:  # read from several places
        chosen.remove("dataset")
    differing: Block | None = Callout("note", "All runs have the same config.") if several else None
    if several and chosen:
        differing = _by_run(comparison, "config-differences", "What differs", chosen)
    shared = Table(
        id="config-common",
        title="What all runs share" if several else "Config",
        columns=columns(key="code", value="text"),
        rows=tuple((key, plain(value)) for key, value in common.items() if not is_environment(key)),
        collapsed=several,
    )
    logged = config_columns(records)
    environment = [
        key
        for key, values in logged.items()
        if is_environment(key)
        and (not key.startswith("system/") or logged.get(key.removeprefix("system/")) != values)
    ] + ["dataset"] * same_data
    where = _by_run(comparison, "environment", "Environment", environment) if environment else None
    words = plural(len(chosen), "config key")
    lead = f"{words} {'differs' if len(chosen) == 1 else 'differ'} between the runs."
    return Section.of(
        "settings",
        "Config and environment",
        differing,
        shared,
        where,
        lead=lead if several else "",
        method="As logged in the runs' configs. A dash: the run did not log the key.",
    )


def _by_run(comparison: Comparison, identifier: str, title: str, keys: list[str]) -> Table:
    return run_table(
        identifier,
        title,
        comparison.runs,
        (Column(key, key.removeprefix("system/"), "text") for key in keys),
        lambda run: (plain(flat_config(run.record).get(key)) for key in keys),
        collapsed=identifier == "environment",
    )

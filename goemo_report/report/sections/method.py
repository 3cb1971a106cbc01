"""How every number was made."""

from __future__ import annotations

from goemo_report import __version__
from goemo_report.analysis.truth import TOLERANCE
from goemo_report.comparison import Comparison
from goemo_report.formats.wording import listed, plural
from goemo_report.metrics.table import METRICS_VERSION, ZERO_DIVISION_RULE
from goemo_report.report.document import Section
from goemo_report.report.sections._words import SMALLEST_P, rule_in_full
from goemo_report.statistics.differences import DIFFERENCE_METHODS, RANDOMISATIONS, VERDICT_RULE
from goemo_report.statistics.intervals import METHODS
from goemo_report.statistics.many_runs import SEED_METHOD

ORDER = 105
CHAPTER = "Can I trust it?"


def build(comparison: Comparison) -> Section:
    """Definitions, versions and the signature line."""
    labels = {len(run.labels) for run in comparison.runs}
    found, nouns = comparison.baseline.split_result, comparison.nouns
    sizes = listed(str(size) for size in sorted(labels))
    reading = (
        f"Every metric is recomputed from the prediction files of the {comparison.split} split "
        f"({found.rows:,} texts in the baseline's file, {sizes} labels). {rule_in_full(comparison)}"
    )
    averaging = (
        f"Macro is the plain mean over {nouns}, micro counts all text x {comparison.noun} pairs "
        f"as one, weighted is the mean over {nouns} weighted by support, samples is the mean over "
        "texts. "
        f"{ZERO_DIVISION_RULE}"
    )
    ranking = (
        "AUC is the area under the ROC curve, ties counting half. AP is average precision: the "
        "sum of precision times gained recall over distinct scores, without interpolation."
    )
    pairing = (
        "Runs are compared row by row only where texts and true labels agree. A logged figure "
        f"that differs from the recomputed one by more than {TOLERANCE:g} is flagged."
    )
    options = comparison.options
    resamples = plural(options.resamples, "resample")
    intervals = (
        f"Intervals are 95% intervals for the sampling of texts ({resamples}, "
        f"seed {options.seed}): {'; '.join(METHODS.values())}."
    )
    differences = (
        f"Paired differences: {'; '.join(DIFFERENCE_METHODS.values())} "
        f"({RANDOMISATIONS:,} random swaps: {SMALLEST_P}). Verdict: {VERDICT_RULE}. {SEED_METHOD}."
    )
    paragraphs = [reading, averaging, ranking, pairing, intervals, differences]
    if options.cluster:
        alone = sum(not cell for cell in comparison.baseline.predictions.clusters)
        paragraphs.append(
            f"Texts are clustered by {options.cluster}: {comparison.clusters.number:,} clusters of "
            f"{found.rows:,} texts"
            + (f", {plural(alone, 'text')} without one counted as clusters" if alone else "")
            + ". Resamples draw whole clusters (cluster bootstrap), swaps flip the outputs of "
            "whole clusters, influences are summed over clusters, and intervals from counts are "
            "as wide as their design effects ask for (Rao and Scott). Exact match is tested by "
            "swaps too."
        )
    text = "\n\n".join(paragraphs)
    return Section.of(
        "method",
        "Method",
        method=f"{text}\n\ngoemo {__version__}, metrics version {METRICS_VERSION}.",
    )

"""95% intervals, paired differences, verdicts and seeds. Seeded, vectorised and pure."""

from typing import Final

STATISTICS_VERSION: Final = 12
"""Raised whenever an interval, difference, p-value or tuned threshold may come out differently."""

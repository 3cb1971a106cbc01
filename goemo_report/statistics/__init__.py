"""95% intervals, paired differences, verdicts and seeds. Seeded, vectorised and pure."""

"""Thresholds: inferred from predicted labels, tuned on validation, and their protocols."""

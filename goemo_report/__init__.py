"""Honest reports from the W&B runs of multi-label emotion classification."""

__version__ = "0.1.0"

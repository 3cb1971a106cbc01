"""Runs from the logs that W&B's client leaves on disk."""

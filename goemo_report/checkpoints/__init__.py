"""Checkpoints of runs: loaded without running their code, verified, used on new texts."""

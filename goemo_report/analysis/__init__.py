"""Analyses of one or two runs beyond their scores: pure values in, pure values out."""

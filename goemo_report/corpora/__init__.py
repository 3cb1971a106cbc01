"""Labelled texts in the three splits that models are trained and judged on."""

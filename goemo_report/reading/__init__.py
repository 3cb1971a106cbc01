"""Prediction tables of any shape, put into the shape of the guide."""

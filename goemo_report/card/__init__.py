"""Hugging Face model cards: front matter that the hub reads, and a body from the numbers."""

"""Uploading offline runs, and reading back what of them arrived."""

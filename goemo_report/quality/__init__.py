"""The quality gate: conditions on runs, and their result for CI systems."""

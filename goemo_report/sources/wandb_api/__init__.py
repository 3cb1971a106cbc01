"""Runs of W&B, read over its GraphQL API."""

"""Train, sample, inspect and compare sequence models."""

"""Fit the species head, cross-validate it, and say which species look alike."""

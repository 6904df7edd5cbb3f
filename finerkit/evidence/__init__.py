"""Compute evidence with the network at hand."""

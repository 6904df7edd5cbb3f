"""A guide to send: a comparison, its traits and scores enter; one self-contained interactive HTML page leaves."""

from finerkit.guide.write import write_guide

__all__ = ["write_guide"]

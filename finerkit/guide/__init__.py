"""Write a guide to send: one self-contained interactive HTML page."""

from finerkit.guide.write import write_guide

__all__ = ["write_guide"]

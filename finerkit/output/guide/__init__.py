"""Write a guide to send: one self-contained interactive HTML page."""

from finerkit.output.guide.write import write_guide

__all__ = ["write_guide"]

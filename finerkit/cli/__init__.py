"""The command line, the demo, and the files that both write."""

from finerkit.cli.commands import main

__all__ = ["main"]

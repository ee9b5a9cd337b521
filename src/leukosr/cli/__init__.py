"""The command line: thin commands that parse, call the stage or the domain, and give the exit code."""

from leukosr.cli.entry import app, main

__all__ = ["app", "main"]

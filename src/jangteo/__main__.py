"""Runs the command line: `python -m jangteo` is the same as `jangteo`."""

from jangteo.cli.main import main

main()

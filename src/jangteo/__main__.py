"""`python -m jangteo` is the command `jangteo`."""

from jangteo.cli.main import main

main()

"""Make `python -m vidpose` run `vidpose`."""

from vidpose.cli import main

main()

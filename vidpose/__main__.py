"""`python -m vidpose` is `vidpose`."""

from vidpose.cli import main

main()

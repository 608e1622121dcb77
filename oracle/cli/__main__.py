"""`python -m oracle.cli` is `poq`."""

from oracle.cli import main

main()

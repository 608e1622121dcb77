"""The command line: one thin module a group of commands."""

from __future__ import annotations


def main() -> None:
    """Run `poq` and exit with its code."""
    import sys

    from oracle.cli.app import run

    sys.exit(run(sys.argv[1:]))

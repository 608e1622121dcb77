"""
The npm packages that `package.json` pins: what compiles, and the tools that only tests use.

This module decides when `npm ci` runs. The tools are optional: they are native programs that not
every platform has, so whoever wants one asks whether it is there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = "node_modules/"


class NotInstalled(Exception):
    """The packages are not there and cannot be installed; the message says what to do."""


def pinned_packages(root: Path = ROOT) -> dict[str, str]:
    """Return what compiling needs, as name → version."""
    manifest = json.loads((root / "package.json").read_bytes())
    return {**manifest["dependencies"], **manifest["devDependencies"]}


def install_packages(root: Path = ROOT) -> None:
    """Bring `node_modules` to the pinned versions, unless it is there; raise `NotInstalled`."""
    if any(
        _installed_version(package, root) != version
        for package, version in pinned_packages(root).items()
    ):
        _install(root)


def foundry(tool: str, root: Path = ROOT) -> Path:
    """
    Return the native program of a Foundry tool, `anvil` or `forge`, installed if it is not there.

    Raises `NotInstalled`, also where there is no such program for this platform.
    """
    manifest = json.loads((root / "package.json").read_bytes())
    package = f"@foundry-rs/{tool}"
    if _installed_version(package, root) != manifest["optionalDependencies"][package]:
        _install(root)
    # The package itself is a launcher that hides exit codes; the program is in the platform's.
    for program in sorted((root / DIRECTORY).glob(f"{package}-*/bin/{tool}*")):
        program.chmod(program.stat().st_mode | 0o111)
        return program
    raise NotInstalled(f"{package} has no program for this platform.")


def _install(root: Path) -> None:
    beside_node = Path(os.environ.get("NODE_BINARY", "")).parent
    npm = next(
        (
            candidate
            for candidate in (beside_node / "npm", root / ".venv" / "bin" / "npm")
            if candidate.is_file() and candidate.is_absolute()
        ),
        shutil.which("npm"),
    )
    if npm is None:
        raise NotInstalled("No npm found: run `make setup`, or install Node.js.")
    command = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    if subprocess.run(command, cwd=root, stdout=sys.stderr, check=False).returncode != 0:
        raise NotInstalled("`npm ci` failed; its own words are above.")


def _installed_version(package: str, root: Path) -> str | None:
    try:
        manifest = json.loads((root / DIRECTORY / package / "package.json").read_bytes())
    except FileNotFoundError:
        return None
    version: str = manifest["version"]
    return version

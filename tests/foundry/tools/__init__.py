"""
The provers and analysers that cannot live in the project's environment, each in one of its own.

slither pins web3 below 8 and halmos an older z3, so `make setup` does not install them; whoever
needs one asks here. What is installed is pinned with hashes in `NAME.txt` beside this file. To move
to newer versions: `echo PACKAGE | uv pip compile --universal --python-version 3.11
--generate-hashes --no-emit-index-url --no-header - -o NAME.txt`.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from tests.foundry.campaigns import BUILD

HERE = Path(__file__).resolve().parent


class NotInstallable(Exception):
    """The tool cannot be installed here; the message is the installer's."""


def programs(name: str) -> Path:
    """
    Return the directory with the programs of a tool, `slither` or `halmos`.

    Installs it once for each version of its pins, in about a minute; raises `NotInstallable`.
    """
    pins = HERE / f"{name}.txt"
    version = hashlib.sha256(pins.read_bytes()).hexdigest()[:12]
    home = BUILD / "tools" / f"{name}-{version}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{home}.lock"):
        if not (home / "ready").exists():
            uv = [sys.executable, "-m", "uv", "--quiet"]
            _run([*uv, "venv", "--clear", "--python", sys.executable, str(home)])
            python = str(home / "bin" / "python")
            install = ["pip", "install", "--python", python, "--require-hashes"]
            _run([*uv, *install, "-r", str(pins)])
            (home / "ready").touch()
    return home / "bin"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotInstallable(done.stderr.strip()[-500:])

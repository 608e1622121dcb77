"""
Copies of the fixed-point libraries without the word `unchecked`.

Their arithmetic panics where the original's would wrap, so that a prover who finds no panic has
found that nothing wraps.
"""

from __future__ import annotations

import re
import shutil

from deploy.packages import ROOT
from tests.foundry.campaigns import BUILD

CHECKED = ("Rewards.sol", "Trust.sol")


def write_checked_copies() -> int:
    """Write the copies under the build directory; return how many blocks became checked."""
    root = BUILD / "checked"
    shutil.rmtree(root, ignore_errors=True)
    ignored = shutil.ignore_patterns("artifacts")
    shutil.copytree(ROOT / "contracts", root, ignore=ignored)
    blocks = 0
    for name in CHECKED:
        source = root / "libraries" / name
        text, count = re.subn(r"\bunchecked \{", "{", source.read_text(encoding="utf-8"))
        source.write_text(text, encoding="utf-8")
        blocks += count
    return blocks

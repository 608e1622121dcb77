"""
Copies of the fixed-point libraries without the word `unchecked`.

Their arithmetic panics where the original's would wrap, so that a prover who finds no panic has
found that nothing wraps. The minimum and maximum of OpenZeppelin, which hide their comparison from
a prover in assembly, are said in the obvious words.
"""

from __future__ import annotations

import re
from pathlib import Path

from deploy.packages import ROOT

CHECKED = ("Rewards.sol", "Trust.sol")
PLAIN_MATH = """\
// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

library Math {
    function min(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? a : b;
    }

    function max(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? b : a;
    }
}
"""


def checked_sources() -> tuple[dict[str, str], int]:
    """Return the sources with the copies in their places, and how many blocks changed."""
    contracts = ROOT / "contracts"
    sources = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for folder in ("interfaces", "libraries")
        for path in sorted((contracts / folder).glob("*.sol"))
    }
    blocks = 0
    for name in CHECKED:
        path = str(Path("contracts/libraries") / name)
        text, count = re.subn(r"\bunchecked \{", "{", sources[path])
        sources[path] = text.replace(
            "@openzeppelin/contracts/utils/math/Math.sol", "./PlainMath.sol"
        )
        blocks += count
    sources["contracts/libraries/PlainMath.sol"] = PLAIN_MATH
    for unclaimed in ("Consensus.sol", "Judged.sol"):
        del sources[f"contracts/libraries/{unclaimed}"]
    return sources, blocks

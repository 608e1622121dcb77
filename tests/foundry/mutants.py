"""
Contracts with one line changed, to show that each invariant can fail.

A mutant is compiled in a copy of the contracts that goes away afterwards. It is another thing than
mutation testing of the libraries, which asks whether tests notice any change at all: here somebody
chose the bug, and says which invariant has to notice.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.compile import Unit, build, write
from deploy.packages import ROOT
from tests.foundry.campaigns import BUILD

CONTRACTS = ("NodeRegistry", "QualityRounds")


@dataclass(frozen=True, slots=True)
class Mutant:
    """`line` of `file`, which is there once, becomes `other`; the reason has `breaks` in it."""

    contract: str
    file: str
    line: str
    other: str
    breaks: str


def _rounds(line: str, other: str, breaks: str, file: str = "QualityRounds.sol") -> Mutant:
    return Mutant("QualityRounds", file, line, other, breaks)


def _registry(line: str, other: str, breaks: str, file: str = "NodeRegistry.sol") -> Mutant:
    return Mutant("NodeRegistry", file, line, other, breaks)


CREDIT = "a credit differs from the plain arithmetic"

MUTANTS = {
    "skips the refund": _rounds("creditOf[history.opening.requester] += refund;", "", CREDIT),
    "credits twice": _rounds(
        "creditOf[owner] += amount;", "creditOf[owner] += 2 * amount;", CREDIT
    ),
    "escrows less than it owes": _rounds(
        "uint256 deposit = _deposit(terms);",
        "uint256 deposit = _deposit(terms) - terms.settlementFee;",
        "the rounds hold more or less than they owe",
    ),
    "refunds rewards": _rounds(
        "rewards[k] = reward;\n            refund -= reward;",
        "rewards[k] = reward;",
        "rewards, fee and refund are not the deposit",
    ),
    "keeps a round running": _rounds(
        "delete _states[roundId];", "", "a round is in another phase than its log"
    ),
    "keeps the seats": _rounds(
        "delete _seats[roundId][i / 8];", "", "a closed round left its seats"
    ),
    "does not fold a commit": _rounds(
        "_fold(digestOf[roundId], _commitStep(seat, block.timestamp, commitment_));",
        "digestOf[roundId];",
        "a digest is not that of its log",
    ),
    "lets a seat commit twice": _rounds(
        "require(committed >> seat & 1 == 0, AlreadyCommitted(seat));", "", "a seat committed twice"
    ),
    "leaves out an id": _rounds(
        "roundId = ++roundCount;",
        "roundId = roundCount += 2;",
        "round ids have gaps",
    ),
    "excuses the wrong seats": _rounds(
        "((1 << state.panelSize) - 1) & ~excused;",
        "((1 << state.panelSize) - 1) & ~(excused >> 1);",
        "a stake is not what absences left of it",
    ),
    "settles without a seat": _rounds(
        "if (missing != 0) revert SeatMissing(_lowest(missing));",
        "if (missing > 31) revert SeatMissing(_lowest(missing));",
        "a settlement came before its time",
    ),
    "cancels at once": _rounds(
        "block.timestamp >= cancellableAt && ", "", "a round was cancelled before its time"
    ),
    "accepts a smaller median": _rounds(
        "(first, n, stride, c);\n                if (_outside(c, from, over, half)",
        "(first, n, stride, c);\n                if (_outside(c, from, over & 0, half)",
        "a false settlement was accepted",
        "libraries/Consensus.sol",
    ),
    "names another node for a reward": _rounds(
        "_creditNode(roundId, entry >> 224, Role.EVALUATOR",
        "_creditNode(roundId, (entry >> 224) + 1, Role.EVALUATOR",
        "an evaluator earned without a reveal",
    ),
    "marks another seat as revealed": _rounds(
        "state.revealed = uint32(revealed | 1 << seat);",
        "state.revealed = uint32(revealed | 2 << seat);",
        "a seat's standing changed",
    ),
    "forgets what it slashed": _registry(
        "slashedBalance += amount;", "", "stakes and slashes are not what is held"
    ),
    "sweeps to the caller": _registry(
        "TOKEN.safeTransfer(SLASH_SINK, amount);",
        "TOKEN.safeTransfer(msg.sender, amount);",
        "slashed stake went elsewhere",
    ),
    "fills no stake up": _registry(
        "node.stake = STAKE;\n        if",
        "if",
        "a stake is not what absences left of it",
    ),
    "keeps a leaver on the list": _registry(
        "node.exitableAt = exitableAt;\n        _unlist(node);",
        "node.exitableAt = exitableAt;",
        "the list and the active evaluators differ",
    ),
    "does not shorten the list": _registry(
        "_population.push(_now(), last - 1);",
        "_population.push(_now(), last);",
        "the list is longer or shorter",
    ),
    "lets a stake leave at once": _registry(
        "require(block.timestamp >= node.exitableAt, ExitDelayed(nodeId, node.exitableAt));",
        "",
        "a stake left before its delay",
    ),
    "lets anybody slash": _registry(
        "require(msg.sender == ROUNDS, NotRounds(msg.sender));", "", "a stranger slashed a node"
    ),
    "takes trust below its floor": _registry(
        "return loss + p.floor >= w ? p.floor : w - loss;",
        "return loss > 0 ? p.floor - 1 : w;",
        "trust is out of bounds",
        "libraries/Trust.sol",
    ),
    "moves trust of one lane too many": _registry(
        "buckets[nodeId / 8] = bucket & ~(uint256(type(uint32).max) << shift) | trust << shift;",
        "buckets[nodeId / 8] = trust << shift;",
        "trust moved outside a settlement",
    ),
}


@contextmanager
def mutated_artifacts(mutant: Mutant) -> Iterator[str]:
    """
    Compile `mutant` and yield the directory of artifacts with it, relative to the checkout.

    About 15 s. The other contract's artifact is the committed one.
    """
    place = BUILD / "mutants"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as directory:
        root = Path(directory)
        shutil.copytree(ROOT / "contracts", root / "contracts")
        for entry in ("package.json", "node_modules", "deploy", ".venv"):
            (root / entry).symlink_to(ROOT / entry)
        (other,) = {*CONTRACTS} - {mutant.contract}
        (root / "contracts" / f"{other}.sol").unlink()
        source = root / "contracts" / mutant.file
        text = source.read_text(encoding="utf-8")
        if text.count(mutant.line) != 1:
            raise LookupError(f"{mutant.file} has not once the line {mutant.line!r}")
        source.write_text(text.replace(mutant.line, mutant.other), encoding="utf-8")
        unit = Unit("contracts", standard_input=False)
        files = build(unit, root)
        files[f"{other}.json"] = (ROOT / "contracts/artifacts" / f"{other}.json").read_text("utf-8")
        write(unit, files, root)
        yield str((root / unit.artifacts).relative_to(ROOT))

"""
What the loop lets others see: the running rounds as of its last look at the chain.

The loop replaces the whole board at once and never changes one that it put up, so that requests are
answered from one block without asking the node: whoever sends many of them costs the node nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from oracle.chain.follower import Block
from oracle.chain.rounds import RoundHistory
from oracle.core.digest import opening_digest, replay
from oracle.core.facts import Phase, RoundState
from oracle.core.parameters import RoundsParameters
from oracle.core.phases import commits_closed


@dataclass(frozen=True, slots=True)
class RunningRound:
    """A round that is open or drawn."""

    state: RoundState
    history: RoundHistory

    def takes_reveals(self, parameters: RoundsParameters, now: int) -> bool:
        """Say whether nobody can commit after the block of this second."""
        return self.state.phase is Phase.DRAWN and commits_closed(self.state, parameters, now)

    def digest(self) -> bytes:
        """Return what the round's logs hash to: its digest on chain, if they are all there."""
        if self.state.phase is Phase.OPEN:
            return opening_digest(self.history.key, self.history.opening)
        facts = self.history.drawn()
        return replay(facts.key, facts.opening, facts.draw, facts.commits)


@dataclass(frozen=True, slots=True)
class Board:
    """The rounds that run, by id, as of `head`."""

    head: Block
    rounds: Mapping[int, RunningRound]


class BoardHolder:
    """Where the current board hangs; `None` before the first look."""

    def __init__(self) -> None:
        self.current: Board | None = None

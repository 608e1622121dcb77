"""
Networks that play round after round: who is drawn, what they say, what the core makes of it.

A *history* is one network's sequence of rounds, with an attack, a ratio of liars and a seed. All
histories move on together, so that every step of the core works on many rounds at once, and trust
goes from round to round as on chain: each seat weighs what it did at the draw, and a settlement
moves the trust that is current then. Chance depends on nothing but the names and numbers of a
history, and histories of one seed share their draws, so that rules, attacks and ratios are compared
on the same rounds.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from oracle.core import trust
from oracle.core.consensus import Rule, aggregate, deviations
from oracle.core.parameters import TrustParameters
from oracle.core.units import TRUST_ONE, ScoreMatrix, ScoreVector, SeatVector, TrustVector
from oracle.study.attacks import Attack
from oracle.study.datasets import ScoreTable

BLOCK_ROUNDS = 250
"""Rounds that are drawn at once; part of what fixes the chance of a history."""

_DRAWS, _LIARS, _LIES = range(3)


@dataclass(frozen=True, slots=True)
class Choice:
    """
    A rule with its parameters, under the name that results have it by.

    Trust is moved by what the protocol judges seats by, their disagreement with the panel; or, as
    in the paper, by their deviation from the consensus.
    """

    name: str
    rule: Rule
    trust: TrustParameters
    trim: int = 0
    by_deviation: bool = False

    @property
    def mover(self) -> Hashable:
        """What moves trust: choices with the same move it alike; None if it does not matter."""
        if not self.rule.weighs:
            return None
        return self.trust, self.rule if self.by_deviation else None


@dataclass(frozen=True, slots=True)
class History:
    """A network's fate: its seed, and for `attack` (by name) the ratio of nodes that lie."""

    seed: int
    attack: str | None = None
    ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class Shape:
    """What all rounds of a simulation share: seats, items, and how many rounds there are."""

    panel_size: int
    items: int
    rounds: int


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """
    Consecutive rounds of every history, (histories, rounds, …).

    `panels` (…, seats) are nodes, rows of the score table; `liars` (…, seats) says which of them
    lie; `items` (…, items) are columns of the table; `scores` (…, seats, items) is what is said.
    """

    first_round: int
    panels: NDArray[np.intp]
    liars: NDArray[np.bool_]
    items: NDArray[np.intp]
    scores: ScoreMatrix


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """
    How trust moves through a block, in TRUST_ONE.

    `at_draw` (histories, rounds, seats), or what broadcasts to that, is what each seat weighs by;
    `after` (histories, nodes) is what every node has in the end. `pivot` (histories, rounds, items)
    is what seats are judged by, in ONE, where that is not the consensus.
    """

    at_draw: TrustVector
    pivot: ScoreVector | None
    after: TrustVector


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """
    What a rule made of a block.

    `consensus` is (histories, rounds, items) and `deviations` (histories, rounds, seats), in ONE;
    `trusts` (histories, nodes), in TRUST_ONE, is what every node has afterwards.
    """

    consensus: ScoreVector
    deviations: SeatVector
    trusts: TrustVector


def newcomers(histories: int, nodes: int) -> TrustVector:
    """Return the trusts that networks start with, (histories, nodes)."""
    return np.full((histories, nodes), TRUST_ONE, dtype=np.uint32)


def liar_nodes(nodes: int, history: History) -> NDArray[np.bool_]:
    """
    Return which nodes lie, (nodes,): `ratio` of them, rounded to the nearest number.

    The liars of a seed are the same for every attack, and those of a lower ratio lie at a higher.
    """
    order = _generator(history.seed, _LIARS, nodes).permutation(nodes)
    result = np.zeros(nodes, dtype=np.bool_)
    result[order[: int(history.ratio * nodes + 0.5)]] = True
    return result


def blocks(
    table: ScoreTable,
    histories: Sequence[History],
    shape: Shape,
    attacks: dict[str, Attack],
) -> Iterator[Block]:
    """
    Yield all rounds of all histories, block by block.

    Panels are drawn uniformly without replacement among the table's evaluators, each a node; items
    uniformly with replacement. Raises `ValueError` if there are fewer nodes than seats.
    """
    nodes, items = table.scores.shape
    if shape.panel_size > nodes:
        raise ValueError(f"{nodes} nodes cannot fill {shape.panel_size} seats")
    fixed = (shape.panel_size, shape.items)
    draws = {h.seed: _generator(h.seed, _DRAWS, *fixed) for h in histories}
    chance = {
        (h.seed, h.attack): _generator(h.seed, _LIES, *fixed, crc32(h.attack.encode()))
        for h in histories
        if h.attack is not None
    }
    lying = {h: liar_nodes(nodes, h) for h in histories}
    size = (len(histories), BLOCK_ROUNDS)
    for first in range(0, shape.rounds, BLOCK_ROUNDS):
        block = Block(
            first,
            np.empty((*size, shape.panel_size), dtype=np.intp),
            np.empty((*size, shape.panel_size), dtype=np.bool_),
            np.empty((*size, shape.items), dtype=np.intp),
            np.empty((*size, *fixed), dtype=np.uint16),
        )
        drawn = {seed: _draw(rng, nodes, items, shape) for seed, rng in draws.items()}
        honest = {
            seed: table.scores[panels[:, :, np.newaxis], chosen[:, np.newaxis, :]]
            for seed, (panels, chosen) in drawn.items()
        }
        lies = {
            (seed, attack): attacks[attack].lies(honest[seed], first, rng)
            for (seed, attack), rng in chance.items()
        }
        for i, history in enumerate(histories):
            seed = history.seed
            block.panels[i], block.items[i] = drawn[seed]
            block.liars[i] = lying[history][block.panels[i]]
            block.scores[i] = honest[seed]
            if history.attack is not None:
                said = lies[seed, history.attack]
                np.copyto(block.scores[i], said, where=block.liars[i, :, :, np.newaxis])
        yield _shortened(block, shape.rounds - first)


def play(choice: Choice, block: Block, trusts: TrustVector, overlap: int = 1) -> Outcome:
    """
    Return what a rule makes of a block, from the `trusts` (histories, nodes) before it.

    `overlap` rounds are drawn before the first of them settles; they settle in order. Trust does
    not matter to the rules that do not weigh by it, so for them it is left as it is.
    """
    return settle(choice, block, move(choice, block, trusts, overlap))


def settle(choice: Choice, block: Block, moves: Moves) -> Outcome:
    """Return what a rule makes of a block when seats weigh what `moves` says."""
    if choice.rule is Rule.TRUST_WEIGHTED_MEDIAN and moves.pivot is not None:
        agreed = moves.pivot
    else:
        agreed = aggregate(choice.rule, block.scores, moves.at_draw, choice.trim)
    middle = agreed if moves.pivot is None else moves.pivot
    return Outcome(agreed, deviations(block.scores, middle), moves.after)


def move(choice: Choice, block: Block, trusts: TrustVector, overlap: int = 1) -> Moves:
    """
    Return how trust moves through a block, from the `trusts` (histories, nodes) before it.

    It is the same for choices with the same `mover`. See `play`.
    """
    if choice.mover is None:
        return Moves(trusts[:, :1, np.newaxis], None, trusts)
    # Rounds come first here, and what is looked up by node is flat: each step is a small one.
    histories, nodes = trusts.shape
    own = nodes * np.arange(histories)[:, np.newaxis, np.newaxis]
    places = np.ascontiguousarray((block.panels + own).swapaxes(0, 1))
    scores = np.ascontiguousarray(block.scores.swapaxes(0, 1))
    current = trusts.ravel().copy()
    rounds, items = scores.shape[0], scores.shape[-1]
    at_draw = np.empty(places.shape, dtype=np.uint32)
    pivot = np.empty((rounds, histories, items), dtype=np.uint16)
    for first in range(0, rounds, overlap):
        now = slice(first, first + overlap)
        at_draw[now] = current.take(places[now])
        if choice.by_deviation:
            agreed = aggregate(choice.rule, scores[now], at_draw[now], choice.trim)
            judged = deviations(scores[now], agreed)
        else:
            # The same for every rule that weighs.
            pivot[now] = aggregate(Rule.TRUST_WEIGHTED_MEDIAN, scores[now], at_draw[now])
            judged = trust.disagreements(scores[now], pivot[now])
        for seats, strayed in zip(places[now], judged, strict=True):
            before = current.take(seats)
            current.put(seats, trust.updated(choice.trust, before, strayed, items))
    return Moves(
        at_draw.swapaxes(0, 1),
        None if choice.by_deviation else pivot.swapaxes(0, 1),
        current.reshape(histories, nodes),
    )


def _draw(
    rng: np.random.Generator, nodes: int, items: int, shape: Shape
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    panels = rng.random((BLOCK_ROUNDS, nodes)).argsort(axis=1)[:, : shape.panel_size]
    return panels, rng.integers(items, size=(BLOCK_ROUNDS, shape.items), dtype=np.intp)


def _shortened(block: Block, rounds: int) -> Block:
    """The last block is drawn in full as well, so that a longer history begins the same way."""
    return Block(
        block.first_round,
        block.panels[:, :rounds],
        block.liars[:, :rounds],
        block.items[:, :rounds],
        block.scores[:, :rounds],
    )


def _generator(*words: int) -> np.random.Generator:
    return np.random.default_rng(words)

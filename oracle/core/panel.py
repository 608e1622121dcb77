"""
The draw: which places of the list of active evaluators are seated, in which order.

A Fisher–Yates shuffle that is only run as far as needed. It decides from a seed and a length
alone; who stands at a place, and whose nodes are passed over, the caller says. Section 3 of
docs/protocol.md; twin of `Panel.sol` and `NodeRegistry.drawPanel`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from oracle.core.keccak import keccak
from oracle.core.units import MAX_SEATS
from oracle.core.words import word

SPARE_STEPS = 64
"""Steps that a draw may take beyond the seats it fills."""
_WORDS = tuple(word(step) for step in range(MAX_SEATS + SPARE_STEPS))
"""The steps as words; a longer draw than the protocol's makes its own."""


class TooFewEvaluators(ValueError):
    """Raised when the draw ends with fewer evaluators than the panel has seats."""

    def __init__(self, found: int, size: int) -> None:
        self.found, self.size = found, size
        super().__init__(f"the draw found {found} evaluators for a panel of {size}")


def draw_seed(block_hash: bytes, contract: str, round_id: int) -> bytes:
    """Return the seed of a round's draw; `block_hash` is that of its draw block."""
    return keccak(block_hash + word(contract) + word(round_id))


def draw_panel(
    seed: bytes, population: int, size: int, passed_over: Callable[[int], bool]
) -> tuple[int, ...]:
    """
    Return the places, zero-based and below `population`, of the `size` seats in their order.

    `passed_over(place)` says whether whoever stands there has an owner that the round excludes.
    Raises `TooFewEvaluators` after `min(population, size + SPARE_STEPS)` steps.
    """
    seats: list[int] = []
    shuffle = _shuffled(seed, population)
    for _ in range(min(population, size + SPARE_STEPS)):
        if len(seats) == size:
            break
        place = next(shuffle)
        if not passed_over(place):
            seats.append(place)
    if len(seats) < size:
        raise TooFewEvaluators(len(seats), size)
    return tuple(seats)


def _shuffled(seed: bytes, population: int) -> Iterator[int]:
    """Yield the places in their shuffled order; only those that swaps moved are kept."""
    moved: dict[int, int] = {}
    for i in range(population):
        step = _WORDS[i] if i < len(_WORDS) else word(i)
        j = i + int.from_bytes(keccak(seed + step)) % (population - i)
        here = moved.pop(i, i)
        if i == j:
            yield here
        else:
            yield moved.get(j, j)
            moved[j] = here

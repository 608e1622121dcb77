"""
Calldata that no encoder writes: whatever of it is accepted, means what the honest call means.

The attacker changes words of a valid call, so that lengths lie, offsets overlap, wrap around or
point outside. The contract reads parts of it as it stands, so what stops him has to be that hash
and computation read the same bytes: an accepted call ends the round exactly as the honest one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from oracle.core.cancellation import cancel
from oracle.core.history import commit_proof
from tests.contracts.bare_network import BareNetwork
from tests.contracts.harness import Reverted
from tests.contracts.rounds import (
    REQUESTER,
    SETTLER,
    close_commits,
    committed,
    drawn,
    opened,
    settlement,
    staffed,
)

SEED = 11
SHORT, LONG = 500, 25_000
"""Altered calls of each kind."""
WORD = 32
WRAPPING = 2**256


@dataclass(frozen=True)
class Attempt:
    """A network right before a call, and the honest call; `ends` is what it leaves."""

    network: BareNetwork
    call: bytes
    round_id: int

    def ends(self) -> tuple[object, ...]:
        """Return all that the call may change: digest, state, seats, credits, stakes, trusts."""
        network = self.network
        ids = list(network.nodes)
        owners = {REQUESTER, SETTLER, *network.nodes.values()}
        return (
            network.digest(self.round_id),
            network.state(self.round_id),
            tuple(network.rounds("seatOf", self.round_id, seat) for seat in range(5)),
            tuple(network.rounds("creditOf", owner) for owner in sorted(owners)),
            tuple(network.registry("nodeOf", node_id) for node_id in ids),
            tuple(network.registry("trustOf", i, b"qa".ljust(32, b"\0")) for i in ids),
        )

    def send(self, call: bytes) -> bool:
        """Return whether the contract accepts the call."""
        try:
            self.network.rounds.send(call, sender=SETTLER)
        except Reverted:
            return False
        return True


def settling() -> Attempt:
    network = staffed()
    facts, reveals = committed(network, drawn(network, [5, 28]))
    arguments = settlement(network, facts, reveals.values()).arguments()
    return Attempt(network, network.rounds.encode("settle", *arguments), facts.key.round_id)


def cancelling() -> Attempt:
    network = staffed()
    facts, _ = committed(network, drawn(network), [3, 1])
    close_commits(network, facts)
    return Attempt(
        network, network.rounds.encode("cancel", *cancel(facts).arguments), facts.key.round_id
    )


def revealing() -> Attempt:
    network = staffed()
    facts, reveals = committed(network, drawn(network))
    proof = commit_proof(facts, 2).as_tuple()
    arguments = (facts.key.round_id, 2, proof, reveals[2].salt, reveals[2].scores)
    return Attempt(network, network.rounds.encode("reveal", *arguments), facts.key.round_id)


def drawing() -> Attempt:
    network = staffed()
    round_id, opening = opened(network)
    network.pass_blocks(network.rounds_parameters.draw_delay + 1)
    return Attempt(network, network.rounds.encode("draw", round_id, opening.as_tuple()), round_id)


ATTEMPTS = (settling, cancelling, revealing, drawing)


def altered(rng: random.Random, call: bytes) -> bytes:
    """Return the call with one or two words that say something else, longer, or shorter."""
    body = bytearray(call[4:])
    for _ in range(rng.choice((1, 1, 1, 2))):
        at = rng.randrange(len(body) // WORD) * WORD
        value = int.from_bytes(body[at : at + WORD])
        near = rng.choice((-64, -WORD, -2, -1, 1, 2, WORD, 64, 256, len(body)))
        value = rng.choice(
            (
                value + near,
                value + near,
                value + rng.randrange(len(body)),
                WRAPPING - rng.choice((1, 4, WORD, at + WORD, len(body))),
                2 ** rng.choice((32, 64, 128, 255)),
                value ^ 1 << rng.randrange(256),
                0,
                len(body),
            )
        )
        body[at : at + WORD] = (value % WRAPPING).to_bytes(WORD)
    kind = rng.randrange(6)
    if kind == 0:
        return call[:4] + bytes(body[: rng.randrange(len(body))])
    if kind == 1:
        return call[:4] + bytes(body) + rng.randbytes(rng.choice((1, WORD, 320)))
    return call[:4] + bytes(body)


def attack(make: Callable[[], Attempt], times: int) -> Counter[bool]:
    """Try altered calls, each on the same state; return how many were accepted and refused."""
    attempt = make()
    rng = random.Random(f"{SEED} {make.__name__}")
    tried: Counter[bool] = Counter()
    before = attempt.ends()
    snapshot = attempt.network.evm.snapshot()
    assert attempt.send(attempt.call)
    honest = attempt.ends()
    assert honest != before
    for number in range(times):
        attempt.network.evm.revert(snapshot)
        snapshot = attempt.network.evm.snapshot()
        call = altered(rng, attempt.call)
        accepted = attempt.send(call)
        tried[accepted] += 1
        if accepted or number % 100 == 0:
            assert attempt.ends() == (honest if accepted else before), (number, call.hex())
    return tried


@pytest.mark.parametrize("make", ATTEMPTS)
def test_r03_altered_calldata_means_the_honest_call_or_nothing(make: Callable[[], Attempt]) -> None:
    tried = attack(make, SHORT)
    assert tried[False] > tried[True]


@pytest.mark.reliability
@pytest.mark.parametrize("make", ATTEMPTS)
def test_r03_altered_calldata_means_the_honest_call_or_nothing_a_hundred_thousand_times(
    make: Callable[[], Attempt], record_property: Callable[[str, object], None]
) -> None:
    tried = attack(make, LONG)
    print(f"seed {SEED}, accepted with the honest meaning {tried[True]}, refused {tried[False]}")
    record_property(
        "figure",
        {
            "name": f"altered calldata, {make.__name__}: calls tried, none with another meaning",
            "value": tried.total(),
            "goal": LONG,
            "seed": SEED,
        },
    )

"""Ways to tamper with one log of many, all of which an audit has to notice."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from deploy.artifacts import load
from oracle.chain.deployment import Deployment
from oracle.chain.logs import EventDecoder, Log

Logs = Sequence[Log]
Tamper = Callable[[Logs, int, random.Random], list[Log]]


def drop(logs: Logs, index: int, rng: random.Random) -> list[Log]:
    """Leave it out."""
    return [*logs[:index], *logs[index + 1 :]]


def alter(logs: Logs, index: int, rng: random.Random) -> list[Log]:
    """Turn one bit of its topics or its data."""
    log = logs[index]
    bit = rng.randrange(8 * (32 * len(log.topics) + len(log.data)))
    content = bytearray(b"".join(log.topics) + log.data)
    content[bit // 8] ^= 1 << bit % 8
    cut = 32 * len(log.topics)
    topics = tuple(bytes(content[i : i + 32]) for i in range(0, cut, 32))
    altered = replace(log, topics=topics, data=bytes(content[cut:]))
    return [*logs[:index], altered, *logs[index + 1 :]]


def repeat(logs: Logs, index: int, rng: random.Random) -> list[Log]:
    """Have it twice."""
    return [*logs[: index + 1], *logs[index:]]


def forge(logs: Logs, index: int, rng: random.Random) -> list[Log]:
    """
    Have it twice, the second time at the end of its transaction and with a place of its own.

    Of a rotation to the same operator, which changes nothing, nothing can tell that it is forged.
    """
    log = logs[index]
    end = max(i for i, other in enumerate(logs) if other.transaction_hash == log.transaction_hash)
    again = replace(log, log_index=logs[end].log_index + 1)
    return [*logs[: end + 1], again, *logs[end + 1 :]]


def exchange(logs: Logs, index: int, rng: random.Random) -> list[Log]:
    """Put it and a neighbour into each other's places."""
    other = index - 1 if index else 1
    changed = list(logs)
    changed[index], changed[other] = changed[other], changed[index]
    return changed


def exchange_contents(logs: Logs, index: int, rng: random.Random) -> list[Log]:
    """Let it and some other log say what the other one said."""
    log = logs[index]
    said = (log.address, log.topics, log.data)
    others = [i for i, each in enumerate(logs) if (each.address, each.topics, each.data) != said]
    other = rng.choice(others)
    changed = list(logs)
    for at, source in ((index, logs[other]), (other, log)):
        changed[at] = replace(
            logs[at], address=source.address, topics=source.topics, data=source.data
        )
    return changed


WAYS: tuple[Tamper, ...] = (
    drop,
    alter,
    repeat,
    forge,
    exchange,
    exchange_contents,
)

UNKNOWABLE = (forge, "OperatorRotated")


def tamperable(deployment: Deployment, logs: Logs) -> dict[int, str]:
    """Return the events of all logs, by their places; but for gifts, whose sender nothing knows."""
    decoders = {
        contract.address: EventDecoder(load(name).abi)
        for name, contract in (
            ("NodeRegistry", deployment.registry),
            ("QualityRounds", deployment.rounds),
        )
    }
    called = {log.transaction_hash for log in logs if log.address in decoders}
    return {
        index: decoders[log.address].names[log.topics[0]] if log.address in decoders else "Transfer"
        for index, log in enumerate(logs)
        if log.transaction_hash in called
    }

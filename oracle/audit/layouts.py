"""
The events that a log is full of, read by their fixed layout.

A layout is a `struct` over whole words. Data is unpacked by it and packed again: only the one
encoding that contracts emit comes out as it went in. The tests hold each against the general
decoder, and that one against web3.py's.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct, error

from oracle.chain.logs import Log
from oracle.core.consensus import Rule
from oracle.core.facts import Batch, Opening, Terms
from oracle.core.keccak import keccak
from oracle.core.words import account

_WORD = 32
_TIME, _SHORT, _BYTE, _PAIR = "24xQ", "28xI", "31xB", "30xH"
_ACCOUNT, _HASH, _AMOUNT = "12x20s", "32s", "16x16s"
_TERMS = _HASH + _BYTE + _PAIR + 2 * _BYTE + _ACCOUNT + _HASH + 3 * _AMOUNT
_BATCH = _SHORT + _ACCOUNT + 2 * _PAIR + _HASH
_OPENING_WORDS = 13
"""Words before the batches of `RoundOpened`: the draw block, the terms, two offsets."""
_RULES = tuple(Rule)


class OtherLayout(ValueError):
    """A log is not laid out as contracts lay out the event."""


def round_opened(log: Log) -> tuple[int, Opening, bytes]:
    """Return round id, opening, and the words of the opening that its digest is made of."""
    data = log.data
    at = _OPENING_WORDS * _WORD
    batches = int.from_bytes(data[at : at + _WORD])
    uri_at = at + _WORD * (1 + 5 * batches)
    length = int.from_bytes(data[uri_at : uri_at + _WORD])
    if batches > len(data) // _WORD or length > len(data):
        raise OtherLayout
    values = _unpack(_opened(batches, length), data)
    (block, domain, rule, trim, size, quorum, oracle, workload, *budgets) = values[:11]
    if values[11:14] != (at, uri_at, batches) or values[-2] != length or rule >= len(_RULES):
        raise OtherLayout
    uri = values[-1]
    try:
        uri.decode()
    except UnicodeDecodeError:
        raise OtherLayout from None
    parts = values[14:-2]
    opening = Opening(
        requester=_account(log.topics[2]),
        draw_block=block,
        terms=Terms(
            domain,
            _RULES[rule],
            trim,
            size,
            quorum,
            account(oracle),
            workload,
            *map(int.from_bytes, budgets),
        ),
        batches=tuple(
            Batch(parts[i], account(parts[i + 1]), parts[i + 2], parts[i + 3], parts[i + 4])
            for i in range(0, 5 * batches, 5)
        ),
        uri_hash=keccak(uri),
    )
    # The opening has the requester before, and the hash of the URI instead of its offset.
    words = b"".join(
        (
            log.topics[2],
            data[: 11 * _WORD],
            (14 * _WORD).to_bytes(_WORD),
            opening.uri_hash,
            data[at:uri_at],
        )
    )
    return _number(log.topics[1]), opening, words


def panel_drawn(log: Log) -> tuple[int, bytes, bytes]:
    """Return `drawnAt`, the seed and the packed panel."""
    length = int.from_bytes(log.data[3 * _WORD : 4 * _WORD])
    if length > len(log.data):
        raise OtherLayout
    drawn_at, seed, offset, _, panel = _unpack(_drawn(length), log.data)
    if offset != 3 * _WORD:
        raise OtherLayout
    return drawn_at, seed, panel


def trust_updated(log: Log) -> bytes:
    """Return the packed trusts."""
    length = int.from_bytes(log.data[_WORD : 2 * _WORD])
    if length > len(log.data):
        raise OtherLayout
    offset, _, trusts = _unpack(_bytes(length), log.data)
    if offset != _WORD:
        raise OtherLayout
    return bytes(trusts)


def round_settled(log: Log, items: int) -> tuple[int, int, int, bytes, bytes, bytes, bytes]:
    """Return `settledAt`, seats, refund, salts, scores, consensus, deviations; of so many items."""
    seats = int.from_bytes(log.data[_WORD : 2 * _WORD])
    if seats >> 31:
        raise OtherLayout
    layout, fixed = _settled(seats.bit_count(), items)
    values = _unpack(layout, log.data)
    settled_at, _, *offsets, refund, salts_length, salts = values[:9]
    scores_length, scores, consensus_length, consensus, deviations_length, deviations = values[9:]
    lengths = (salts_length, scores_length, consensus_length, deviations_length)
    if (*offsets, *lengths) != fixed:
        raise OtherLayout
    return settled_at, seats, int.from_bytes(refund), salts, scores, consensus, deviations


def _unpack(layout: Struct, data: bytes) -> tuple:  # type: ignore[type-arg]
    try:
        values = layout.unpack(data)
    except error:
        raise OtherLayout from None
    if layout.pack(*values) != data:
        raise OtherLayout
    return values


@lru_cache(maxsize=1024)
def _opened(batches: int, uri: int) -> Struct:
    return Struct(f">{_TIME}{_TERMS}{_SHORT}{_SHORT}{_SHORT}{batches * _BATCH}{_tail(uri)}")


@lru_cache(maxsize=1024)
def _drawn(panel: int) -> Struct:
    return Struct(f">{_TIME}{_HASH}{_SHORT}{_tail(panel)}")


@lru_cache(maxsize=1024)
def _bytes(length: int) -> Struct:
    return Struct(f">{_SHORT}{_tail(length)}")


@lru_cache(maxsize=1024)
def _settled(seats: int, items: int) -> tuple[Struct, tuple[int, ...]]:
    """Return the layout, and the offsets and lengths that it has to have."""
    lengths = [seats * 2 * items, 2 * items, 2 * seats]
    layout = Struct(
        f">{_TIME}{5 * _SHORT}{_AMOUNT}{_SHORT}{_WORD * seats}s" + "".join(map(_tail, lengths))
    )
    offsets = [7 * _WORD, 8 * _WORD + _WORD * seats]
    for length in lengths[:-1]:
        offsets.append(offsets[-1] + _WORD + length + -length % _WORD)
    return layout, (*offsets, seats, *lengths)


def _tail(length: int) -> str:
    """A length, so many bytes, and zeros up to a whole word."""
    return f"{_SHORT}{length}s{-length % _WORD}x"


def _number(topic: bytes) -> int:
    return int.from_bytes(topic)


def _account(topic: bytes) -> str:
    if any(topic[:12]):
        raise OtherLayout
    return account(topic[12:])

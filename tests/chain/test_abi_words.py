"""The strict decoder against web3.py's own: the same values of what is encoded, or a refusal."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi import encode
from eth_utils.abi import collapse_if_tuple
from hypothesis import given, settings
from hypothesis import strategies as st
from web3 import Web3

from deploy.artifacts import load
from oracle.audit import layouts
from oracle.chain.logs import EventDecoder, Log, NotCanonical
from oracle.core.digest import opening_digest, opening_hash
from oracle.core.facts import RoundKey

EVENTS = {
    entry["name"]: (contract, entry)
    for contract in ("NodeRegistry", "QualityRounds")
    for entry in load(contract).abi
    if entry["type"] == "event"
}
SOMEWHERE = "0x" + "22" * 20


def values(field: Any) -> st.SearchStrategy[Any]:
    """Any value of a type, as encoders take it."""
    kind: str = field["type"]
    if kind.endswith("[]"):
        return st.lists(values({**field, "type": kind[:-2]}), max_size=5)
    if kind == "tuple":
        return st.tuples(*map(values, field["components"]))
    if kind == "bytes":
        return st.binary(max_size=100)
    if kind == "bytes32":
        return st.binary(min_size=32, max_size=32)
    if kind == "string":
        return st.text(max_size=40)
    if kind == "address":
        return st.binary(min_size=20, max_size=20).map(Web3.to_checksum_address)
    return st.integers(0, 2 ** int(kind.removeprefix("uint")) - 1)


@st.composite
def logs(draw: st.DrawFn, name: str) -> Log:
    contract, entry = EVENTS[name]
    decoder = EventDecoder(load(contract).abi)
    [topic] = [each for each, event in decoder.names.items() if event == name]
    indexed = [each for each in entry["inputs"] if each["indexed"]]
    plain = [each for each in entry["inputs"] if not each["indexed"]]
    topics = tuple(encode([each["type"]], [draw(values(each))]) for each in indexed)
    data = encode([collapse_if_tuple(each) for each in plain], [draw(values(e)) for e in plain])
    return Log(SOMEWHERE, (topic, *topics), data, 1, bytes(32), bytes(32), 0)


def by_web3(log: Log, name: str) -> dict[str, Any]:
    entry: Any = EVENTS[name][1]
    receipt: Any = {
        "address": log.address,
        "topics": log.topics,
        "data": log.data,
        "blockNumber": log.block_number,
        "blockHash": log.block_hash,
        "transactionHash": log.transaction_hash,
        "transactionIndex": 0,
        "logIndex": log.log_index,
    }
    event: Any = Web3().eth.contract(abi=[entry]).events[name]()
    args: dict[str, Any] = plain(event.process_log(receipt)["args"])
    return args


def plain(value: Any) -> Any:
    """The value with dicts, lists and bytes only."""
    if isinstance(value, dict) or hasattr(value, "items"):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return bytes(value) if isinstance(value, bytes) else value


def structs(value: Any) -> Any:
    """The value with tuples for structs, as encoders take it."""
    if isinstance(value, dict):
        return tuple(map(structs, value.values()))
    return [structs(each) for each in value] if isinstance(value, list) else value


def decode(log: Log, name: str) -> dict[str, Any]:
    event = EventDecoder(load(EVENTS[name][0]).abi).decode(log)
    assert event is not None and event.name == name
    return event.args


@pytest.mark.parametrize("name", EVENTS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_event_has_the_values_that_web3_finds(name: str, data: st.DataObject) -> None:
    log = data.draw(logs(name))
    assert decode(log, name) == by_web3(log, name)


@pytest.mark.parametrize("name", EVENTS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_other_bytes_are_other_values_or_refused(name: str, data: st.DataObject) -> None:
    log = data.draw(logs(name))
    content = bytearray(log.data)
    at = data.draw(st.integers(0, len(content)))
    change = data.draw(st.sampled_from(["flip", "cut", "more"]))
    if change == "flip" and at < len(content):
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    elif change == "cut" and at < len(content):
        del content[at:]
    else:
        content[at:at] = bytes(32)
    if bytes(content) == log.data:
        return
    other = Log(SOMEWHERE, log.topics, bytes(content), 1, bytes(32), bytes(32), 0)
    try:
        args = decode(other, name)
    except NotCanonical:
        return
    entry = EVENTS[name][1]
    fields = [each for each in entry["inputs"] if not each["indexed"]]
    kinds = [collapse_if_tuple(each) for each in fields]
    assert encode(kinds, [structs(args[each["name"]]) for each in fields]) == other.data


@settings(max_examples=40, deadline=None)
@given(log=logs("RoundOpened"))
def test_the_fixed_layout_of_an_opening_is_what_the_decoder_reads(log: Log) -> None:
    from oracle.chain.rounds import opening_of

    args = decode(log, "RoundOpened")
    try:
        expected = opening_of(args)
    except ValueError:  # no such rule
        with pytest.raises(layouts.OtherLayout):
            layouts.round_opened(log)
        return
    round_id, opening, words = layouts.round_opened(log)
    assert (round_id, opening) == (args["roundId"], expected)
    key = RoundKey(1, SOMEWHERE, round_id)
    assert opening_hash(key, words) == opening_digest(key, opening)


@settings(max_examples=40, deadline=None)
@given(log=logs("PanelDrawn"))
def test_the_fixed_layout_of_a_draw_is_what_the_decoder_reads(log: Log) -> None:
    args = decode(log, "PanelDrawn")
    if args["drawnAt"] >> 64:
        with pytest.raises(layouts.OtherLayout):
            layouts.panel_drawn(log)
    else:
        assert layouts.panel_drawn(log) == (args["drawnAt"], args["seed"], args["panel"])


@settings(max_examples=40, deadline=None)
@given(log=logs("TrustUpdated"))
def test_the_fixed_layout_of_trusts_is_what_the_decoder_reads(log: Log) -> None:
    assert layouts.trust_updated(log) == decode(log, "TrustUpdated")["trusts"]


@settings(max_examples=40, deadline=None)
@given(
    seats=st.integers(1, 2**31 - 1),
    items=st.integers(1, 9),
    fill=st.binary(min_size=1, max_size=8),
    at=st.integers(0, 2**64 - 1),
    refund=st.integers(0, 2**128 - 1),
)
def test_the_fixed_layout_of_a_settlement_is_what_the_decoder_reads(
    seats: int, items: int, fill: bytes, at: int, refund: int
) -> None:
    n = seats.bit_count()
    scores, consensus, deviations = (
        (fill * length)[:length] for length in (2 * n * items, 2 * items, 2 * n)
    )
    salts = [fill.ljust(32, b"\1")] * n
    _, entry = EVENTS["RoundSettled"]
    kinds = [each["type"] for each in entry["inputs"] if not each["indexed"]]
    data = encode(kinds, [at, seats, salts, scores, consensus, deviations, refund])
    log = Log(SOMEWHERE, (bytes(32),) * 3, data, 1, bytes(32), bytes(32), 0)
    read = layouts.round_settled(log, items)
    assert read == (at, seats, refund, b"".join(salts), scores, consensus, deviations)
    for wrong in (items + 1, items - 1):
        with pytest.raises(layouts.OtherLayout):
            layouts.round_settled(log, wrong)

"""What the oracle and the evaluator do alike: look, count, and serve each round on its own."""

from __future__ import annotations

from typing import Any, cast

import pytest

from oracle.chain.calls import Call
from oracle.chain.follower import ReorganisedPastFinality, View
from oracle.chain.journal import Entry, Status
from oracle.chain.rpc import RpcUnreachable
from oracle.service import logging
from oracle.service.lookout import Lookout
from oracle.service.metrics import DaemonMetrics

NOTHING = cast(View, object())


class Following:
    def advance(self) -> View:
        return NOTHING

    def forget(self) -> None:
        raise NotImplementedError


class Sending:
    """Has `unsettled` in its journal, and tells of `changed` once."""

    address = "0x" + 40 * "1"

    def __init__(self, unsettled: list[Entry], changed: list[Entry]) -> None:
        self._unsettled, self._changed = unsettled, changed

    def send(self, purpose: str, call: Call) -> Entry:
        raise NotImplementedError

    def find(self, purpose: str) -> Entry | None:
        raise NotImplementedError

    def unsettled(self) -> list[Entry]:
        return self._unsettled

    def advance(self, view: View) -> tuple[Entry, ...]:
        changed, self._changed = tuple(self._changed), []
        return changed


def entry(status: Status) -> Entry:
    facts: dict[str, Any] = dict.fromkeys(("key", "chain_id", "nonce", "gas", "max_fee_per_gas"), 1)
    version: Any = type("Version", (), {"hash": bytes(32)})
    return Entry(
        purpose="settle 1",
        sender=Sending.address,
        call=Call(Sending.address, b""),
        status=status,
        created_at=0.0,
        versions=(version,),
        **facts,
    )


def lookout(*unsettled: Entry, changed: tuple[Entry, ...] = ()) -> tuple[Lookout, DaemonMetrics]:
    metrics = DaemonMetrics()
    sending = Sending(list(unsettled), list(changed))
    return Lookout(Following(), sending, metrics, logging.logger()), metrics


def test_a_look_counts_what_changed_and_what_waits() -> None:
    mined = entry(Status.MINED)
    out, metrics = lookout(mined, entry(Status.PENDING), changed=(mined,))
    assert out.look() == (NOTHING, (mined,))
    value = metrics.registry.get_sample_value
    assert value("poq_pending_transactions") == 2
    assert value("poq_transactions_total", {"status": "mined"}) == 1


def test_one_round_does_not_stop_another_and_an_unreachable_node_is_told_at_the_end() -> None:
    out, metrics = lookout()
    served = []

    def serve(round_id: int) -> None:
        served.append(round_id)
        if round_id == 1:
            raise ZeroDivisionError("oops")
        if round_id == 2:
            raise RpcUnreachable("http://node", "it is away")

    with pytest.raises(RpcUnreachable, match="it is away"):
        out.serve([1, 2, 3], serve)
    assert served == [1, 2, 3]
    assert metrics.registry.get_sample_value("poq_rpc_errors_total") == 1


def test_what_nobody_can_mend_goes_through_at_once() -> None:
    out, _ = lookout()
    served = []

    def serve(round_id: int) -> None:
        served.append(round_id)
        raise ReorganisedPastFinality(1, bytes(32), bytes(32))

    with pytest.raises(ReorganisedPastFinality):
        out.serve([1, 2], serve)
    assert served == [1]

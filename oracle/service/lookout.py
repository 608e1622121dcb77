"""
What the oracle and the evaluator have in common: a look at the chain, and every round on its own.

A look learns what became of the transactions, too, and counts and logs it. One round's trouble is
told and never stops another's; only what no later look can mend goes through. What a round needs,
the daemons decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from oracle.chain import calls
from oracle.chain.follower import View
from oracle.chain.journal import Entry
from oracle.chain.rpc import RpcUnreachable
from oracle.service.logging import Logger
from oracle.service.loop import FATAL, Troubles
from oracle.service.metrics import DaemonMetrics


class HistoryIncomplete(Exception):
    """The logs are not those that the chain has digested: the node withholds or invents some."""


class Following(Protocol):
    """What looks at the chain: `oracle.chain.follower.Follower`."""

    def advance(self) -> View: ...
    def forget(self) -> None: ...


class Sending(Protocol):
    """What sends for one key: `oracle.chain.sender.Sender`."""

    address: str

    def send(self, purpose: str, call: calls.Call) -> Entry: ...
    def find(self, purpose: str) -> Entry | None: ...
    def unsettled(self) -> list[Entry]: ...
    def advance(self, view: View) -> tuple[Entry, ...]: ...


class Lookout:
    """`follower` looks, `sender` sends; `troubles` are by round."""

    def __init__(
        self, follower: Following, sender: Sending, metrics: DaemonMetrics, log: Logger
    ) -> None:
        self.follower = follower
        self.sender = sender
        self.metrics = metrics
        self.log = log
        self.troubles = Troubles(log)

    def look(self) -> tuple[View, tuple[Entry, ...]]:
        """Return the chain as it is now, and the transactions whose status changed."""
        view = self.follower.advance()
        changed = self.sender.advance(view)
        for entry in changed:
            self.metrics.transactions.labels(entry.status).inc()
            self.log.info(
                "transaction",
                purpose=entry.purpose,
                status=entry.status,
                nonce=entry.nonce,
                hash="0x" + entry.hash.hex(),
                block=entry.block,
                reason=entry.reason,
            )
        self.metrics.pending.set(len(self.sender.unsettled()))
        return view, changed

    def serve(self, rounds: Iterable[int], serve: Callable[[int], None]) -> None:
        """Call `serve` for each round; raise one of `FATAL`, and at the end `RpcUnreachable`."""
        unreachable: RpcUnreachable | None = None
        for round_id in rounds:
            try:
                serve(round_id)
            except FATAL:
                raise
            except Exception as error:
                self.fail(round_id, "round_failed", error)
                if isinstance(error, RpcUnreachable):
                    unreachable = error
            else:
                self.troubles.clear(round_id)
        if unreachable is not None:
            raise unreachable

    def send(self, purpose: str, call: calls.Call, **fields: object) -> None:
        """Send a call, and log that with `fields`; raise what the sender raises."""
        entry = self.sender.send(purpose, call)
        self.log.info(
            "sent", purpose=purpose, nonce=entry.nonce, hash="0x" + entry.hash.hex(), **fields
        )

    def fail(self, round_id: int, event: str, error: Exception) -> None:
        """Count an error, and tell it as this round's."""
        self.metrics.count_error(error)
        self.troubles.report(round_id, error, event, round=round_id)

    def tidy(self, view: View) -> None:
        """Forget the troubles of rounds that do not run any more."""
        running = set(view.running)
        self.troubles.forget(lambda key: isinstance(key, int) and key not in running)

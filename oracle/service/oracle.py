"""
The oracle: one look at the chain, and what it has to do for each round that runs.

This module decides the order: learn what happened, show it to the intake, then act round by round,
each on facts that hash to the chain's own digest. What it sends is simulated first and named by its
purpose ("settle 12"), so that a second look, a restart, or another oracle at work costs nothing.
One round's trouble never stops another's. `duties` decides what is due; nothing is ever sent that
was not computed in the same look.
"""

from __future__ import annotations

from oracle.chain import calls
from oracle.chain.deployment import Deployment
from oracle.chain.errors import Reverted
from oracle.chain.follower import View
from oracle.chain.journal import Status
from oracle.chain.rounds import LogMissing
from oracle.core.facts import Phase
from oracle.service.board import Board, BoardHolder, RunningRound
from oracle.service.duties import Cancel, CancelUndrawn, Draw, Duty, Moment, Settle, call_of, duty
from oracle.service.logging import Logger
from oracle.service.lookout import Following, HistoryIncomplete, Lookout, Sending
from oracle.service.metrics import OracleMetrics
from oracle.service.patience import Patience
from oracle.service.reveals import RevealStore
from oracle.service.settings import OracleSettings
from oracle.service.vitals import Vitals

SETTLEMENT_GAS = 15_000_000
"""What settling the largest round may use."""
_NAMES: dict[type[Duty], str] = {
    Draw: "draw",
    Settle: "settle",
    Cancel: "cancel",
    CancelUndrawn: "cancel",
}
_ROUNDS = ("every round",)
"""The key of a trouble that is no single round's."""
_DONE_BY_ANOTHER = "WrongPhase"
"""What the contract refuses with when somebody was faster."""


class Oracle:
    """Look at the chain and act; `tick` once a poll, from one thread."""

    def __init__(
        self,
        settings: OracleSettings,
        deployment: Deployment,
        *,
        follower: Following,
        sender: Sending,
        store: RevealStore,
        board: BoardHolder,
        vitals: Vitals,
        metrics: OracleMetrics,
        log: Logger,
    ) -> None:
        self._settings = settings
        self._deployment = deployment
        self._lookout = Lookout(follower, sender, metrics, log)
        self._follower = follower
        self._sender = sender
        self._store = store
        self._board = board
        self._vitals = vitals
        self._metrics = metrics
        self._log = log
        self._patience = Patience(settings.poll)
        self._withdrawal = 1
        self._seen: View | None = None

    def tick(self) -> None:
        """Raise one of `FATAL`, or what kept this look from being a whole one."""
        view, changed = self._lookout.look()
        self._metrics.settlements.inc(
            sum(
                entry.status is Status.FINAL and entry.purpose.startswith("settle ")
                for entry in changed
            )
        )
        board = self._board.current
        if is_new := board is None or view is not self._seen:
            board = self._board.current = self._look_at(view)
            self._vitals.check(view.head)
            self._require_all_rounds(view)
        self._act(view, board)
        if is_new:
            self._tidy(view)
            self._withdraw(view)
            self._seen = view

    # Looking

    def _look_at(self, view: View) -> Board:
        rounds: dict[int, RunningRound] = {}
        for round_id in view.running:
            try:
                rounds[round_id] = RunningRound(view.round(round_id), view.history(round_id))
            except Exception as error:
                self._lookout.fail(round_id, "round_unreadable", error)
        for phase in (Phase.OPEN, Phase.DRAWN):
            count = sum(each.state.phase is phase for each in rounds.values())
            self._metrics.rounds.labels(phase.name.lower()).set(count)
        return Board(view.head, rounds)

    def _tidy(self, view: View) -> None:
        """Forget what was kept for rounds that are final; a round that vanished may come back."""
        running = set(view.running)
        ended = (round_id for round_id in self._store.rounds() if round_id not in running)
        self._store.drop([each for each in ended if each <= view.rounds and _is_final(view, each)])
        self._metrics.held.set(self._store.count())
        self._lookout.tidy(view)
        self._patience.keep(
            lambda key: isinstance(key, tuple) and (key == _ROUNDS or key[0] in running)
        )

    # Acting

    def _act(self, view: View, board: Board) -> None:
        moment = Moment(view.head.number + 1, view.head.timestamp)
        if board.rounds:
            moment = Moment(moment.block, self._vitals.next_second(view.head))
        self._lookout.serve(
            board.rounds,
            lambda round_id: self._serve(view, round_id, board.rounds[round_id], moment),
        )

    def _serve(self, view: View, round_id: int, found: RunningRound, moment: Moment) -> None:
        """Do what is due for a round, once."""
        if found.history.opening.terms.settlement_fee < self._settings.least_fee:
            return
        due = duty(
            found.state,
            found.history,
            self._store.of(round_id),
            self._deployment.rounds_parameters,
            settler=self._sender.address,
            moment=moment,
        )
        if due is None:
            return
        name = _NAMES[type(due)]
        purpose, key = f"{name} {round_id}", (round_id, name)
        known = self._sender.find(purpose)
        if self._patience.rests(key) or (known is not None and known.status.serves):
            return
        try:
            self._require_complete(view, round_id, found)
            self._send(purpose, call_of(due, found.history, self._deployment), round=round_id)
        except Reverted as reverted:
            self._patience.failed(key)
            if reverted.name != _DONE_BY_ANOTHER:
                raise
            self._log.info("done_by_another", round=round_id, call=name)
        except Exception as error:
            self._patience.failed(key)
            if isinstance(error, HistoryIncomplete):
                self._read_again()
            raise

    def _require_all_rounds(self, view: View) -> None:
        """Tell of rounds whose opening the node withholds; the others are served all the same."""
        count = view.state().round_count()
        if count == view.rounds:
            self._lookout.troubles.clear(_ROUNDS)
            return
        missing = HistoryIncomplete(
            f"The chain has opened {count} rounds, and the node's logs show {view.rounds}."
        )
        self._metrics.count_error(missing)
        self._lookout.troubles.report(_ROUNDS, missing, "rounds_missing")
        self._read_again()

    def _read_again(self) -> None:
        """Let the next look read every log again, unless that was done just now."""
        self._metrics.withheld.inc()
        if not self._patience.rests(_ROUNDS):
            self._patience.failed(_ROUNDS)
            self._follower.forget()

    def _require_complete(self, view: View, round_id: int, found: RunningRound) -> None:
        """Raise `HistoryIncomplete` unless a round's logs are those that the chain has digested."""
        replayed = found.digest()
        digest = view.state().digest(round_id)
        if replayed != digest:
            raise HistoryIncomplete(
                f"The logs of round {round_id} hash to 0x{replayed.hex()} and its digest is "
                f"0x{digest.hex()}: the node gives other logs than the chain has."
            )

    def _withdraw(self, view: View) -> None:
        """Withdraw what finished rounds owe this account, where that is told to and enough."""
        least = self._settings.withdraw_least
        if least is None or view.state().credit(self._sender.address) < max(least, 1):
            return
        while (known := self._sender.find(f"withdraw {self._withdrawal}")) is not None:
            if known.status in (Status.PENDING, Status.MINED):
                return
            self._withdrawal += 1
        call = calls.rounds(self._deployment, "withdraw", self._sender.address)
        self._send(f"withdraw {self._withdrawal}", call)

    def _send(self, purpose: str, call: calls.Call, **fields: object) -> None:
        self._lookout.send(purpose, call, **fields)
        self._metrics.sent.labels(purpose.split()[0]).inc()


def _is_final(view: View, round_id: int) -> bool:
    """Say whether an ended round is final: its logs are dropped then."""
    try:
        view.history(round_id)
    except LogMissing:
        return True
    return False

"""
The evaluator: one look at the chain, and what it has to do for each of its seats.

This module decides the order in which a seat's work becomes durable: scores on the disk, then gas
for the reveal as well as the commit, then the commitment, and after that only what opens exactly
this commitment. The chain says whether a seat committed; the salt comes from the key. So a restart
at any point goes on where it was, and one with an empty disk scores again. What cannot be scored is
never committed: the seat stays absent and the log says why. `seat` decides what is due.
"""

from __future__ import annotations

from dataclasses import dataclass

from oracle.chain import calls
from oracle.chain.deployment import Deployment
from oracle.chain.follower import View
from oracle.chain.keys import Signer
from oracle.chain.rounds import LogMissing, RoundHistory, Settled
from oracle.chain.salts import salt_of
from oracle.core.commitment import commitment
from oracle.core.facts import Reveal, RoundState
from oracle.core.history import commit_proof
from oracle.service.board import RunningRound
from oracle.service.couriers import Couriers
from oracle.service.funds import COMMIT_GAS, Funds, reveal_gas
from oracle.service.logging import Logger
from oracle.service.lookout import Following, HistoryIncomplete, Lookout, Sending
from oracle.service.loop import FATAL
from oracle.service.metrics import DaemonMetrics
from oracle.service.ownership import Ownership
from oracle.service.patience import Patience
from oracle.service.rows import Rows
from oracle.service.scores import SeatKey
from oracle.service.seat import Step, commit_of, next_step
from oracle.service.settings import DaemonSettings
from oracle.service.vitals import Vitals


class ScoresLost(Exception):
    """The chain has a commitment of this seat that opens to none of its scores, kept or anew."""

    def __init__(self, round_id: int, node_id: int) -> None:
        super().__init__(
            f"What node {node_id} committed to in round {round_id} is not what it scores now: it "
            "cannot be revealed unless the evaluator, its calibration or the lost data return."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatorSettings(DaemonSettings):
    """
    What the evaluator needs besides.

    `margin` is how many seconds before the reveal deadline it reveals on chain what is in no
    settlement. `node_id` is the one node to act for, `None` for all that the key operates.
    """

    margin: int
    node_id: int | None = None


@dataclass(frozen=True, slots=True)
class _Seat:
    """One of our seats in a running round."""

    found: RunningRound
    seat: int
    node_id: int

    @property
    def state(self) -> RoundState:
        return self.found.state

    @property
    def history(self) -> RoundHistory:
        return self.found.history

    @property
    def key(self) -> SeatKey:
        return SeatKey(self.history.key, self.node_id, self.history.opening.terms.workload_hash)

    @property
    def round_id(self) -> int:
        return self.history.key.round_id

    @property
    def reveal_gas(self) -> int:
        return reveal_gas(self.state.items, self.state.panel_size)


class Evaluator:
    """Look at the chain and act; `tick` once a poll, from one thread."""

    def __init__(
        self,
        settings: EvaluatorSettings,
        deployment: Deployment,
        signer: Signer,
        *,
        follower: Following,
        sender: Sending,
        rows: Rows,
        couriers: Couriers,
        funds: Funds,
        vitals: Vitals,
        metrics: DaemonMetrics,
        log: Logger,
    ) -> None:
        self._settings = settings
        self._deployment = deployment
        self._signer = signer
        self._lookout = Lookout(follower, sender, metrics, log)
        self._follower = follower
        self._sender = sender
        self._rows = rows
        self._store = rows.store
        self._couriers = couriers
        self._funds = funds
        self._vitals = vitals
        self._log = log
        self._ownership = Ownership(signer.address, settings.node_id)
        self._patience = Patience(settings.poll)
        self._told: set[SeatKey] = set()
        self._found: dict[int, RunningRound] = {}
        self._seen: View | None = None

    def tick(self) -> None:
        """Raise one of `FATAL`, or what kept this look from being a whole one."""
        view, _ = self._lookout.look()
        if view is not self._seen:
            self._found.clear()
            self._vitals.check(view.head)
            self._tidy(view)
            self._seen = view
        if view.running:
            self._act(view)

    def _act(self, view: View) -> None:
        now = self._vitals.next_second(view.head)
        self._lookout.serve(view.running, lambda round_id: self._serve(view, round_id, now))

    def _serve(self, view: View, round_id: int, now: int) -> None:
        """Do what is due for our seats in a round; one seat's trouble does not stop another's."""
        found = self._found.get(round_id)
        if found is None:
            found = RunningRound(view.round(round_id), view.history(round_id))
            self._found[round_id] = found
        if found.history.draw is None:
            return
        failure: Exception | None = None
        for number, drawn in enumerate(found.history.draw.panel):
            seat = _Seat(found, number, drawn.node_id)
            # Whoever committed reveals, also after its node got another operator.
            if self._ownership.acts_for(view, seat.node_id) or self._store.find(seat.key):
                try:
                    self._attend(view, seat, now)
                except FATAL:
                    raise
                except Exception as error:
                    failure = error
        if failure is not None:
            raise failure

    def _attend(self, view: View, seat: _Seat, now: int) -> None:
        parameters, margin = self._deployment.rounds_parameters, self._settings.margin
        step = next_step(seat.state, parameters, seat.seat, now=now, margin=margin)
        if step is Step.COMMIT:
            self._commit(view, seat)
        elif step is Step.MISSED:
            self._miss(seat)
        elif (reveal := self._reveal_of(seat)) is not None and step is not Step.WAIT:
            if step is Step.REVEAL or (
                not self._couriers and not seat.state.revealed >> seat.seat & 1
            ):
                self._reveal(view, seat, reveal)
            self._couriers.carry(seat.key, reveal)

    # Committing

    def _commit(self, view: View, seat: _Seat) -> None:
        purpose = f"commit {seat.round_id} {seat.node_id}"
        if self._is_served(purpose):
            return
        if (row := self._row(seat)) is None:
            return
        row = self._store.keep(seat.key, row)
        hashed = commitment(seat.history.key, seat.node_id, self._salt(seat), row)
        call = calls.rounds(self._deployment, "commit", seat.round_id, seat.seat, hashed)
        self._send(view, seat, purpose, call, COMMIT_GAS + self._owed(view, seat))

    def _miss(self, seat: _Seat) -> None:
        """Say once that a seat could not commit in time, and why."""
        if seat.key in self._told:
            return
        self._told.add(seat.key)
        self._log.error(
            "seat_absent",
            round=seat.round_id,
            seat=seat.seat,
            node=seat.node_id,
            message="Commits are closed and this seat has none: it will be slashed.",
            why=self._rows.why_none(seat.key),
        )

    def _row(self, seat: _Seat) -> bytes | None:
        return self._rows.row(seat.key, seat.history.opening, seat.history.uri)

    def _owed(self, view: View, seat: _Seat) -> int:
        """Return the gas of this seat's reveal and of those that others of ours may still need."""
        gas = seat.reveal_gas
        for key in self._store.seats():
            if key.round.round_id in view.running and key != seat.key:
                state = view.round(key.round.round_id)
                gas += reveal_gas(state.items, state.panel_size)
        return gas

    # Revealing

    def _reveal_of(self, seat: _Seat) -> Reveal | None:
        """Return what opens the seat's commitment, scored anew if nothing is kept that does."""
        commit = commit_of(seat.history, seat.seat)
        if commit is None:
            return None
        salt = self._salt(seat)
        if (row := self._row(seat)) is None:
            return None
        if commitment(seat.history.key, seat.node_id, salt, row) != commit.commitment:
            raise ScoresLost(seat.round_id, seat.node_id)
        self._store.keep(seat.key, row)
        return Reveal(seat.seat, salt, row)

    def _reveal(self, view: View, seat: _Seat, reveal: Reveal) -> None:
        purpose = f"reveal {seat.round_id} {seat.node_id}"
        if self._is_served(purpose):
            return
        proof = commit_proof(seat.history.drawn(), seat.seat).as_tuple()
        call = calls.rounds(
            self._deployment, "reveal", seat.round_id, seat.seat, proof, reveal.salt, reveal.scores
        )
        self._send(view, seat, purpose, call, 0)

    # Sending

    def _is_served(self, purpose: str) -> bool:
        known = self._sender.find(purpose)
        return (known is not None and known.status.serves) or self._patience.rests(purpose)

    def _send(self, view: View, seat: _Seat, purpose: str, call: calls.Call, gas: int) -> None:
        """Send a call if the logs that it follows from are the chain's, and `gas` can be paid."""
        try:
            self._require_complete(view, seat)
            if gas:
                self._funds.require(gas)
            self._lookout.send(
                purpose, call, round=seat.round_id, seat=seat.seat, node=seat.node_id
            )
        except Exception:
            self._patience.failed(purpose)
            raise

    def _require_complete(self, view: View, seat: _Seat) -> None:
        """Raise `HistoryIncomplete`, and read all again, unless the chain has digested the logs."""
        if seat.found.digest() != view.state().digest(seat.round_id):
            self._follower.forget()
            raise HistoryIncomplete(
                f"The logs of round {seat.round_id} do not hash to its digest: the node gives "
                "other logs than the chain has."
            )

    def _salt(self, seat: _Seat) -> bytes:
        return salt_of(self._signer, seat.history.key, seat.node_id)

    # What became of it

    def _tidy(self, view: View) -> None:
        """Say how rounds of ours ended, and forget those that cannot come back."""
        running = set(view.running)

        def is_over(key: SeatKey) -> bool:
            return key.round.round_id not in running

        for key in filter(is_over, self._store.seats()):
            if key.round.round_id > view.rounds:
                continue  # a reorganisation took it: it may come back
            try:
                history = view.history(key.round.round_id)
            except LogMissing:  # final
                self._store.drop(key)
                continue
            self._tell_end(key, history)
        self._rows.forget(is_over)
        self._couriers.forget(is_over)
        self._lookout.tidy(view)

    def _tell_end(self, key: SeatKey, history: RoundHistory) -> None:
        if key in self._told or history.draw is None:
            return
        self._told.add(key)
        end, nodes = history.end, [seat.node_id for seat in history.draw.panel]
        included = isinstance(end, Settled) and key.node_id in {
            nodes[reveal.seat] for reveal in end.reveals
        }
        reward = sum(
            payment.amount
            for payment in (end.payments if isinstance(end, Settled) else ())
            if payment.node_id == key.node_id
        )
        self._log.info(
            "round_ended",
            round=key.round.round_id,
            node=key.node_id,
            end="settled" if isinstance(end, Settled) else "cancelled",
            included=included,
            reward=str(reward),
        )

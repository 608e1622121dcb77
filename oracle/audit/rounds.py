"""
The rounds as their logs tell them, each held against what the protocol makes of its facts.

A round's logs give the facts; `oracle.core` gives what has to follow from them, and every later
log, digest and credit is compared with that. The logs that one call emits after its first are
*announced* by it: they must follow, as computed, in that transaction. Sections 3 to 7 of
docs/protocol.md; twin of `QualityRounds.sol`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from oracle.audit.clock import Clock
from oracle.audit.findings import Findings, Where
from oracle.audit.ledger import Ledger
from oracle.audit.reader import Reader
from oracle.audit.record import Records, RoundRecord
from oracle.audit.solvency import Vault
from oracle.chain.deployment import Deployment
from oracle.chain.logs import Event
from oracle.chain.rounds import draw_of, opening_of, settled_of
from oracle.core import phases
from oracle.core.cancellation import Cancellation, cancel, cancel_undrawn
from oracle.core.commitment import commitment
from oracle.core.consensus import Rule
from oracle.core.digest import commit_step, drawn_step, fold, opening_digest
from oracle.core.facts import (
    Commit,
    Conduct,
    Draw,
    DrawnRound,
    Opening,
    Outcome,
    Phase,
    RoundKey,
    RoundState,
    Seat,
)
from oracle.core.panel import TooFewEvaluators, draw_panel, draw_seed
from oracle.core.settlement import Payment, Settlement, settle
from oracle.core.units import (
    MAX_BATCHES,
    MAX_ITEMS,
    MAX_ROUND_BYTES,
    MAX_SEATS,
    MIN_SEATS,
    ONE,
)

_CLOSED = RoundState(Phase.CLOSED, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Ended:
    """What a settled round came to: seats that were present, and who was paid, wei."""

    present: int
    payments: tuple[Payment, ...]
    settler: str
    refund: int


@dataclass(slots=True)
class Audited:
    """
    A round so far: its facts, and at its end what it paid and how it ended.

    Of a round that was audited in bulk, `draw`, `commits` and `settlement` are forgotten then.
    """

    key: RoundKey
    opening: Opening
    uri: str
    opened_in: bytes
    state: RoundState
    draw: Draw | None = None
    commits: list[Commit] = field(default_factory=list)
    digest: bytes = b""
    settlement: Settlement | None = None
    settler: str | None = None
    ended_in: bytes | None = None
    ended_at: int | None = None
    ended: Ended | None = None
    trusts: dict[int, tuple[int, int]] = field(default_factory=dict)
    slashes: dict[int, int] = field(default_factory=dict)

    @property
    def facts(self) -> DrawnRound:
        """What settling and cancelling start from; raises `ValueError` before the draw."""
        if self.draw is None:
            raise ValueError("the panel was not drawn")
        return DrawnRound(
            self.key, self.opening, self.draw, tuple(self.commits), self.state.revealed
        )

    @property
    def phase(self) -> str:
        """open, drawn, settled or cancelled."""
        if self.ended_in is None:
            return self.state.phase.name.lower()
        return "cancelled" if self.ended is None else "settled"

    def record(self, revealed: int) -> RoundRecord:
        """Return the round as it stands; `revealed` is the bitmap of before it ended."""
        return RoundRecord(
            key=self.key,
            phase=self.phase,
            opening=self.opening,
            uri=self.uri,
            opened_in=self.opened_in,
            draw=self.draw,
            commits=tuple(self.commits),
            revealed=revealed,
            settlement=self.settlement,
            settler=self.settler,
            ended_at=self.ended_at,
            ended_in=self.ended_in,
            trusts=self.trusts,
            slashes=self.slashes,
            digest=self.digest,
        )


class Rounds:
    """All rounds by id, and all credits. What moves through `vault` is the rounds' money."""

    def __init__(
        self,
        deployment: Deployment,
        findings: Findings,
        clock: Clock,
        vault: Vault,
        ledger: Ledger,
        reader: Reader | None,
        records: Records | None = None,
    ) -> None:
        self._records = records
        if records is not None:
            records.begin()
        self._deployment = deployment
        self._parameters = deployment.rounds_parameters
        self._findings = findings
        self._clock = clock
        self._vault = vault
        self._ledger = ledger
        self._reader = reader
        self._rounds: dict[int, Audited] = {}
        self._announced: deque[tuple[str, dict[str, Any]]] = deque()
        self.credits: Counter[str] = Counter()
        self.handlers: Mapping[str, Callable[[Event, Where], None]] = {
            "RoundOpened": self._opened,
            "PanelDrawn": self._drawn,
            "ScoresCommitted": self._committed,
            "ScoresRevealed": self._revealed,
            "RoundSettled": self._settled,
            "RoundCancelled": self._cancelled,
            "Withdrawn": self._withdrawn,
            "RewardCredited": self._follows,
        }

    def __iter__(self) -> Iterator[Audited]:
        """Every round by ascending id."""
        return (audited for _, audited in sorted(self._rounds.items()))

    def __len__(self) -> int:
        return len(self._rounds)

    def get(self, round_id: int) -> Audited | None:
        """Return a round, `None` if it was never opened."""
        return self._rounds.get(round_id)

    @property
    def registry_handlers(self) -> Mapping[str, Callable[[Event, Where], None]]:
        """Handlers of the registry's logs that only a round's end causes."""
        return {"Slashed": self._follows, "TrustUpdated": self._follows}

    def close(self, where: Where) -> None:
        """End a transaction: what was announced and did not follow is missing."""
        while self._announced:
            self._miss(where, *self._announced.popleft())

    # Opening and drawing

    def _opened(self, event: Event, where: Where) -> None:
        args, expect = event.args, self._findings.expect
        round_id = args["roundId"]
        expect(where, "RoundOpened.roundId", len(self._rounds) + 1, round_id)
        if not expect(where, "RoundOpened", False, round_id in self._rounds):
            return
        opening = opening_of(args)
        block = event.log.block_number
        expect(
            where, "RoundOpened.drawBlock", block + self._parameters.draw_delay, opening.draw_block
        )
        self._check_terms(opening, where)
        key = RoundKey(self._deployment.chain_id, self._deployment.rounds.address, round_id)
        size = opening.terms.panel_size
        state = RoundState(Phase.OPEN, opening.draw_block, 0, opening.items, size, 0, 0)
        self._rounds[round_id] = Audited(
            key,
            opening,
            args["uri"],
            event.log.transaction_hash,
            state,
            digest=opening_digest(key, opening),
        )
        self._vault.receive(opening.requester, opening.terms.deposit)

    def _check_terms(self, opening: Opening, where: Where) -> None:
        terms, expect = opening.terms, self._findings.expect
        size, items = terms.panel_size, opening.items
        possible = MIN_SEATS <= size <= MAX_SEATS
        expect(where, "RoundOpened.terms.panelSize is possible", True, possible)
        expect(
            where, "RoundOpened.terms.quorum is possible", True, size < 2 * terms.quorum <= 2 * size
        )
        trimmed = 2 * terms.trim < ONE if terms.rule is Rule.TRIMMED_MEAN else terms.trim == 0
        expect(where, "RoundOpened.terms.trim is possible", True, trimmed)
        fits = items <= MAX_ITEMS and items * (2 * size + 4) <= MAX_ROUND_BYTES
        expect(where, "RoundOpened.batches fit a settlement", True, fits)
        least = self._parameters.least_evaluator_pay * size * items
        enough = terms.evaluator_budget >= least
        expect(where, "RoundOpened.terms.evaluatorBudget is enough", True, enough)
        several = 0 < len(opening.batches) <= MAX_BATCHES
        expect(where, "RoundOpened.batches are 1 to 32", True, several)
        for batch in opening.batches:
            place = replace(where, node=batch.node_id)
            owner = self._ledger.owner(batch.node_id)
            expect(place, "RoundOpened.batches.owner", owner, batch.owner)
            active = self._ledger.offers_inference(batch.node_id)
            expect(place, "RoundOpened.batches.nodeId offers inference", True, active)
            plausible = batch.items > 0 and batch.cost <= ONE
            expect(place, "RoundOpened.batches.items and cost are possible", True, plausible)

    def _drawn(self, event: Event, where: Where) -> None:
        audited = self._known(event, where)
        if audited is None:
            return
        block, draw = event.log.block_number, draw_of(event.args)
        opening = audited.opening
        self._findings.allow(where, "PanelDrawn", phases.may_draw(audited.state, block))
        self._clock.check(where, "PanelDrawn.drawnAt", draw.drawn_at)
        if self._reader is not None and opening.draw_block <= self._reader.block:
            block_hash = self._reader.header(opening.draw_block).block_hash
            seed = draw_seed(block_hash, audited.key.contract, audited.key.round_id)
            self._findings.expect(where, "PanelDrawn.seed", seed, draw.seed)
        expected = self._panel(opening, draw.seed)
        self._findings.expect(where, "PanelDrawn.panel", len(expected), len(draw.panel))
        for seat, (right, logged) in enumerate(zip(expected, draw.panel, strict=False)):
            place = replace(where, seat=seat, node=logged.node_id)
            for name in ("node_id", "owner", "trust"):
                found = getattr(logged, name)
                self._findings.expect(
                    place, f"PanelDrawn.panel.{name}", getattr(right, name), found
                )
        audited.draw = draw
        audited.state = replace(audited.state, phase=Phase.DRAWN, drawn_at=draw.drawn_at)
        audited.digest = fold(audited.digest, drawn_step(draw))

    def _panel(self, opening: Opening, seed: bytes) -> tuple[Seat, ...]:
        """Repeat a draw among those active at the end of the block before the opening."""
        roster, ledger = self._ledger.roster, self._ledger
        block = opening.draw_block - self._parameters.draw_delay - 1
        owners = {batch.owner for batch in opening.batches}
        try:
            places = draw_panel(
                seed,
                roster.length_at(block),
                opening.terms.panel_size,
                lambda place: ledger.owner(roster.node_at(place, block)) in owners,
            )
        except TooFewEvaluators:
            return ()
        nodes = (roster.node_at(place, block) for place in places)
        domain = opening.terms.domain
        return tuple(Seat(node, ledger.owner(node), ledger.trust(node, domain)) for node in nodes)

    # Commits and reveals

    def _committed(self, event: Event, where: Where) -> None:
        audited = self._known(event, where)
        if audited is None:
            return
        args = event.args
        commit = Commit(args["seat"], args["committedAt"], args["commitment"])
        verdict = phases.may_commit(
            audited.state, self._parameters, commit.seat, commit.committed_at
        )
        self._clock.check(where, "ScoresCommitted.committedAt", commit.committed_at)
        if not self._findings.allow(where, "ScoresCommitted", verdict):
            return
        self._check_seat(audited, event, where)
        is_zero = not any(commit.commitment)
        self._findings.expect(where, "ScoresCommitted.commitment is zero", False, is_zero)
        audited.commits.append(commit)
        committed = audited.state.committed | 1 << commit.seat
        audited.state = replace(audited.state, committed=committed)
        audited.digest = fold(audited.digest, commit_step(commit))

    def _revealed(self, event: Event, where: Where) -> None:
        audited = self._known(event, where)
        if audited is None:
            return
        args, state = event.args, audited.state
        seat, now = args["seat"], self._clock.time
        at = phases.commits_close_at(self._parameters, state.drawn_at) if now is None else now
        verdict = phases.may_reveal(state, self._parameters, seat, at)
        if not self._findings.allow(where, "ScoresRevealed", verdict):
            return
        self._check_seat(audited, event, where)
        committed = {commit.seat: commit.commitment for commit in audited.commits}
        hashed = commitment(audited.key, args["nodeId"], args["salt"], args["scores"])
        self._findings.expect(where, "ScoresRevealed.scores", committed[seat], hashed)
        audited.state = replace(state, revealed=state.revealed | 1 << seat)

    def _check_seat(self, audited: Audited, event: Event, where: Where) -> None:
        node_id = audited.facts.draw.panel[event.args["seat"]].node_id
        self._findings.expect(where, f"{event.name}.nodeId", node_id, event.args["nodeId"])

    # The end

    def _settled(self, event: Event, where: Where) -> None:
        audited = self._known(event, where)
        if audited is None:
            return
        args, expect = event.args, self._findings.expect
        logged = settled_of(event, ())
        settlement = settle(audited.facts, self._parameters, logged.reveals)
        verdict = phases.may_settle(
            audited.state,
            audited.opening.terms,
            self._parameters,
            included=args["seats"],
            settler=logged.settler,
            now=logged.settled_at,
        )
        self._findings.allow(where, "RoundSettled", verdict)
        block = event.log.block_number
        self._clock.check(where, "RoundSettled.settledAt", logged.settled_at)
        items = [where] * audited.opening.items
        panel = audited.facts.draw.panel
        seats = [
            replace(where, seat=reveal.seat, node=panel[reveal.seat].node_id)
            for reveal in settlement.reveals
        ]
        right = b"".join(deviation.to_bytes(2) for deviation in settlement.deviations)
        self._compare(items, "RoundSettled.consensus", 2, settlement.consensus, logged.consensus)
        self._compare(seats, "RoundSettled.deviations", 2, right, logged.deviations)
        expect(where, "RoundSettled.refund", settlement.refund, logged.refund)
        revealed = audited.state.revealed
        digest = settlement.digest(logged.settler, logged.settled_at)
        self.close_round(audited, digest, event.log.transaction_hash)
        audited.ended_at = logged.settled_at
        audited.settlement, audited.settler = settlement, logged.settler
        audited.ended = Ended(
            len(settlement.reveals), settlement.payments(), logged.settler, settlement.refund
        )

        opening = audited.opening
        self.credits[logged.settler] += settlement.fee
        self.credits[opening.requester] += settlement.refund
        for payment in settlement.payments():
            self.credits[payment.account] += payment.amount
            self._announce("RewardCredited", audited, _reward(payment))
        self._announce_slashes(audited, settlement.outcomes, block)
        self._announce_trusts(audited, settlement)
        self._record(audited, revealed)

    def _cancelled(self, event: Event, where: Where) -> None:
        audited = self._known(event, where)
        if audited is None:
            return
        args, block = event.args, event.log.block_number
        now, quorum = args["cancelledAt"], audited.opening.terms.quorum
        if audited.draw is None:
            verdict = phases.may_cancel_undrawn(audited.state, block)
            cancellation: Cancellation = cancel_undrawn(audited.key, audited.opening)
        else:
            verdict = phases.may_cancel(audited.state, quorum, self._parameters, now)
            cancellation = cancel(audited.facts)
        self._findings.allow(where, "RoundCancelled", verdict)
        self._clock.check(where, "RoundCancelled.cancelledAt", now)
        requester = audited.opening.requester
        self._findings.expect(where, "RoundCancelled.requester", requester, args["requester"])
        self._findings.expect(where, "RoundCancelled.refund", cancellation.refund, args["refund"])
        revealed = audited.state.revealed
        self.close_round(audited, cancellation.digest(now), event.log.transaction_hash)
        audited.ended_at = now
        self.credits[requester] += cancellation.refund
        self._announce_slashes(audited, cancellation.outcomes, block)
        self._record(audited, revealed)

    def record_running(self) -> None:
        """Record the rounds that have not ended."""
        for audited in self:
            if audited.ended_in is None:
                self._record(audited, audited.state.revealed)

    def _record(self, audited: Audited, revealed: int) -> None:
        if self._records is not None:
            self._records.add(audited.record(revealed))

    def close_round(self, audited: Audited, digest: bytes, transaction: bytes) -> None:
        """End a round with its last digest."""
        audited.digest = digest
        audited.state = _CLOSED
        audited.ended_in = transaction

    def _announce_slashes(
        self, audited: Audited, outcomes: tuple[Outcome, ...], block: int
    ) -> None:
        for outcome in outcomes:
            if outcome.conduct is Conduct.PRESENT:
                continue
            amount = self._ledger.slash(outcome.node_id, outcome.conduct, block)
            audited.slashes[outcome.node_id] = amount
            if amount:
                slash = {"nodeId": outcome.node_id, "conduct": outcome.conduct, "amount": amount}
                self._announce("Slashed", audited, slash)

    def _announce_trusts(self, audited: Audited, settlement: Settlement) -> None:
        domain, panel = audited.opening.terms.domain, settlement.facts.draw.panel
        current = {seat.node_id: self._ledger.trust(seat.node_id, domain) for seat in panel}
        moved = settlement.new_trusts(self._deployment.registry_parameters.trust, current)
        for node_id, trust in moved.items():
            self._ledger.move_trust(node_id, domain, trust)
            audited.trusts[node_id] = current[node_id], trust
        packed = b"".join(node.to_bytes(4) + trust.to_bytes(4) for node, trust in moved.items())
        self._announce("TrustUpdated", audited, {"domain": domain, "trusts": packed})

    def _announce(self, name: str, audited: Audited, args: dict[str, Any]) -> None:
        self._announced.append((name, {"roundId": audited.key.round_id, **args}))

    def _follows(self, event: Event, where: Where) -> None:
        """Hold a log against the one that the transaction announced; those passed are missing."""
        about = event.name, event.args.get("nodeId")
        announced = [(name, args.get("nodeId")) for name, args in self._announced]
        for _ in range(announced.index(about) if about in announced else 0):
            self._miss(where, *self._announced.popleft())
        name, args = self._announced.popleft() if self._announced else (None, {})
        if not self._findings.expect(where, event.name, name, event.name):
            return
        for key, expected in args.items():
            if key == "trusts":
                nodes = [
                    replace(where, node=int.from_bytes(expected[i : i + 4]))
                    for i in range(0, len(expected), 8)
                    for _ in ("id", "trust")
                ]
                self._compare(nodes, "TrustUpdated.trusts", 4, expected, event.args[key])
            else:
                self._findings.expect(where, f"{event.name}.{key}", expected, event.args[key])

    def _miss(self, where: Where, name: str, args: dict[str, Any]) -> None:
        place = replace(where, round=args["roundId"], node=args.get("nodeId"))
        self._findings.expect(place, name, args, None)

    def _compare(
        self, places: Sequence[Where], field: str, width: int, expected: bytes, found: bytes
    ) -> None:
        """Compare packed numbers of `width` bytes, one of each of `places`."""
        if expected == found or len(expected) != len(found):
            self._findings.expect(replace(places[0], seat=None, node=None), field, expected, found)
            return
        for i, where in enumerate(places):
            part = slice(i * width, (i + 1) * width)
            right, logged = (int.from_bytes(packed[part]) for packed in (expected, found))
            self._findings.expect(where, f"{field}[{i}]", right, logged)

    # Credits

    def _withdrawn(self, event: Event, where: Where) -> None:
        account, amount = event.args["account"], event.args["amount"]
        due = self.credits[account]
        self._findings.expect(where, "Withdrawn is due", True, due > 0)
        self._findings.expect(where, "Withdrawn.amount", due, amount)
        self.credits[account] = 0
        self._vault.pay(account, due)

    def _known(self, event: Event, where: Where) -> Audited | None:
        audited = self._rounds.get(event.args["roundId"])
        known = "unknown" if audited is None else "known"
        self._findings.expect(where, f"{event.name}.roundId", "known", known)
        return audited


def _reward(payment: Payment) -> dict[str, Any]:
    return {
        "nodeId": payment.node_id,
        "role": payment.role,
        "account": payment.account,
        "amount": payment.amount,
    }

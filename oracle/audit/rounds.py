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
from functools import cache
from struct import Struct
from typing import Any

from oracle.audit.clock import Clock
from oracle.audit.findings import Findings, Where
from oracle.audit.ledger import Ledger
from oracle.audit.reader import Reader
from oracle.audit.record import Notes, Records, RoundRecord
from oracle.audit.solvency import Vault
from oracle.chain.deployment import Deployment
from oracle.chain.logs import Event, Log
from oracle.chain.rounds import opening_of, settled_of
from oracle.core import phases
from oracle.core.cancellation import Cancellation, cancel, cancel_undrawn
from oracle.core.commitment import commitment
from oracle.core.consensus import Rule
from oracle.core.digest import commit_step, fold, opening_digest, panel_step
from oracle.core.facts import (
    SEAT_BYTES,
    Commit,
    Conduct,
    Draw,
    DrawnRound,
    Opening,
    Outcome,
    Phase,
    RoundKey,
    RoundState,
    unpack_panel,
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
    """
    What a settled round came to.

    `present` counts seats; `payments` are node, role, account and wei, in the order of their logs.
    """

    present: int
    payments: tuple[tuple[int, int, str, int], ...]
    settler: str
    refund: int


class Drawn:
    """
    A draw: what `PanelDrawn` logs, and the seats' columns.

    `ids`, `owners` (20 bytes) and `trusts` are those of the seats, packed in `panel`.
    """

    __slots__ = ("_draw", "drawn_at", "ids", "owners", "panel", "seed", "trusts")

    def __init__(self, drawn_at: int, seed: bytes, panel: bytes) -> None:
        self.drawn_at = drawn_at
        self.seed = seed
        self.panel = panel
        columns = _seats(len(panel) // SEAT_BYTES).unpack(panel)
        self.ids: tuple[int, ...] = columns[::3]
        self.owners: tuple[bytes, ...] = columns[1::3]
        self.trusts: tuple[int, ...] = columns[2::3]
        self._draw: Draw | None = None

    @property
    def draw(self) -> Draw:
        """The draw as the core has it."""
        if self._draw is None:
            self._draw = Draw(self.drawn_at, self.seed, unpack_panel(self.panel))
        return self._draw


@cache
def _seats(count: int) -> Struct:
    return Struct(">" + count * "I20sI")


@dataclass(slots=True)
class Audited:
    """
    A round so far: its facts, and at its end what it paid and how it ended.

    Of a round that was audited in bulk, `drawn`, `commits` and `settlement` are forgotten then.
    `notes` are there if rounds are recorded.
    """

    key: RoundKey
    opening: Opening
    state: RoundState
    drawn: Drawn | None = None
    commits: list[Commit] = field(default_factory=list)
    bulk: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """Commits by seat, in the order of the log, that are not in `commits` yet."""
    digest: bytes = b""
    settlement: Settlement | None = None
    settler: str | None = None
    ended_in: bytes | None = None
    ended: Ended | None = None
    notes: Notes | None = None

    @property
    def phase(self) -> str:
        """open, drawn, settled or cancelled."""
        if self.ended_in is None:
            return self.state.phase.name.lower()
        return "cancelled" if self.ended is None else "settled"

    def spell_out(self) -> None:
        """Put the commits that were taken in bulk among the others."""
        self.commits += [Commit(seat, *rest) for seat, rest in self.bulk.items()]
        self.bulk.clear()

    @property
    def draw(self) -> Draw | None:
        """The draw, if there was one."""
        return None if self.drawn is None else self.drawn.draw

    @property
    def facts(self) -> DrawnRound:
        """What settling and cancelling start from; raises `ValueError` before the draw."""
        if self.draw is None:
            raise ValueError("the panel was not drawn")
        return DrawnRound(
            self.key, self.opening, self.draw, tuple(self.commits), self.state.revealed
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
        key = self.key(event.args["roundId"])
        opening = opening_of(event.args)
        self.open(key, opening, opening_digest(key, opening), event.log.block_number, where)
        audited = self._rounds[key.round_id]
        if self._records is not None and audited.notes is None:
            audited.notes = Notes(event.args["uri"], event.log.transaction_hash)

    def key(self, round_id: int) -> RoundKey:
        """Return what the hashes of a round are bound to."""
        return RoundKey(self._deployment.chain_id, self._deployment.rounds.address, round_id)

    def open(
        self, key: RoundKey, opening: Opening, digest: bytes, block: int, where: Where
    ) -> None:
        """Open a round in a block, with its first digest."""
        expect, round_id = self._findings.expect, key.round_id
        expect(where, "RoundOpened.roundId", len(self._rounds) + 1, round_id)
        if not expect(where, "RoundOpened", False, round_id in self._rounds):
            return
        expect(
            where, "RoundOpened.drawBlock", block + self._parameters.draw_delay, opening.draw_block
        )
        self._check_terms(opening, where)
        size = opening.terms.panel_size
        state = RoundState(Phase.OPEN, opening.draw_block, 0, opening.items, size, 0, 0)
        self._rounds[round_id] = Audited(key, opening, state, digest=digest)
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
            place = Where(where.transaction, where.round, None, batch.node_id)
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
        args = event.args
        unpack_panel(args["panel"])  # raises if these are no seats
        self.draw(audited, args["drawnAt"], args["seed"], args["panel"], event.log, where)

    def draw(
        self,
        audited: Audited,
        drawn_at: int,
        seed: bytes,
        panel: bytes,
        log: Log,
        where: Where,
    ) -> None:
        """Draw a round's panel as a log has it; `panel` is packed."""
        opening, expect = audited.opening, self._findings.expect
        verdict = phases.may_draw(audited.state, log.block_number)
        self._findings.allow(where, "PanelDrawn", verdict)
        self._clock.check(where, "PanelDrawn.drawnAt", drawn_at)
        if self._reader is not None and opening.draw_block <= self._reader.block:
            block_hash = self._reader.header(opening.draw_block).block_hash
            right = draw_seed(block_hash, audited.key.contract, audited.key.round_id)
            expect(where, "PanelDrawn.seed", right, seed)
        expected = self._panel(opening, seed)
        seats = len(expected) // SEAT_BYTES
        expect(where, "PanelDrawn.panel", seats, len(panel) // SEAT_BYTES)
        if expected == panel:
            self._findings.comparisons += 3 * seats
        else:
            pairs = zip(unpack_panel(expected), unpack_panel(panel), strict=False)
            for seat, (due, logged) in enumerate(pairs):
                place = replace(where, seat=seat, node=logged.node_id)
                for name in ("node_id", "owner", "trust"):
                    found = getattr(logged, name)
                    expect(place, f"PanelDrawn.panel.{name}", getattr(due, name), found)
        audited.drawn = Drawn(drawn_at, seed, panel)
        state = audited.state
        audited.state = RoundState(
            Phase.DRAWN, state.draw_block, drawn_at, state.items, state.panel_size, 0, 0
        )
        audited.digest = fold(audited.digest, panel_step(drawn_at, seed, panel))

    def _panel(self, opening: Opening, seed: bytes) -> bytes:
        """Repeat a draw among those active at the end of the block before the opening; packed."""
        ledger = self._ledger
        block = opening.draw_block - self._parameters.draw_delay - 1
        nodes = ledger.roster.nodes_at(block)
        excluded = ledger.evaluators_of({batch.owner for batch in opening.batches})
        try:
            places = draw_panel(
                seed,
                len(nodes),
                opening.terms.panel_size,
                lambda place: nodes[place] in excluded,
            )
        except TooFewEvaluators:
            return b""
        domain = opening.terms.domain
        seated = [nodes[place] for place in places]
        packed, trust = ledger.packed, ledger.trust
        return b"".join([packed(node) + trust(node, domain).to_bytes(4) for node in seated])

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
        if audited.drawn is None:
            raise ValueError("the panel was not drawn")
        node_id = audited.drawn.ids[event.args["seat"]]
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
        audited.settlement, audited.settler = settlement, logged.settler
        audited.ended = Ended(
            len(settlement.reveals),
            tuple(
                (each.node_id, each.role, each.account, each.amount)
                for each in settlement.payments()
            ),
            logged.settler,
            settlement.refund,
        )

        opening = audited.opening
        self.credits[logged.settler] += settlement.fee
        self.credits[opening.requester] += settlement.refund
        for payment in settlement.payments():
            self.credits[payment.account] += payment.amount
            self._announce("RewardCredited", audited, _reward(payment))
        self._announce_slashes(audited, settlement.outcomes, block)
        self._announce_trusts(audited, settlement)
        self._record(audited, revealed, logged.settled_at)

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
        self.credits[requester] += cancellation.refund
        self._announce_slashes(audited, cancellation.outcomes, block)
        self._record(audited, revealed, now)

    def record_running(self) -> None:
        """Record the rounds that have not ended."""
        for audited in self:
            if audited.ended_in is None:
                self._record(audited, audited.state.revealed, None)

    def _record(self, audited: Audited, revealed: int, ended_at: int | None) -> None:
        notes = audited.notes
        if self._records is None or notes is None:
            return
        record = RoundRecord(
            key=audited.key,
            phase=audited.phase,
            opening=audited.opening,
            uri=notes.uri,
            opened_in=notes.opened_in,
            draw=audited.draw,
            commits=tuple(audited.commits),
            revealed=revealed,
            settlement=audited.settlement,
            settler=audited.settler,
            ended_at=ended_at,
            ended_in=audited.ended_in,
            trusts=notes.trusts,
            slashes=notes.slashes,
            digest=audited.digest,
        )
        self._records.add(record)

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
            if audited.notes is not None:
                audited.notes.slashes[outcome.node_id] = amount
            if amount:
                slash = {"nodeId": outcome.node_id, "conduct": outcome.conduct, "amount": amount}
                self._announce("Slashed", audited, slash)

    def _announce_trusts(self, audited: Audited, settlement: Settlement) -> None:
        domain, panel = audited.opening.terms.domain, settlement.facts.draw.panel
        current = {seat.node_id: self._ledger.trust(seat.node_id, domain) for seat in panel}
        moved = settlement.new_trusts(self._deployment.registry_parameters.trust, current)
        for node_id, trust in moved.items():
            self._ledger.move_trust(node_id, domain, trust)
        if audited.notes is not None:
            for reveal in settlement.reveals:
                node_id = panel[reveal.seat].node_id
                before = current[node_id]
                audited.notes.trusts[node_id] = before, moved.get(node_id, before)
        if not moved:  # the rule does not weigh by trust
            return
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

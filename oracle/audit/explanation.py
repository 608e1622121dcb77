"""
Why a node got what it got from a round, in figures.

Each figure is computed once more from the round's logged facts by `oracle.core`, one step of the
rules at a time, and compared with what the round paid: an explanation whose figures did not lead
to the amount would be none. `sentences` puts the figures into words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from oracle.audit.findings import Findings, Mismatch, Where
from oracle.audit.record import RoundRecord, scored
from oracle.core import rewards, trust
from oracle.core.consensus import Rule, deviations, trim_count, trimmed_mean
from oracle.core.facts import Batch, Conduct, Draw, Role
from oracle.core.judged import judged_count
from oracle.core.parameters import RegistryParameters, RoundsParameters
from oracle.core.settlement import Settlement
from oracle.core.units import WEIGHT_UNIT, unpack


class NotInRound(ValueError):
    """Raised when a node had neither a seat nor a batch in a round."""

    def __init__(self, record: RoundRecord, node: int) -> None:
        nodes = sorted({batch.node_id for batch in record.opening.batches})
        seats = [] if record.draw is None else [seat.node_id for seat in record.draw.panel]
        panel = f"its panel was {_list(seats)}" if seats else "no panel was drawn"
        super().__init__(
            f"Node {node} had no part in round {record.key.round_id}: {panel}, "
            f"and its outputs came from {_list(nodes)}."
        )


class NotEnded(Exception):
    """Raised when a round still runs: nothing is paid before its end."""

    def __init__(self, record: RoundRecord) -> None:
        stands = "waits for its panel" if record.draw is None else "has its panel and runs"
        super().__init__(
            f"Round {record.key.round_id} {stands}: nothing is paid before it is settled."
        )


@dataclass(frozen=True, slots=True)
class TrustMove:
    """
    How a settlement moved a seat's trust, in TRUST_ONE; all else is in ONE.

    `baseline` is b, how far the seat is from the pivot of other items, `disagreement` f, `median`
    that of the panel's `disagreements`, by node id, `tolerance` τ, `rate` the λ' that applied.
    """

    before: int
    after: int
    baseline: int
    disagreement: int
    disagreements: Mapping[int, int]
    median: int
    tolerance: int
    rate: int


@dataclass(frozen=True, slots=True)
class Included:
    """
    What an included seat is paid by: scores, consensus and pivot item by item, in ONE as the rest.

    `deviation` is d, `closeness` q, `latency` L, `share` r; `elapsed` is in seconds, `reward` wei.
    `weight` is of `weights`, those of all included seats. `deviations` are theirs by node id, over
    the `judged` items.
    """

    scores: tuple[int, ...]
    consensus: tuple[int, ...]
    pivot: tuple[int, ...]
    judged: tuple[int, ...]
    deviation: int
    deviations: Mapping[int, int]
    closeness: int
    latency: int
    elapsed: int
    share: int
    reward: int
    weight: int
    weights: int
    trust: TrustMove


@dataclass(frozen=True, slots=True)
class SeatPart:
    """A seat: `committed_at` is `None` without a commitment, `slashed` in wei."""

    seat: int
    owner: str
    trust_drawn: int
    conduct: Conduct
    committed_at: int | None
    slashed: int
    included: Included | None


@dataclass(frozen=True, slots=True)
class BatchPart:
    """
    A batch: items `first` to `last`, and in a settled round their consensus, in ONE.

    `merit` is `Σ max(0, α·c − β·C)` in ONE², `unpaid` how many items that left nothing, `reward`
    wei.
    """

    first: int
    last: int
    owner: str
    cost: int
    consensus: tuple[int, ...]
    merit: int
    unpaid: int
    reward: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    What a node got from a round and why. Exactly one of `seat` and `batches` is not empty.

    `mismatches` are those of the audit that concern this round or no round, and those between the
    figures here and what the round paid; `elsewhere` counts the audit's others.
    """

    record: RoundRecord
    node: int
    rounds: RoundsParameters
    registry: RegistryParameters
    seat: SeatPart | None
    batches: tuple[BatchPart, ...]
    comparisons: int
    mismatches: tuple[Mismatch, ...]
    elsewhere: int

    @property
    def role(self) -> Role:
        """What the node was in this round."""
        return Role.INFERENCE if self.seat is None else Role.EVALUATOR

    @property
    def amount(self) -> int:
        """What the node earned, wei."""
        if self.seat is None:
            return sum(batch.reward for batch in self.batches)
        return 0 if self.seat.included is None else self.seat.included.reward

    @property
    def slashed(self) -> int:
        """What the node lost of its stake, wei."""
        return 0 if self.seat is None else self.seat.slashed

    @property
    def right(self) -> bool:
        """Whether neither this explanation nor the audit found anything wrong."""
        return not self.mismatches and not self.elsewhere

    def to_json(self) -> dict[str, Any]:
        """Return all figures; amounts are wei as strings, shares in ONE, trusts in TRUST_ONE."""
        record, terms = self.record, self.record.opening.terms
        return {
            "round": record.key.round_id,
            "node": self.node,
            "role": self.role.name.lower(),
            "phase": record.phase,
            "amount": str(self.amount),
            "slashed": str(self.slashed),
            "domain": record.domain,
            "rule": terms.rule.name,
            "items": record.opening.items,
            "panelSize": terms.panel_size,
            "quorum": terms.quorum,
            "inferenceBudget": str(terms.inference_budget),
            "evaluatorBudget": str(terms.evaluator_budget),
            "endedAt": record.ended_at,
            "transaction": None if record.ended_in is None else "0x" + record.ended_in.hex(),
            "seat": None if self.seat is None else _seat_json(self.seat),
            "batches": [{**asdict(each), "reward": str(each.reward)} for each in self.batches],
            "parameters": {
                **{name: str(value) for name, value in _money(self).items()},
                "commitWindow": self.rounds.commit_window,
                "qualityWeight": self.rounds.quality_weight,
                "costWeight": self.rounds.cost_weight,
                "closenessScale": self.rounds.closeness_scale,
                "trust": asdict(self.registry.trust),
            },
            "comparisons": self.comparisons,
            "mismatches": [asdict(mismatch) for mismatch in self.mismatches],
            "mismatchesElsewhere": self.elsewhere,
        }


def explain(
    record: RoundRecord,
    node: int,
    rounds: RoundsParameters,
    registry: RegistryParameters,
    mismatches: Sequence[Mismatch] = (),
) -> Explanation:
    """
    Return why `node` got what it got; `mismatches` are those of the audit that made the record.

    Raises `NotInRound`, and `NotEnded` where that cannot be told yet or nothing is paid yet.
    """
    draw = record.draw
    places = [] if draw is None else [seat.node_id for seat in draw.panel]
    batches = _batches_of(record, node)
    if not batches and node not in places:
        if record.ended_in is None and draw is None:
            raise NotEnded(record)
        raise NotInRound(record, node)
    if record.ended_in is None:
        raise NotEnded(record)
    findings = Findings()
    seat = None
    if draw is not None and node in places:
        seat = _seat_part(record, draw, places.index(node), rounds, registry, findings)
    parts = tuple(
        _batch_part(record, index, first, rounds, findings) for index, first, _ in batches
    )
    round_id = record.key.round_id
    near = [each for each in mismatches if each.round in (None, round_id)]
    return Explanation(
        record=record,
        node=node,
        rounds=rounds,
        registry=registry,
        seat=seat,
        batches=parts,
        comparisons=findings.comparisons,
        mismatches=(*near, *findings.mismatches),
        elsewhere=len(mismatches) - len(near),
    )


def _seat_part(
    record: RoundRecord,
    draw: Draw,
    seat: int,
    rounds: RoundsParameters,
    registry: RegistryParameters,
    findings: Findings,
) -> SeatPart:
    drawn = draw.panel[seat]
    committed = {commit.seat: commit.committed_at for commit in record.commits}
    included = conduct = None
    settlement = record.settlement
    if settlement is not None:
        conduct = settlement.outcomes[seat].conduct
        if conduct is Conduct.PRESENT:
            elapsed = committed[seat] - draw.drawn_at
            included = _included(record, settlement, seat, elapsed, rounds, registry, findings)
    elif drawn.node_id not in record.slashes:
        conduct = Conduct.PRESENT  # a cancelled round excuses it
    if conduct is None:
        conduct = Conduct.NOT_REVEALED if seat in committed else Conduct.NOT_COMMITTED
    return SeatPart(
        seat=seat,
        owner=drawn.owner,
        trust_drawn=drawn.trust,
        conduct=conduct,
        committed_at=committed.get(seat),
        slashed=record.slashes.get(drawn.node_id, 0),
        included=included,
    )


def _included(
    record: RoundRecord,
    settlement: Settlement,
    seat: int,
    elapsed: int,
    rounds: RoundsParameters,
    registry: RegistryParameters,
    findings: Findings,
) -> Included:
    terms, items = record.opening.terms, judged_count(record.opening.items)
    panel = settlement.facts.draw.panel
    seats = [reveal.seat for reveal in settlement.reveals]
    place = seats.index(seat)
    round_scores = scored(settlement)
    judged = round_scores.judged
    scores, pivot = round_scores.scores[:, judged], round_scores.pivot[judged]
    distances = deviations(scores, pivot)
    own, waited = distances[place : place + 1], np.array([elapsed], dtype=np.int64)
    [close] = rewards.closeness(rounds, own).tolist()
    [late] = rewards.latency(rounds, waited).tolist()
    shares = rewards.seat_shares(rounds, own, waited)
    [reward] = rewards.seat_rewards(terms.evaluator_budget, terms.panel_size, shares)

    ids = [panel[each].node_id for each in seats]
    disagreements = trust.disagreements(scores, pivot)
    other_items = np.roll(pivot, -(items // 2))
    current = np.array([record.trusts[each][0] for each in ids], dtype=np.uint32)
    after = int(current[place])
    if terms.rule.weighs:
        after = int(trust.updated(registry.trust, current, disagreements, items)[place])
    tolerance = int(trust.tolerance(registry.trust, disagreements))
    deviation, disagreement = int(distances[place]), int(disagreements[place])
    rates = registry.trust
    rate = rates.gain if disagreement <= tolerance else rates.loss
    middle = trim_count(Rule.MEDIAN, len(seats))
    move = TrustMove(
        before=int(current[place]),
        after=after,
        baseline=int(deviations(scores[place : place + 1], other_items)[0]),
        disagreement=disagreement,
        disagreements=dict(zip(ids, disagreements.tolist(), strict=True)),
        median=int(trimmed_mean(disagreements[:, np.newaxis], middle)[0]),
        tolerance=tolerance,
        rate=rate * min(items, rates.evidence) // rates.evidence,
    )

    where = Where(record.ended_in, record.key.round_id, seat, panel[seat].node_id)
    findings.expect(where, "deviation", settlement.deviations[place], deviation)
    findings.expect(where, "disagreement", settlement.disagreements[place], disagreement)
    findings.expect(where, "RewardCredited.amount", settlement.seat_rewards[place], reward)
    findings.expect(where, "trust", record.trusts[panel[seat].node_id][1], after)
    weights = [panel[each].trust // WEIGHT_UNIT for each in seats]
    return Included(
        scores=tuple(round_scores.scores[place].tolist()),
        consensus=tuple(round_scores.consensus.tolist()),
        pivot=tuple(round_scores.pivot.tolist()),
        judged=tuple(judged.tolist()),
        deviation=deviation,
        deviations=dict(zip(ids, distances.tolist(), strict=True)),
        closeness=close,
        latency=late,
        elapsed=elapsed,
        share=int(shares[0]),
        reward=reward,
        weight=weights[place],
        weights=sum(weights),
        trust=move,
    )


def _batch_part(
    record: RoundRecord, index: int, first: int, rounds: RoundsParameters, findings: Findings
) -> BatchPart:
    opening, settlement = record.opening, record.settlement
    batch = opening.batches[index]
    last = first + batch.items - 1
    if settlement is None:
        return BatchPart(first, last, batch.owner, batch.cost, (), 0, 0, 0)
    consensus = unpack(settlement.consensus, opening.items)[first : last + 1]
    merits = rewards.batch_merits(rounds, consensus, [batch.items], [batch.cost])
    [reward] = rewards.batch_rewards(opening.terms.inference_budget, opening.items, merits)
    where = Where(record.ended_in, record.key.round_id, None, batch.node_id)
    findings.expect(where, "RewardCredited.amount", settlement.batch_rewards[index], reward)
    price = rounds.cost_weight * batch.cost
    worth = rounds.quality_weight * consensus.astype(np.int64)
    return BatchPart(
        first=first,
        last=last,
        owner=batch.owner,
        cost=batch.cost,
        consensus=tuple(consensus.tolist()),
        merit=int(merits[0]),
        unpaid=int((worth <= price).sum()),
        reward=reward,
    )


def _batches_of(record: RoundRecord, node: int) -> list[tuple[int, int, Batch]]:
    """Return index, first item and batch of each of the node's batches."""
    found, first = [], 0
    for index, batch in enumerate(record.opening.batches):
        if batch.node_id == node:
            found.append((index, first, batch))
        first += batch.items
    return found


def _seat_json(part: SeatPart) -> dict[str, Any]:
    found = {**_camel(asdict(part)), "conduct": part.conduct.name, "slashed": str(part.slashed)}
    if part.included is not None:
        reward = str(part.included.reward)
        found["included"] = {**_camel(found["included"]), "reward": reward}
    return found


def _camel(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields under the names of JSON: `committed_at` is `committedAt`."""
    named = {}
    for name, value in fields.items():
        first, *others = name.split("_")
        named[first + "".join(map(str.title, others))] = value
    return named


def _money(explanation: Explanation) -> dict[str, int]:
    registry = explanation.registry
    return {
        "stake": registry.stake,
        "noCommitSlash": registry.no_commit_slash,
        "noRevealSlash": registry.no_reveal_slash,
    }


def _list(nodes: Sequence[int]) -> str:
    named = [str(node) for node in nodes]
    if len(named) == 1:
        return f"node {named[0]}"
    return f"nodes {', '.join(named[:-1])} and {named[-1]}"

"""
An explanation in sentences, each with the numbers that it speaks of.

This module decides wording only: every number comes from `explanation`. Shares are shown out of 1
where people read them and out of 10,000 in formulas, where they are what the contracts compute
with. Items and seats are numbered from 0, as on chain.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from oracle.audit.explanation import BatchPart, Explanation, Included, SeatPart
from oracle.core import phases
from oracle.core.consensus import Rule
from oracle.core.facts import Conduct
from oracle.core.units import ONE, TRUST_ONE, WEIGHT_UNIT

FURTHEST = 3
"""Items shown of those on which a seat is furthest from the pivot."""
LAST_SECOND = 253_402_300_799
"""The end of the year 9999; a log can state any time."""

Paragraph = tuple[str, list[str]]
"""What sentences are about, and they."""


def paragraphs(explanation: Explanation) -> list[Paragraph]:
    """Return the explanation, the amount first and the transaction last."""
    record = explanation.record
    told: list[Paragraph] = [("Amount", _headline(explanation)), ("Round", _round(explanation))]
    if record.settlement is None:
        told.append(("Cancelled", _cancellation(explanation)))
    if (seat := explanation.seat) is not None:
        if seat.included is not None:
            told += _included(explanation, seat, seat.included)
        else:
            told.append(("Seat", _left_out(explanation, seat)))
    elif record.settlement is not None:
        for batch in explanation.batches:
            told.append(("Outputs", _batch(explanation, batch)))
    told.append(("Transaction", _transaction(explanation)))
    told.append(("Audit", _verdict(explanation)))
    return told


def rule_name(rule: Rule) -> str:
    """Return a rule as people read it."""
    return rule.name.lower().replace("_", " ").replace("trust weighted", "trust-weighted")


def share(value: int) -> str:
    """Return a value in ONE as a number of four decimals."""
    return f"{value / ONE:.4f}"


def signed(value: int) -> str:
    """Return a difference in ONE with its sign."""
    return f"{'−' if value < 0 else '+'}{abs(value) / ONE:.4f}"


def trust(value: int) -> str:
    """Return a trust with all its six decimals."""
    return f"{value / TRUST_ONE:.6f}"


def tokens(wei: int) -> str:
    """Return an amount exactly, in tokens of 18 decimals."""
    whole, rest = divmod(wei, 10**18)
    text = f"{whole:,}.{rest:018}".rstrip("0").rstrip(".")
    return f"{text} {'token' if wei == 10**18 else 'tokens'}"


def second(time: int) -> str:
    """Return a second of chain time as a date, or as it is if no calendar reaches that far."""
    if time > LAST_SECOND:
        return f"second {time}"
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _headline(explanation: Explanation) -> list[str]:
    got = "nothing" if not explanation.amount else tokens(explanation.amount)
    what = "an evaluator" if explanation.seat is not None else "an inference node"
    round_id = explanation.record.key.round_id
    lost = ""
    if explanation.seat is not None and explanation.seat.conduct is not Conduct.PRESENT:
        lost = f", and lost {tokens(explanation.slashed)} of its stake"
    return [f"Node {explanation.node} earned {got} in round {round_id} as {what}{lost}."]


def _round(explanation: Explanation) -> list[str]:
    record = explanation.record
    opening, terms = record.opening, record.opening.terms
    rule = rule_name(terms.rule)
    told = [
        f"{_count(opening.items, 'item')} of the domain {record.domain}, "
        f"{_count(terms.panel_size, 'seat')}, consensus by the {rule}."
    ]
    if record.settlement is not None:
        present = len(record.settlement.reveals)
        told.append(f"It was settled with {present} of these seats; the quorum was {terms.quorum}.")
    return told


def _cancellation(explanation: Explanation) -> list[str]:
    record, terms = explanation.record, explanation.record.opening.terms
    refund = f"The requester got the whole deposit of {tokens(terms.deposit)} back."
    if record.draw is None:
        horizon = phases.HASH_HORIZON
        return [f"Nobody drew a panel within {horizon} blocks, so the round was cancelled.", refund]
    committed = len(record.commits)
    if committed < terms.quorum:
        return [
            f"Only {committed} of {terms.panel_size} seats committed in time and the quorum is "
            f"{terms.quorum}, so the round was cancelled.",
            refund,
        ]
    revealed = record.revealed.bit_count()
    return [
        f"{committed} seats committed, but nobody settled the round in time and only {revealed} "
        f"revealed on chain, where the quorum is {terms.quorum}: so it was cancelled.",
        refund,
    ]


def _included(explanation: Explanation, seat: SeatPart, one: Included) -> list[Paragraph]:
    return [
        ("Scores", _scores(explanation, seat, one)),
        ("Closeness", _closeness(explanation, one)),
        ("Latency", _latency(explanation, one)),
        ("Reward", _seat_reward(explanation, one)),
        ("Disagreement", _disagreement(explanation, one)),
        ("Trust", _trust(explanation, seat, one)),
    ]


def _scores(explanation: Explanation, seat: SeatPart, one: Included) -> list[str]:
    terms = explanation.record.opening.terms
    gaps = [one.scores[i] - one.pivot[i] for i in one.judged]
    told, middle = [], _middle(explanation)
    if len(gaps) < len(one.scores):
        told.append(
            f"Of {len(one.scores)} items its seats were judged by {len(gaps)}, which the salts of "
            "all of them decide together."
        )
    if middle == "pivot":
        told.append(
            "A mean follows the seats that stray farthest, so seats are judged by the pivot, the "
            "trust-weighted median of each item's scores."
        )
    above, below = sum(gap > 0 for gap in gaps), sum(gap < 0 for gap in gaps)
    total = sum(map(abs, gaps))
    ranked = sorted(one.deviations.values())
    closer = sum(each < one.deviation for each in ranked)
    told += [
        f"From seat {seat.seat} it scored {above} above the {middle}, {below} below it and "
        f"{len(gaps) - above - below} equal to it.",
        f"On average it was {share(one.deviation)} away: deviation d = ⌊Σ|s − {middle[0]}| / J⌋ = "
        f"⌊{total} / {len(gaps)}⌋ = {one.deviation}.",
        f"By closeness it was number {closer + 1} of {len(ranked)} seats, whose deviations went "
        f"from {share(ranked[0])} to {share(ranked[-1])}.",
    ]
    gap_of = dict(zip(one.judged, gaps, strict=True))
    furthest = sorted(gap_of, key=lambda i: (-abs(gap_of[i]), i))[:FURTHEST]
    apart = [
        f"item {i} (scored {share(one.scores[i])}, {middle} {share(one.pivot[i])}, "
        f"{signed(gap_of[i])})"
        for i in furthest
        if gap_of[i]
    ]
    if apart:
        told.append(f"Furthest away: {', '.join(apart)}.")
    if terms.rule.weighs:
        told.append(
            f"Its trust of {trust(seat.trust_drawn)} at the draw gave its scores a weight of "
            f"⌊{seat.trust_drawn} / {WEIGHT_UNIT}⌋ = {one.weight} of {one.weights}, "
            f"{100 * one.weight / one.weights:.1f} %."
        )
    return told


def _closeness(explanation: Explanation, one: Included) -> list[str]:
    scale = explanation.rounds.closeness_scale
    return [
        f"q = max(0, ONE − ⌊d·ONE / δ⌋) = max(0, {ONE} − ⌊{one.deviation}·{ONE} / {scale}⌋) "
        f"= {one.closeness}, that is {share(one.closeness)}."
    ]


def _latency(explanation: Explanation, one: Included) -> list[str]:
    window = explanation.rounds.commit_window
    return [
        f"It committed {one.elapsed} s after the draw, of a window of {window} s: "
        f"L = min(ONE, ⌊{one.elapsed}·{ONE} / {window}⌋) = {one.latency}, "
        f"that is {share(one.latency)}."
    ]


def _seat_reward(explanation: Explanation, one: Included) -> list[str]:
    terms, rounds = explanation.record.opening.terms, explanation.rounds
    alpha, beta = rounds.quality_weight, rounds.cost_weight
    told = [
        f"Its share is r = ⌊max(0, α·q − β·L) / ONE⌋ = "
        f"⌊max(0, {alpha}·{one.closeness} − {beta}·{one.latency}) / {ONE}⌋ = {one.share}.",
        f"Of the evaluator budget of {tokens(terms.evaluator_budget)} it earned ⌊budget·r / (K·ONE)"
        f"⌋ = ⌊{terms.evaluator_budget}·{one.share} / ({terms.panel_size}·{ONE})⌋ = "
        f"{one.reward} wei.",
    ]
    if not one.share:
        told.append("Costs and distance left nothing of it.")
    return told


def _disagreement(explanation: Explanation, one: Included) -> list[str]:
    d, b, f = one.deviation, one.trust.baseline, one.trust.disagreement
    items, further = len(one.judged), len(one.judged) // 2
    if items == 1:
        return [f"One item has no other to be confused with, so that f = d = {d}."]
    middle = _middle(explanation)
    letter = f"{middle[0]}'"
    others = one.judged[further:] + one.judged[:further]
    total = sum(abs(one.scores[i] - one.pivot[u]) for i, u in zip(one.judged, others, strict=True))
    told = [
        f"From the {middle} {letter} of other items, each half of the judged ones or "
        f"{_count(further, 'item')} further on, its scores were {share(b)} away: "
        f"b = ⌊Σ|s − {letter}| / J⌋ = ⌊{total} / {items}⌋ = {b}."
    ]
    if b:
        told.append(
            f"f = min(⌊d³ / b²⌋, 4d, ONE) = min(⌊{d}³ / {b}²⌋, 4·{d}, {ONE}) = {f}, that is "
            f"{share(f)}."
        )
    else:
        told.append(f"As b is 0, f = min(4d, ONE) = min(4·{d}, {ONE}) = {f}, that is {share(f)}.")
    nearer = "nearer to" if d < b else "further from" if d > b else "as far from"
    others_too = "than to others" if d < b else "than from others" if d > b else "as from others"
    size = "less than d" if f < d else "more than d" if f > d else "d itself"
    told.append(f"Its scores were {nearer} their own items {others_too}: f is {size}.")
    return told


def _middle(explanation: Explanation) -> str:
    """What seats are judged by."""
    mean = explanation.record.opening.terms.rule is Rule.TRUST_WEIGHTED_MEAN
    return "pivot" if mean else "consensus"


def _trust(explanation: Explanation, seat: SeatPart, one: Included) -> list[str]:
    move, rates = one.trust, explanation.registry.trust
    domain, items = explanation.record.domain, len(one.judged)
    if not explanation.record.opening.terms.rule.weighs:
        return [
            "The round's rule does not weigh by trust, so trust does not move: "
            f"in {domain} it stays {trust(move.after)}."
        ]
    ranked = sorted(move.disagreements.values())
    told = [
        f"In {domain} it was {trust(move.before)} before the settlement and is "
        f"{trust(move.after)} after it.",
        f"The panel's disagreements went from {share(ranked[0])} to {share(ranked[-1])}.",
        f"Their median is {move.median}, so that "
        f"τ = max(τ_min, ⌊ρ·median / ONE⌋) = max({rates.tolerance}, ⌊{rates.spread}·{move.median} "
        f"/ {ONE}⌋) = {move.tolerance} counts as agreement.",
    ]
    within = move.disagreement <= move.tolerance
    if items < rates.evidence:
        name, full = ("λ_up", rates.gain) if within else ("λ_down", rates.loss)
        told.append(
            f"{items} items are less than full evidence: λ' = ⌊{name}·{items} / {rates.evidence}⌋ "
            f"= ⌊{full}·{items} / {rates.evidence}⌋ = {move.rate}."
        )
    if within:
        told.append(
            f"f = {move.disagreement} is within it: w' = min(w_max, w + ⌊w·λ'·(τ − f) / ONE²⌋) = "
            f"min({rates.cap}, {move.before} + ⌊{move.before}·{move.rate}·"
            f"{move.tolerance - move.disagreement} / {ONE}²⌋) = {move.after}."
        )
    else:
        told.append(
            f"f = {move.disagreement} is beyond it: w' = max(w_min, w − ⌈w·λ'·(f − τ) / ONE²⌉) = "
            f"max({rates.floor}, {move.before} − ⌈{move.before}·{move.rate}·"
            f"{move.disagreement - move.tolerance} / {ONE}²⌉) = {move.after}."
        )
    if seat.trust_drawn != move.before:
        told.append(f"Another round had moved it since the draw, from {trust(seat.trust_drawn)}.")
    return told


def _left_out(explanation: Explanation, seat: SeatPart) -> list[str]:
    record, registry = explanation.record, explanation.registry
    assert record.draw is not None  # a seat was drawn
    closed = phases.commits_close_at(explanation.rounds, record.draw.drawn_at)
    place = f"Seat {seat.seat}"
    if seat.committed_at is not None:
        after = seat.committed_at - record.draw.drawn_at
        committed = f"{place} committed {after} s after the draw"
    if seat.conduct is Conduct.PRESENT:
        if record.revealed >> seat.seat & 1 or seat.committed_at is None:
            return [f"{place} revealed on chain, so it is not slashed; its trust stays as it was."]
        return [f"{committed}, so it is not slashed; its trust stays as it was."]
    if seat.conduct is Conduct.NOT_COMMITTED:
        told = [f"{place} committed nothing until commits closed at {second(closed)}."]
        due = registry.no_commit_slash
    else:
        where = "no settlement has its scores" if record.settlement else "never revealed on chain"
        told = [
            f"{committed}, but {where}.",
            "A seat that reveals on chain before the reveal deadline cannot be left out.",
        ]
        due = registry.no_reveal_slash
    told.append(f"For that the registry takes {tokens(due)}, or what is left of the stake.")
    told.append("Absence earns nothing and leaves trust as it was.")
    return told


def _batch(explanation: Explanation, batch: BatchPart) -> list[str]:
    rounds, opening = explanation.rounds, explanation.record.opening
    alpha, beta, budget = rounds.quality_weight, rounds.cost_weight, opening.terms.inference_budget
    mean = sum(batch.consensus) / len(batch.consensus) / ONE
    lowest, highest = min(batch.consensus), max(batch.consensus)
    return [
        f"Items {batch.first} to {batch.last} are its outputs: their consensus is {mean:.4f} on "
        f"average, from {share(lowest)} to {share(highest)}.",
        f"It signed for a cost of C = {batch.cost}, that is {share(batch.cost)} of the ceiling.",
        f"Each item is worth max(0, α·c − β·C) = max(0, {alpha}·c − {beta}·{batch.cost}); "
        f"{batch.unpaid} of {len(batch.consensus)} are worth nothing.",
        f"Together that is {batch.merit}, and of the inference budget of {tokens(budget)} it "
        f"earned ⌊budget·Σ / (T·ONE²)⌋ = ⌊{budget}·{batch.merit} / ({opening.items}·{ONE}²)⌋ = "
        f"{batch.reward} wei.",
    ]


def _transaction(explanation: Explanation) -> list[str]:
    record = explanation.record
    assert record.ended_in is not None and record.ended_at is not None  # it ended
    ended, transaction = second(record.ended_at), "0x" + record.ended_in.hex()
    if record.settler is None:
        return [f"The round was cancelled at {ended} in {transaction}."]
    told = [f"{record.settler} settled the round at {ended} in {transaction}."]
    owners = [part.owner for part in (explanation.seat, *explanation.batches) if part is not None]
    if explanation.amount:
        told.append(f"It credited the amount to the node's owner {owners[0]}, for `poq withdraw`.")
    return told


def _verdict(explanation: Explanation) -> list[str]:
    told = [str(mismatch) for mismatch in explanation.mismatches]
    if explanation.elsewhere:
        told.append(f"The audit also found {_count(explanation.elsewhere, 'mismatch')} elsewhere.")
    if told:
        return ["What the logs say is not what the rules make of it:", *told]
    return ["Every number above was recomputed from the logs and is what the chain did."]


def _count(number: int, what: str) -> str:
    plural = f"{what}es" if what.endswith("ch") else f"{what}s"
    return f"{number:,} {what if number == 1 else plural}"


def plain(explanation: Explanation) -> Iterable[str]:
    """Yield the lines that people read on a terminal."""
    for about, told in paragraphs(explanation):
        if about == "Amount":
            yield from told
        else:
            yield ""
            yield f"{about}: {told[0]}"
            yield from (f"  {sentence}" for sentence in told[1:])

"""Explanations: every number is the round's, every formula holds with the values in it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from oracle.audit.explanation import Explanation, Included, NotEnded, NotInRound, explain
from oracle.audit.findings import Mismatch
from oracle.audit.record import RoundRecord
from oracle.audit.report import RoundSummary
from oracle.audit.sentences import paragraphs, plain, share, tokens
from oracle.core.consensus import Rule
from oracle.core.facts import Conduct
from oracle.core.settlement import settle
from oracle.core.units import ONE, TRUST_ONE
from tests.audit.histories import DEPLOYMENT, history, report_of
from tests.core.rounds import PARAMETERS, drawn_round, node_id, opening_of, reveal_of

RECORDS = history(liars=(1, 3))
SETTLED, PARTIAL, CANCELLED = RECORDS[0], RECORDS[-2], RECORDS[-1]
SEATS, BATCHES = 5, 2


def explained(record: RoundRecord, node: int, *mismatches: Mismatch) -> Explanation:
    parameters = DEPLOYMENT.rounds_parameters, DEPLOYMENT.registry_parameters
    return explain(record, node, *parameters, mismatches)


def part_of(record: RoundRecord, node: int) -> Included:
    found = explained(record, node)
    assert found.seat is not None and found.seat.included is not None
    return found.seat.included


def text_of(explanation: Explanation) -> str:
    return "\n".join(plain(explanation))


def value(formula: str) -> Fraction | None:
    """Return what a formula is, `None` if it still has names in it."""
    if re.search(r"[^\W\d_]", re.sub("max|min|ONE|[²³]", "", formula)):
        return None
    for sign, operator in (
        ("⌊", "math.floor("),
        ("⌈", "math.ceil("),
        *(("·", "*"), ("−", "-"), ("²", "**2"), ("³", "**3"), ("⌋", ")"), ("⌉", ")")),
    ):
        formula = formula.replace(sign, operator)
    formula = re.sub(r"\b\d+\b", r"Fraction(\g<0>)", formula)
    known = {"math": math, "Fraction": Fraction, "max": max, "min": min, "ONE": ONE}
    return Fraction(eval(formula, known))


def formulas(explanation: Explanation) -> Iterator[tuple[str, str, str]]:
    """Yield for each formula with values what it is about, itself and its result."""
    for about, sentences in paragraphs(explanation):
        for sentence in sentences:
            *_, formula, result = ["", "", *sentence.split(" = ")]
            found = re.search("(?:[⌊⌈]|max|min).*", formula)
            if found is not None and value(found[0]) is not None:
                yield about, found[0], result


EVERY_KIND = (
    *RECORDS,
    *(record for rule in Rule for record in history(3, liars=(2,), rule=rule)),
    *(record for items in (1, 2, 3) for record in history(3, items)),
)


@pytest.mark.parametrize("record", EVERY_KIND)
def test_every_formula_is_true_with_the_values_in_it(record: RoundRecord) -> None:
    for node in (*map(node_id, range(SEATS)), *range(1, len(record.opening.batches) + 1)):
        for _, formula, result in formulas(explained(record, node)):
            found = re.match(r"\d+", result)
            assert found is not None and value(formula) == int(found[0]), (formula, result)


def test_every_step_of_the_rules_has_a_formula_with_values() -> None:
    seat = [about for about, _, _ in formulas(explained(SETTLED, node_id(0)))]
    pay = ["Scores", "Scores", "Closeness", "Latency", "Reward", "Reward"]
    assert seat == [*pay, "Disagreement", "Disagreement", *3 * ["Trust"]]
    batch = [about for about, _, _ in formulas(explained(SETTLED, 1))]
    assert batch == ["Outputs"]


@pytest.mark.parametrize("record", RECORDS[:-1])
def test_amounts_and_trusts_are_those_that_the_round_paid_and_moved(record: RoundRecord) -> None:
    settlement = record.settlement
    assert settlement is not None
    for reveal, reward in zip(settlement.reveals, settlement.seat_rewards, strict=True):
        found = explained(record, node_id(reveal.seat))
        assert found.right and found.amount == reward
        assert found.seat is not None and found.seat.included is not None
        moved = found.seat.included.trust
        assert (moved.before, moved.after) == record.trusts[found.node]
    for node, reward in enumerate(settlement.batch_rewards, start=1):
        found = explained(record, node)
        assert found.right and found.amount == reward


def test_a_payout_that_the_figures_do_not_lead_to_is_a_mismatch() -> None:
    settlement = SETTLED.settlement
    assert settlement is not None
    [first, *others] = settlement.seat_rewards
    paid = replace(settlement, seat_rewards=(first + 1, *others), batch_rewards=(1, 1))
    for node in (node_id(0), 1):
        found = explained(replace(SETTLED, settlement=paid), node)
        assert not found.right
        [mismatch] = found.mismatches
        assert (mismatch.node, mismatch.field) == (node, "RewardCredited.amount")
        assert str(mismatch) in text_of(found)


def test_what_the_audit_found_is_told_here_and_counted_elsewhere() -> None:
    here = Mismatch(1, 0, node_id(0), "deviations[0]", "5", "6", None)
    there = replace(here, round=2)
    found = explained(SETTLED, node_id(0), here, there, there)
    assert not found.right and (found.mismatches, found.elsewhere) == ((here,), 2)
    assert str(here) in text_of(found)
    assert "also found 2 mismatches elsewhere" in text_of(found)
    assert "is what the chain did" not in text_of(found)
    assert not explained(SETTLED, node_id(0), there).right


@pytest.mark.parametrize(
    ("rule", "middle"), [(Rule.TRUST_WEIGHTED_MEAN, "pivot"), (Rule.MEDIAN, "consensus")]
)
def test_the_furthest_items_are_named_with_score_and_what_judges(rule: Rule, middle: str) -> None:
    [record, *_] = history(2, liars=(1, 3), rule=rule)
    found, one = explained(record, node_id(1)), part_of(record, node_id(1))
    gaps = [abs(s - p) for s, p in zip(one.scores, one.pivot, strict=True)]
    worst = gaps.index(max(gaps))
    named = f"item {worst} (scored {share(one.scores[worst])}, {middle} {share(one.pivot[worst])}, "
    assert f"Furthest away: {named}" in text_of(found)
    assert one.deviation == sum(gaps) // len(gaps)
    assert (one.pivot != one.consensus) is (middle == "pivot")
    assert ("seats are judged by the pivot" in text_of(found)) is (middle == "pivot")


def test_trust_that_a_rule_does_not_weigh_by_is_told_to_stay() -> None:
    [record, *_] = history(2, liars=(1, 3), rule=Rule.MEDIAN)
    found, one = explained(record, node_id(1)), part_of(record, node_id(1))
    assert found.right and one.trust.before == one.trust.after
    assert "does not weigh by trust, so trust does not move" in text_of(found)


def test_disagreement_says_whether_scores_follow_the_items_or_go_against_them() -> None:
    assert "nearer to their own items than to others: f is less than d." in text_of(
        explained(SETTLED, node_id(0))
    )
    assert "further from their own items than from others: f is more than d." in text_of(
        explained(SETTLED, node_id(1))
    )


def test_who_agrees_on_everything_is_told_so() -> None:
    """Equal scores everywhere: d and b are 0, and there is nothing to divide by."""
    scores = np.full((SEATS, 4), 5_000, dtype=np.uint16)
    facts = drawn_round(scores, opening_of(rule=Rule.TRUST_WEIGHTED_MEAN, sizes=(2, 2)))
    settlement = settle(facts, PARAMETERS, [reveal_of(seat, scores) for seat in range(SEATS)])
    trusts = {node_id(seat): (TRUST_ONE, TRUST_ONE) for seat in range(SEATS)}
    same = replace(SETTLED, opening=facts.opening, settlement=settlement, trusts=trusts)
    found = explained(replace(same, draw=facts.draw, commits=facts.commits), node_id(0))
    assert found.right
    assert "As b is 0, f = min(4d, ONE) = min(4·0, 10000) = 0" in text_of(found)
    assert "as far from their own items as from others: f is d itself." in text_of(found)


def test_one_item_has_no_other() -> None:
    [record, *_] = history(2, 1)
    one = part_of(record, node_id(1))
    assert one.trust.disagreement == one.trust.baseline == one.deviation
    assert f"so that f = d = {one.deviation}." in text_of(explained(record, node_id(1)))


def test_figures_that_the_settlement_does_not_have_are_mismatches() -> None:
    settlement = SETTLED.settlement
    assert settlement is not None
    [first, *others] = settlement.disagreements
    other = replace(settlement, disagreements=(first + 1, *others))
    found = explained(replace(SETTLED, settlement=other), node_id(0))
    assert [each.field for each in found.mismatches] == ["disagreement"]


def test_an_absent_seat_is_told_what_it_missed_and_what_it_lost() -> None:
    found = explained(PARTIAL, node_id(SEATS - 1))
    assert found.seat is not None and found.seat.conduct is Conduct.NOT_COMMITTED
    text = text_of(found)
    assert text.startswith("Node 104 earned nothing in round 5 as an evaluator, and lost 10 tokens")
    assert "committed nothing until commits closed at 2023-11-14 22:23:20 UTC" in text


def test_a_seat_that_committed_and_was_not_revealed_is_told_so() -> None:
    commits = (*PARTIAL.commits, replace(PARTIAL.commits[0], seat=SEATS - 1))
    settlement = PARTIAL.settlement
    assert settlement is not None
    outcomes = list(settlement.outcomes)
    outcomes[-1] = replace(outcomes[-1], conduct=Conduct.NOT_REVEALED)
    settled = replace(settlement, outcomes=tuple(outcomes))
    text = text_of(
        explained(replace(PARTIAL, commits=commits, settlement=settled), node_id(SEATS - 1))
    )
    assert "Seat 4 committed 10 s after the draw, but no settlement has its scores." in text


def test_a_cancelled_round_says_why_and_excuses_who_committed() -> None:
    two = replace(CANCELLED, commits=CANCELLED.commits[:2], slashes={node_id(4): 10**19})
    text = text_of(explained(two, node_id(0)))
    assert "Only 2 of 5 seats committed in time and the quorum is 3" in text
    assert "so it is not slashed" in text
    assert "and lost 10 tokens" in text_of(explained(two, node_id(4)))
    assert "earned nothing in round 6 as an inference node." in text_of(explained(two, 1))


def test_a_cancelled_round_with_commits_slashes_who_did_not_reveal_on_chain() -> None:
    none = replace(CANCELLED, revealed=0b1, slashes={node_id(1): 5 * 10**19})
    assert "only 1 revealed on chain" in text_of(explained(none, node_id(0)))
    assert "Seat 0 revealed on chain" in text_of(explained(none, node_id(0)))
    assert "but never revealed on chain" in text_of(explained(none, node_id(1)))


def test_a_round_that_nobody_drew_says_so() -> None:
    undrawn = replace(CANCELLED, draw=None, commits=())
    assert "Nobody drew a panel within 256 blocks" in text_of(explained(undrawn, 2))


def test_a_node_without_a_part_is_told_who_had_one() -> None:
    with pytest.raises(NotInRound) as refused:
        explained(SETTLED, 9)
    assert str(refused.value) == (
        "Node 9 had no part in round 1: its panel was nodes 100, 101, 102, 103 and 104, "
        "and its outputs came from nodes 1 and 2."
    )


def test_a_running_round_has_paid_nobody() -> None:
    running = replace(CANCELLED, phase="drawn", ended_in=None, ended_at=None)
    for node in (1, node_id(0)):
        with pytest.raises(NotEnded, match="nothing is paid before it is settled"):
            explained(running, node)
    with pytest.raises(NotInRound):
        explained(running, 9)
    with pytest.raises(NotEnded, match="waits for its panel"):
        explained(replace(running, phase="open", draw=None, commits=()), 9)


def test_a_domain_cannot_command_the_terminal_or_the_tables() -> None:
    """A requester chooses the 32 bytes: what rich would take for markup, what escapes colour."""
    terms = replace(SETTLED.opening.terms, domain=b"\x1b[31m[/b]\xff".ljust(32, b"\0"))
    hostile = replace(SETTLED, opening=replace(SETTLED.opening, terms=terms))
    assert r"of the domain \x1b[31m[/b]\xff," in text_of(explained(hostile, 1))
    wrong = Mismatch(1, None, None, "[/field]", "[red]", "[/]", None)
    shown = StringIO()
    summary = RoundSummary(1, "settled", hostile.domain, "MEAN", 1, 3, 3, 1, "0x", None)
    report = replace(report_of([hostile], [wrong]), rounds=(summary,))
    report.show(Console(file=shown, width=200))
    assert r"\x1b[31m[/b]\xff" in shown.getvalue()
    assert "[/field] is [/] instead of [red]" in shown.getvalue()


@pytest.mark.parametrize(
    ("wei", "text"),
    [
        (0, "0 tokens"),
        (1, "0.000000000000000001 tokens"),
        (10**18, "1 token"),
        (1_234_500 * 10**15, "1,234.5 tokens"),
    ],
)
def test_amounts_are_exact(wei: int, text: str) -> None:
    assert tokens(wei) == text


def test_a_time_that_no_calendar_has_is_told_as_it_is() -> None:
    late = replace(SETTLED, ended_at=2**40 - 1)
    assert "settled the round at second 1099511627775 in 0x" in text_of(explained(late, 1))

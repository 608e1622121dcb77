"""In bulk as with care: the same report of a true log, and no other log passes."""

from __future__ import annotations

import random

import pytest

from oracle.audit.bulk_columns import NotPlain
from oracle.audit.replay import audit, audit_in_bulk
from oracle.chain.logs import Log
from tests.audit.conftest import Given, Recorded
from tests.audit.tampering import UNKNOWABLE, WAYS, Tamper, tamperable
from tests.audit.test_audit import KINDS, decoded, places, rewritten
from tests.audit.test_audit import audit as with_care

TAMPERINGS = 600


def passes(recorded: Recorded, logs: list[Log]) -> bool:
    try:
        audit_in_bulk(Given(recorded, logs))
    except NotPlain:
        return False
    return True


@pytest.mark.parametrize("size", [1, 7, 50, 1_000])
def test_the_report_is_that_of_the_careful_replay_whatever_the_tables(
    recorded: Recorded, size: int
) -> None:
    found = audit_in_bulk(Given(recorded, recorded.logs, size))
    assert found.to_json() == with_care(recorded, recorded.logs).to_json() | {
        # The tables' blocks were compared when they were read, transactions among them.
        "comparisons": recorded.report.comparisons
    }


def test_r16_random_tampering_never_passes(recorded: Recorded) -> None:
    rng = random.Random(5)
    kind_of = tamperable(recorded.deployment, recorded.logs)
    for trial in range(TAMPERINGS):
        tamper = WAYS[trial % len(WAYS)]
        index = rng.choice(list(kind_of))
        if (tamper, kind_of[index]) != UNKNOWABLE:
            logs = tamper(recorded.logs, index, rng)
            assert not passes(recorded, logs), (tamper.__name__, index)


@pytest.mark.parametrize("tamper", WAYS)
def test_r16_no_kind_of_log_can_be_tampered_with(recorded: Recorded, tamper: Tamper) -> None:
    rng = random.Random(6)
    for kind in KINDS:
        if (tamper, kind) != UNKNOWABLE:
            logs = tamper(recorded.logs, places(recorded)[kind][0], rng)
            assert not passes(recorded, logs), kind


def test_what_does_not_pass_in_bulk_is_named_with_care(recorded: Recorded) -> None:
    index, event = decoded(recorded, "RewardCredited")
    logs = list(recorded.logs)
    logs[index] = rewritten(event, amount=7)
    [mismatch] = audit(Given(recorded, logs)).mismatches
    assert (mismatch.field, mismatch.found) == ("RewardCredited.amount", "7")
    assert mismatch.expected == str(event.args["amount"])

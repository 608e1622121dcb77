from __future__ import annotations

from functools import reduce

import pytest

from oracle.core.digest import commit_step, fold, replay
from oracle.core.history import commit_proof, history
from tests.core.rounds import drawn_round, opening_of, some_scores

FACTS = drawn_round(some_scores(), opening_of(), order=[3, 0, 4, 1])
COMMITMENTS = {commit.seat: commit.commitment for commit in FACTS.commits}


def test_a_seat_that_did_not_commit_has_no_proof() -> None:
    with pytest.raises(ValueError, match="seat 2 did not commit"):
        commit_proof(FACTS, 2)


@pytest.mark.parametrize("seat", [3, 0, 4, 1])
def test_a_proof_folds_its_commitment_into_the_digest(seat: int) -> None:
    proof = commit_proof(FACTS, seat)
    own = next(commit for commit in FACTS.commits if commit.seat == seat)
    assert proof.committed_at == own.committed_at
    digest = reduce(fold, (commit_step(own), *proof.steps_after), proof.digest_before)
    assert digest == replay(FACTS.key, FACTS.opening, FACTS.draw, FACTS.commits)


def test_a_history_holds_all_commits_and_the_commitments_that_are_not_revealed() -> None:
    past = history(FACTS, included=0b10001)
    assert past.commits == history(FACTS).commits
    assert [past.commits[i] for i in range(0, 24, 6)] == [3, 0, 4, 1]
    assert past.commitments == (COMMITMENTS[3], COMMITMENTS[1])
    assert history(FACTS).commitments == tuple(COMMITMENTS[seat] for seat in (3, 0, 4, 1))
    assert (past.opening, past.seed) == (FACTS.opening, FACTS.draw.seed)

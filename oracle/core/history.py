"""
A round's past in the form that calls bring to the contract.

Decides which commitments are sent and which the contract recomputes; sends nothing itself.
Section 7 of docs/protocol.md.
"""

from __future__ import annotations

from oracle.core.digest import commit_step, replay
from oracle.core.facts import CommitProof, DrawnRound, History, pack_commits, pack_panel


def history(facts: DrawnRound, included: int = 0) -> History:
    """
    Return the history that `settle` takes, or with no seat included the one that `cancel` takes.

    `included` is the bitmap of the seats that the same call reveals: their commitments are left
    out.
    """
    return History(
        opening=facts.opening,
        seed=facts.draw.seed,
        panel=pack_panel(facts.draw.panel),
        commits=pack_commits(facts.commits),
        commitments=tuple(
            commit.commitment for commit in facts.commits if not included >> commit.seat & 1
        ),
    )


def commit_proof(facts: DrawnRound, seat: int) -> CommitProof:
    """Return the proof that `reveal` takes; raises `ValueError` if the seat did not commit."""
    for i, commit in enumerate(facts.commits):
        if commit.seat == seat:
            return CommitProof(
                committed_at=commit.committed_at,
                digest_before=replay(facts.key, facts.opening, facts.draw, facts.commits[:i]),
                steps_after=tuple(map(commit_step, facts.commits[i + 1 :])),
            )
    raise ValueError(f"seat {seat} did not commit")

"""Whatever a log says, there is a page of its audit, and an explanation or a reason for none."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from oracle.audit.explanation import NotEnded, NotInRound, explain
from oracle.audit.page.html import page
from oracle.audit.record import Records
from oracle.audit.replay import replay
from oracle.audit.sentences import plain
from oracle.chain.logs import Log
from tests.audit.conftest import Recorded

TAMPERINGS = 80
NODES = range(1, 11)


def tampered(logs: tuple[Log, ...], rng: random.Random) -> tuple[Log, ...]:
    """Return the logs with one dropped, or with one bit of one turned over."""
    at = rng.randrange(len(logs))
    log, before, after = logs[at], logs[:at], logs[at + 1 :]
    if not log.data or rng.random() < 0.2:
        return (*before, *after)
    byte = rng.randrange(len(log.data))
    turned = log.data[byte] ^ (1 << rng.randrange(8))
    data = log.data[:byte] + bytes([turned]) + log.data[byte + 1 :]
    return (*before, replace(log, data=data), *after)


@pytest.mark.parametrize("seed", range(4))
def test_tampered_logs_can_be_looked_at(recorded: Recorded, seed: int) -> None:
    rng, deployment, records = random.Random(seed), recorded.deployment, Records()
    parameters = deployment.rounds_parameters, deployment.registry_parameters
    wrong = told = 0
    for _ in range(TAMPERINGS // 4):
        report = replay(deployment, tampered(recorded.logs, rng), None, records)
        text = page(deployment, report, tuple(records))
        assert ("Nothing is wrong" in text) is report.right
        wrong += not report.right
        for record in records:
            for node in NODES:
                try:
                    explanation = explain(record, node, *parameters, report.mismatches)
                except (NotInRound, NotEnded):
                    continue
                assert explanation.right is report.right
                told += len(list(plain(explanation))) > 0
    assert wrong > TAMPERINGS // 8 and told > 0

"""The page as a file: complete, escaped, the same every time, and never too large."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import oracle.audit.page
from oracle.audit.findings import Mismatch
from oracle.audit.page import content as contents
from oracle.audit.page.content import LARGEST_SCORES, content
from oracle.audit.page.html import page
from oracle.audit.record import scored
from oracle.core.consensus import Rule
from oracle.core.units import pack, unpack
from tests.audit.histories import DEPLOYMENT, history, report_of
from tests.core.rounds import node_id

PACKAGE = Path(oracle.audit.page.__file__).parent
EVIL = "</script><img src=x onerror=alert(1)><!--<script>"
LARGEST_PAGE = 2_500_000  # bytes


def page_of(**changes: Any) -> str:
    records = history(**changes)
    return page(DEPLOYMENT, report_of(records), records)


def data_of(text: str) -> dict[str, Any]:
    [found] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    data: dict[str, Any] = json.loads(found)
    return data


def test_libraries_are_those_of_their_packages() -> None:
    listed = (PACKAGE / "vendored" / "README.md").read_text(encoding="utf-8")
    hashes = dict(re.findall(r"^\| `([^`]+)` .*`([0-9a-f]{64})` \|$", listed, re.M))
    files = {path.name: path.read_bytes() for path in (PACKAGE / "vendored").glob("*.min.*")}
    assert hashes == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def test_the_same_audit_gives_the_same_bytes() -> None:
    records = history()
    report = report_of(records)
    assert page(DEPLOYMENT, report, records) == page(DEPLOYMENT, report, tuple(history()))


def test_nothing_in_a_page_points_outside() -> None:
    text = page_of()
    for script in re.findall(r"<script>.*?</script>", text, re.S):
        text = text.replace(script, "")
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", text)
    assert not re.findall(r"@import|url\(", text)


def test_the_policy_allows_the_scripts_and_styles_of_the_page_and_nothing_else() -> None:
    text = page_of()
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    parts = dict(part.split(" ", 1) for part in html.unescape(policy).split("; "))
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        texts = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()) for each in texts]
        assert parts[kind].split() == [f"'sha256-{each.decode()}'" for each in hashes]
    assert parts["default-src"] == "'none'"
    assert "unsafe" not in policy


def test_what_strangers_wrote_stays_text() -> None:
    records = history(uri=EVIL)
    wrong = Mismatch(1, None, None, "RoundOpened.uri", EVIL, EVIL, None)
    names = {node_id(0): EVIL}
    domain = b"<b>&\xff".ljust(32, b"\0")
    odd = replace(records[0].opening.terms, domain=domain)
    records = (replace(records[0], opening=replace(records[0].opening, terms=odd)), *records[1:])
    text = page(DEPLOYMENT, report_of(records, [wrong]), records, names)
    assert EVIL not in text
    assert "<img" not in text and "<b>" not in text
    assert html.escape(EVIL, quote=False) in text
    [first, *_] = data_of(text)["rounds"]
    assert ["workload", EVIL] in first["facts"]


def test_mismatches_are_counted_listed_and_said_in_the_title() -> None:
    records = history()
    wrong = Mismatch(2, 1, 101, "RewardCredited.amount", "5", "6", "0x" + "ab" * 32)
    text = page(DEPLOYMENT, report_of(records, [wrong] * 3), records)
    assert "3 mismatches</title>" in text
    assert text.count('<td class="long bad">6</td>') == 3
    assert "Nothing is wrong" not in text


def test_who_lies_is_far_off_and_nobody_else() -> None:
    records = history(liars=(1, 3), seats=7)
    found = content(DEPLOYMENT, report_of(records), records)
    assert found["far_off"] == [str(node_id(1)), str(node_id(3))]
    assert {row["node"] for row in found["matrix"]["nodes"][:2]} == {node_id(1), node_id(3)}
    assert found["data"]["farOff"] == [node_id(1), node_id(3)]


def test_amounts_of_a_round_add_up_to_its_deposit() -> None:
    records = history()
    for row in content(DEPLOYMENT, report_of(records), records)["rounds"]:
        paid = sum(row[name]["wei"] for name in ("evaluators", "inference", "fee", "refund"))
        assert paid == row["deposit"]["wei"]


def test_beyond_agreement_is_whom_the_settlement_took_trust_from() -> None:
    records = history(8, liars=(1, 3), seats=7)
    data = content(DEPLOYMENT, report_of(records), records)["data"]
    floor = DEPLOYMENT.registry_parameters.trust.floor
    marked = []
    for detail in data["rounds"]:
        for seat in detail["seats"]:
            if seat["present"]:
                before, after = seat["trust"]
                marked.append(seat["disagreement"] > detail["agreement"])
                assert marked[-1] is (after < before or after == floor)
    assert any(marked) and not all(marked)


@pytest.mark.parametrize("rule", Rule)
def test_scores_in_the_page_are_those_of_the_log(rule: Rule) -> None:
    """And what seats are judged by, where it is not the consensus."""
    records = history(items=9, rule=rule)
    [detail, *_] = content(DEPLOYMENT, report_of(records), records)["data"]["rounds"]
    settlement = records[0].settlement
    assert settlement is not None
    middle = [settlement.consensus]
    if detail["pivot"]:
        middle.append(pack(scored(settlement).pivot))
    rows = [*middle, *(reveal.scores for reveal in settlement.reveals)]
    assert base64.b64decode(detail["scores"]) == b"".join(rows)
    assert detail["pivot"] is (rule is Rule.TRUST_WEIGHTED_MEAN)
    assert detail["shown"] == detail["items"] == 9


def test_trust_over_time_ends_where_the_registry_stands() -> None:
    records = history()
    report = report_of(records)
    trusts = {node.node: node.trusts for node in report.nodes}
    for chart in content(DEPLOYMENT, report, records)["data"]["trust"]:
        for line in chart["lines"]:
            assert line["trust"][-1] == trusts[line["node"]][chart["domain"]]
            assert len(line["trust"]) == len(chart["rounds"]) + 1


def test_a_page_of_a_long_history_is_sampled_and_says_so() -> None:
    records = history(100, 1_000, 11, liars=(2, 5, 7))
    text = page(DEPLOYMENT, report_of(records), records)
    assert len(text) < LARGEST_PAGE
    details = data_of(text)["rounds"]
    assert isinstance(details, list) and len(details) == 100
    held = sum(len(base64.b64decode(one["scores"])) // 2 for one in details if "scores" in one)
    assert 0.9 * LARGEST_SCORES < held <= LARGEST_SCORES
    shown = details[0]["shown"]
    settlement = records[0].settlement
    assert settlement is not None
    whole = unpack(settlement.consensus, 1_000)
    held_row = unpack(base64.b64decode(details[0]["scores"])[: 2 * shown], shown)
    assert held_row.tolist() == [int(whole[i * 1_000 // shown]) for i in range(shown)]


def test_a_chart_of_trust_has_few_enough_points_and_the_last_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contents, "TRUST_ROUNDS", 4)
    records = history(24)
    for chart in content(DEPLOYMENT, report_of(records), records)["data"]["trust"]:
        own = [each for each in records if each.domain == chart["domain"] and each.settlement]
        assert chart["allRounds"] == len(own) > len(chart["rounds"]) == 4
        assert chart["rounds"][-1] == own[-1].key.round_id
        by_round = {each.key.round_id: each.trusts for each in own}
        for line in chart["lines"]:
            for number, trust in zip(chart["rounds"], line["trust"][1:], strict=True):
                _, after = by_round[number].get(line["node"], (None, trust))  # absent: unmoved
                assert trust == after


def test_more_rounds_and_nodes_than_fit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "LARGEST_ROUNDS", 4)
    monkeypatch.setattr(contents, "LARGEST_NODES", 3)
    records = history(8)
    text = page(DEPLOYMENT, report_of(records), records)
    assert "The last 4 of 8 rounds" in text
    assert "The 3 of 7 nodes" in text


def test_an_audit_of_no_round_has_a_page() -> None:
    records = history()
    report = replace(report_of(records), nodes=(), logs={})
    assert "No round is settled yet." in page(DEPLOYMENT, report, ())


def test_the_bytes_do_not_depend_on_the_seed_of_hashes() -> None:
    code = (
        "from hashlib import sha256; from tests.audit.test_page import page_of;"
        "print(sha256(page_of().encode()).hexdigest())"
    )
    root = PACKAGE.parent.parent.parent
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={**os.environ, "PYTHONHASHSEED": str(1 + int(os.environ.get("PYTHONHASHSEED") == "1"))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == hashlib.sha256(page_of().encode()).hexdigest()

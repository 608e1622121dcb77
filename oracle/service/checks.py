"""
The questions of `poq check` in their order, what each rests on, and how its problem is mended.

This module holds the words. What counts as wrong, `checks_of_chain` and `checks_of_host` decide.
"""

from __future__ import annotations

from oracle.service.checking import Check
from oracle.service.checks_of_chain import balance, deployment, operator, registered, rpc, sync
from oracle.service.checks_of_host import (
    calibration,
    data_dir,
    evaluator,
    key,
    oracles,
    secrets,
    transactions,
)
from oracle.service.subject import Operator

CHECKS: tuple[Check[Operator], ...] = (
    Check(
        "rpc",
        rpc,
        "Start the node, correct --rpc-url (ETH_RPC_URL), or name the chain it is on by --chain.",
    ),
    Check(
        "deployment",
        deployment,
        "Point --deployments at the directory that the deployer gave you, and --rpc-url at the "
        "chain that it was deployed on.",
        needs=("rpc",),
    ),
    Check(
        "sync",
        sync,
        "Wait until the node has caught up, and let both machines keep their clocks (NTP).",
        needs=("rpc",),
    ),
    Check(
        "secrets",
        secrets,
        "chmod 600 the keystore and the password file, and let the service's user own them.",
    ),
    Check(
        "key",
        key,
        "Name the keystore with --keystore and --account, and its password's file with "
        "--password-file; `poq keys list` shows what is there.",
    ),
    Check(
        "node",
        registered,
        "`poq node show` lists all nodes: stake with `poq node register evaluator`, mend a slashed "
        "stake with `poq node top-up`; name yours with --node-id.",
        needs=("deployment", "key"),
    ),
    Check(
        "operator",
        operator,
        "Let another key act for the node: `poq node rotate-operator`, signed by the owner.",
        needs=("node",),
    ),
    Check(
        "balance",
        balance,
        "Send the key's account some of the chain's own coin, or raise --max-fee.",
        needs=("rpc", "key"),
    ),
    Check(
        "data-dir",
        data_dir,
        "Let the service's user own --data-dir, on a disk that is not full.",
    ),
    Check(
        "transactions",
        transactions,
        "See them with `poq tx list`; pay more with `poq tx bump`, or give one up with "
        "`poq tx cancel`.",
        needs=("rpc", "key", "data-dir"),
    ),
    Check(
        "evaluator",
        evaluator,
        "Name one of the evaluators of docs/evaluating.md, and install what its message asks for.",
    ),
    Check(
        "calibration",
        calibration,
        "Fit one for this evaluator: `poq calibrate LABELLED --evaluator NAME -o FILE`.",
        needs=("evaluator",),
    ),
    Check(
        "oracles",
        oracles,
        "Ask the oracle's operator, name another with --oracle-url; without one the evaluator "
        "reveals on chain when the deadline nears, at its own cost.",
    ),
)

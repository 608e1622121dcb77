"""
What a daemon counts and measures, under names that begin with `poq_`.

Each daemon has a registry of its own, so that two in one process, as in tests, never mix. What a
figure means and its unit are in its help text; labels take few values, never an id.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from oracle.chain.rpc import RpcUnreachable

TICK_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class DaemonMetrics:
    """What every daemon has."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.ticks = Counter(
            "poq_ticks", "Looks at the chain, by how they ended.", ["end"], registry=registry
        )
        self.tick_seconds = Histogram(
            "poq_tick_seconds", "Seconds that a look took.", buckets=TICK_SECONDS, registry=registry
        )
        self.errors = Counter(
            "poq_errors",
            "Errors that broke something off, by their class.",
            ["error"],
            registry=registry,
        )
        self.rpc_errors = Counter(
            "poq_rpc_errors", "Errors of the node among them.", registry=registry
        )
        self.nodes_left_out = Gauge(
            "poq_rpc_nodes_left_out",
            "Nodes, of several, that are not asked: silent, slow, behind or contradicted.",
            registry=registry,
        )
        self.head_block = Gauge(
            "poq_head_block", "Number of the latest block seen.", registry=registry
        )
        self.head_age = Gauge(
            "poq_head_age_seconds",
            "Age of the latest block by this machine's clock.",
            registry=registry,
        )
        self.balance = Gauge(
            "poq_balance_ether", "What the key has to pay gas with.", registry=registry
        )
        self.pending = Gauge(
            "poq_pending_transactions", "Sent, and not final yet.", registry=registry
        )
        self.transactions = Counter(
            "poq_transactions",
            "Changes of transactions, by new status.",
            ["status"],
            registry=registry,
        )

    def count_error(self, error: Exception) -> None:
        """Count an error by its class, and as the node's if it is."""
        self.errors.labels(type(error).__name__).inc()
        if isinstance(error, RpcUnreachable):
            self.rpc_errors.inc()


class OracleMetrics(DaemonMetrics):
    """What the oracle has besides."""

    def __init__(self) -> None:
        super().__init__()
        registry = self.registry
        self.rounds = Gauge(
            "poq_rounds", "Rounds that have not ended, by phase.", ["phase"], registry=registry
        )
        self.reveals = Counter(
            "poq_reveals",
            "Reveals handed over, by what became of them.",
            ["code"],
            registry=registry,
        )
        self.held = Gauge(
            "poq_reveals_held", "Reveals kept for rounds that are not final.", registry=registry
        )
        self.sent = Counter(
            "poq_calls", "Calls sent to the contracts, by kind.", ["call"], registry=registry
        )
        self.settlements = Counter(
            "poq_settlements", "Own settlements that are final.", registry=registry
        )
        self.withheld = Counter(
            "poq_incomplete_histories",
            "Times that a round's logs did not hash to its digest: the node withholds some.",
            registry=registry,
        )

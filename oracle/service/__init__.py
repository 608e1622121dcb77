"""The daemons: what they agree on, the oracle, the nodes, and what operators see of them."""

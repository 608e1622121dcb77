"""The audit: every payout of a deployment recomputed from its logs, and compared."""

"""Proof of Quality: an oracle that computes what the chain can check."""

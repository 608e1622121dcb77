"""Attacks, sweeps, reliability, peers and the planner: which rule, which panel, at which risk."""

"""Peers from the literature: truth inference for numbers, in floats, offline and online."""

"""The demonstration: a whole small network on a local chain, with real outputs and evaluators."""

"""Compiling and deploying the contracts, and the artifacts that everything else reads."""

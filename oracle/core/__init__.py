"""The protocol in pure integers: docs/protocol.md. No clock, file, socket, log, float, seed."""

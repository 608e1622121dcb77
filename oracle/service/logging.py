"""
The log of a daemon: one JSON object a line on standard error.

An event has one name per kind, and ids are fields of their own (`round`, `seat`, `node`), so that a
log can be searched without reading sentences. What libraries say joins it. Nothing that is secret
is ever handed to this module, and URLs of nodes, which may hold secrets, do not come from libraries
either.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger

Logger = FilteringBoundLogger
_SPEAKS_OF_URLS = ("urllib3", "requests", "httpx", "httpcore", "web3")


def configure(*, verbose: bool = False, quiet: bool = False, stream: TextIO | None = None) -> None:
    """Send all logs of this process to `stream`, by default standard error."""
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Library()], level=logging.WARNING, force=True)
    for name in _SPEAKS_OF_URLS:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def logger(**fields: object) -> Logger:
    """Return a logger whose every line has these fields."""
    return cast(Logger, structlog.get_logger(**fields))


class _Library(logging.Handler):
    """Hands what a library logs to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        logger(library=record.name).log(
            record.levelno, "library", message=record.getMessage(), exc_info=record.exc_info
        )

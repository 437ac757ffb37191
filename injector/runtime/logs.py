"""Structured logs on standard error: one line an event, JSON for machines or text for people."""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
import structlog

from injector.runtime.errors import StartupError

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
FORMATS = ("json", "text")


def configure(level: str, log_format: str) -> None:
    """Set up logging for the process; raises `StartupError` for words it does not know."""
    faults = []
    if level not in LEVELS:
        faults.append(f"log level: expected {', '.join(LEVELS)}, got {level!r}")
    if log_format not in FORMATS:
        faults.append(f"log format: expected {', '.join(FORMATS)}, got {log_format!r}")
    if faults:
        raise StartupError(*faults)
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=orjson.dumps)]
        factory: Any = structlog.BytesLoggerFactory(sys.stderr.buffer)
    else:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
        factory = structlog.PrintLoggerFactory(sys.stderr)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    # The libraries' own words (uvicorn, aiohttp, asyncio) matter only when something is wrong.
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")

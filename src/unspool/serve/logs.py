"""Structured logs: one JSON object a line on stderr, without prompts and answers."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("unspool.serve")


class JsonLines(logging.Formatter):
    """A log record as one line of JSON.

    >>> record = logging.LogRecord("a", logging.INFO, "", 0, "request", None, None)
    >>> json.loads(JsonLines().format(record))["event"]
    'request'
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


def log(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Write one line."""
    LOGGER.log(level, event, extra={"fields": fields})


def log_to_stderr(quiet: bool = False) -> None:
    """Send the logs of the server, and those of uvicorn that matter, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (("unspool.serve", logging.WARNING if quiet else logging.INFO), ("uvicorn", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)

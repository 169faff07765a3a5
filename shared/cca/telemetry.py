"""Trace context (W3C Trace Context, level 2) into and out of messages, and logs that name what they are about."""

import json
import logging
import os
import re
import sys
from datetime import UTC, datetime

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")


def trace_of(text: str | None) -> str:
    """The trace context that a message came with, or a new one that nobody samples."""
    if text is not None and _TRACEPARENT.match(text):
        return text
    random = os.urandom(24).hex()
    return f"00-{random[:32]}-{random[32:]}-00"


class Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("task", "agent", "trace"):
            if (value := getattr(record, name, None)) is not None:
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_to_stderr(level: str, form: str) -> None:
    """Send the logs of this process to standard error, as `console` text or as `json` lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        Json() if form == "json" else logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("asyncpg").setLevel(logging.ERROR)  # who uses a pool says when it is away, in a sentence
    logging.getLogger("nats").setLevel(logging.CRITICAL)  # the bus reports its connection itself

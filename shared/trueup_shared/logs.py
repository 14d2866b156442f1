"""structlog set-up and the keys of a log line. Logs go to stderr; stdout belongs to the command's output."""

import logging
import sys

import structlog

HOST = "host"
LEDGER = "ledger"
RETRY_IN = "retry_in"
ERROR = "error"
REQUEST = "request"
THEIR_REQUEST = "client_request"  # what a client calls it


class _Libraries(logging.Handler):
    """What libraries log, as one of our lines. The traceback of a warning is noise; that of an error is not."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        structlog.get_logger().log(
            record.levelno,
            record.getMessage(),
            library=record.name,
            **({ERROR: f"{type(error).__name__}: {error}"} if error is not None else {}),
            **({"exc_info": error} if error is not None and record.levelno >= logging.ERROR else {}),
        )


def set_up(verbose: bool) -> None:
    """Key-value lines in colour on a terminal, JSON lines elsewhere."""
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)

"""Logging for the SDK's own messages: only where the script has set up logging, and without importing it earlier."""

from __future__ import annotations

import sys


def log(name: str, level: str, message: str, *args: object, error: BaseException | None = None) -> None:
    """Log on the logger `name` if anything listens; `level` is a method's name such as ``warning``. Raises nothing."""
    if "logging" not in sys.modules:
        return
    try:
        import logging

        logger = logging.getLogger(name)
        if logger.hasHandlers():
            getattr(logger, level)(message, *args, exc_info=error)
    except Exception:
        return


def warn(name: str, message: str, *args: object) -> None:
    """Log a warning, which Python prints where the script has not set up logging. Raises nothing."""
    try:
        import logging

        logging.getLogger(name).warning(message, *args)
    except Exception:
        return

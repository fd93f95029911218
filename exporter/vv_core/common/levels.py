"""How bad it is, in whatever words and numbers programs have for that: those of `logging`, and those of syslog."""

from __future__ import annotations

from vv_core.common import texts

LEVELS = ("INFO", "WARNING", "ERROR", "CRITICAL")
"""INFO: notable but normal, logged and not notified. WARNING: abnormal, may become a problem. ERROR: one function
or item failed. CRITICAL: a main function is down, or data or security are at risk."""

# Levels of `logging`, and severities of syslog (RFC 5424, table 2) with what syslog(3) and journalctl(1) call them.
_NAMES = {
    **dict.fromkeys(("EMERGENCY", "EMERG", "PANIC", "ALERT", "CRITICAL", "CRIT", "FATAL"), "CRITICAL"),
    **dict.fromkeys(("ERROR", "ERR"), "ERROR"),
    **dict.fromkeys(("WARNING", "WARN"), "WARNING"),
    **dict.fromkeys(("NOTICE", "INFO", "INFORMATIONAL", "DEBUG", "TRACE"), "INFO"),
}
_SYSLOG = ("CRITICAL", "CRITICAL", "CRITICAL", "ERROR", "WARNING", "INFO", "INFO", "INFO")  # 0 to 7
_LOGGING = ((50, "CRITICAL"), (40, "ERROR"), (30, "WARNING"), (len(_SYSLOG), "INFO"))
_PREFIXES = ("LOG_", "LEVEL ")  # of constants of syslog(3), and of a number without a name in `logging`
_MAX_DIGITS = 9


def known(level: object) -> str | None:
    """Which of `LEVELS` is meant by a name, in any case and with blanks around it, or by a number; None if none is.

    0 to 7 are syslog's severities, numbers above are levels of `logging`: what lies between two counts as the lower.
    """
    if type(level) is str and level in _NAMES:
        return _NAMES[level]
    if type(level) is int or type(level) is float:
        return _by_number(level)
    name = texts.line(level, 64).strip().upper()
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    name = name.rpartition(".")[2]  # of an enumeration's member
    if name.isascii() and name.isdigit() and len(name) <= _MAX_DIGITS:
        return _by_number(int(name))
    return _NAMES.get(name)


def _by_number(number: int | float) -> str | None:
    if 0 <= number < len(_SYSLOG):
        return _SYSLOG[int(number)]
    return next((name for least, name in _LOGGING if number >= least), None)

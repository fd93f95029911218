"""``app.log``: one line an event, written by many processes at once."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
import sys
import time

from vv_core.common import environment, levels, sdklog, shared, texts

KEPT = 5
"""How many files ``VV_LOG_MAX`` keeps beside ``app.log``: ``app.log.1``, the newest, to ``app.log.5``."""

MAX_TEXT = 16_000
"""Longest message, and longest traceback (its end is kept), in bytes."""

_DIGITS = 9  # of a level, at most
_GIVE_WAY, _PATIENCE = 0.001, 50  # seconds, and how often for one file


def setup_logging(component: str, level: str | int = "INFO") -> logging.Logger:
    """Log to ``$VV_LOG_DIR/app.log`` from now on; return the logger named `component`.

    Everything that is logged in this process goes there, from `level` on, one line an event: UTC with
    milliseconds, level, component and process id, message. Line breaks, those of tracebacks too, are written as
    ``\\n``. The process that finds the file full (``VV_LOG_MAX``, 16 MB) moves it to ``app.log.1``, and five are kept.
    Where logrotate does it, which needs neither ``copytruncate`` nor a signal, ``VV_LOG_MAX=0`` leaves it alone.
    Where it cannot be written, that is said once on stderr, and the lines go there. Other log handlers stay. A `level`
    that there is not is INFO, and that is logged. Raises nothing.
    """
    name = texts.name(component) or environment.script_name()
    handler = AppLogHandler(os.path.join(environment.log_dir(), "app.log"), name, environment.log_max())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, AppLogHandler)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    wanted = texts.printed(level).strip().upper()
    known = logging.getLevelNamesMapping().get(wanted, levels.known(level))
    root.setLevel(int(wanted) if wanted.isdecimal() and len(wanted) < _DIGITS else known or logging.INFO)
    if known is None:
        sdklog.warn("root", "%r is not a log level; INFO is used", texts.line(level, 100))
    return logging.getLogger(name)


class AppLogHandler(logging.Handler):
    """Appends each record to the file `path` with one ``write``; moves it away when it has `largest` bytes (0: never).

    Many processes may do so at once. A line goes whole into one file, if not into `path`, then into the one that it
    has just been moved to.
    """

    def __init__(self, path: str, component: str, largest: int = 0) -> None:
        super().__init__()
        self._path = path
        self._component = component
        self._largest = largest
        self._stuck = False
        self._gave_way = 0
        self._fd = -1
        self._identity = (0, 0)
        self._complained = False
        self._torn = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record`. Raises nothing."""
        try:
            line = as_line(record, self._component)
            try:
                self._append_line(line.encode(errors="replace"))
            except OSError as error:
                self._fall_back(line, error)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the file."""
        self._release_file()
        super().close()

    def _append_line(self, data: bytes) -> None:
        if self._largest and self._follow_path() + len(data) > self._largest:
            self._move_away(len(data))
        self._follow_path()
        self._end_torn_line()
        self._torn = os.write(self._fd, data) < len(data)
        if self._torn:
            # So that the next line, another process' perhaps, stands by itself; on a full disk when there is room.
            self._end_torn_line()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._complained = False

    def _end_torn_line(self) -> None:
        if self._torn:
            os.write(self._fd, b"\n")
            self._torn = False

    def _follow_path(self) -> int:
        """Have the file open that has the path now: it may have been moved away. Its size."""
        try:
            status = os.stat(self._path)
            if self._fd >= 0 and (status.st_dev, status.st_ino) == self._identity:
                return status.st_size
        except FileNotFoundError:
            pass
        self._release_file()
        self._fd, self._gave_way, self._torn = _open_log(self._path), 0, False
        status = os.fstat(self._fd)
        self._identity = status.st_dev, status.st_ino
        return status.st_size

    def _move_away(self, more: int) -> None:
        """Make room for `more` bytes, unless another process is at it, or has just done it."""
        try:
            # A description of its own: those who were forked share the other one, and with it any lock.
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                full, present = os.fstat(fd), os.stat(self._path)
                if os.path.samestat(full, present) and 0 < full.st_size > self._largest - more:
                    self._shift_files()
            finally:
                os.close(fd)
        except BlockingIOError:
            # Writing on at once would keep the processor from the one that is at it. It may be stopped: not for long.
            if self._gave_way < _PATIENCE:
                self._gave_way += 1
                time.sleep(_GIVE_WAY)
        except FileNotFoundError:
            return
        except OSError as error:
            if not self._stuck and sys.stderr is not None:
                self._stuck = True
                sys.stderr.write(f"{self._path} cannot be moved away ({error.strerror}); it grows on\n")

    def _shift_files(self) -> None:
        # The present file last: until then its lock keeps others away from all of them.
        for number in range(KEPT, 0, -1):
            newer = f"{self._path}.{number - 1}" if number > 1 else self._path
            try:
                os.rename(newer, f"{self._path}.{number}")
            except FileNotFoundError:
                continue

    def _release_file(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _fall_back(self, line: str, error: OSError) -> None:
        if sys.stderr is None:
            return
        if not self._complained:
            self._complained = True
            sys.stderr.write(f"{self._path} cannot be written ({error.strerror}); its lines come here\n")
        sys.stderr.write(line)


def as_line(record: logging.LogRecord, component: str) -> str:
    """A record as the line of ``app.log``, with its line break. CRITICAL stands out."""
    stamp = texts.stamp(record.created)
    level = f"***{record.levelname}***" if record.levelno >= logging.CRITICAL else record.levelname
    source = "" if record.name in ("root", component) else f" {texts.line(record.name, 128)}:"
    text = texts.lines(_message_of(record), MAX_TEXT) + _trace_of(record)
    return (
        f"{stamp}.{int(record.msecs):03d}Z {level} {component}[{record.process}]{source} "
        + text.rstrip("\n").replace("\n", "\\n")
        + "\n"
    )


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # arguments that do not fit the format: the line is worth more than the mistake
        return f"{texts.printed(record.msg)} (its arguments do not fit: {texts.printed(error)})"


def _trace_of(record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(logging.Formatter().formatException(record.exc_info))
    elif record.exc_text:
        parts.append(record.exc_text)
    if record.stack_info:
        parts.append(record.stack_info)
    return "".join("\n" + texts.last_lines(part, MAX_TEXT) for part in parts)


def _open_log(path: str) -> int:
    # The folder is open to a group: no link that leads elsewhere, no pipe that nobody reads.
    # One that an operator named may be anybody's, /var/log for instance: it stays as it is.
    own = os.path.dirname(path) == os.path.join(environment.state_dir(), "logs")
    shared.make_folder(os.path.dirname(path), shared.COMMON_FOLDER, mend=own)
    fd = shared.open_file(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return fd

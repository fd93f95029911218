"""The head of a chain of signed lines: the number and MAC of the last one, in a file that all who sign share.

``$VV_STATE_DIR/chains/NAME`` holds two slots, each a checksum and a JSON object; the newer one that is whole counts,
and the older one is written over. So a kill at any system call leaves a head that is whole, and a number is given away
only after it was kept. Whoever extends the chain holds ``flock`` on the file, for some ten microseconds.

What the process that signs does with its line is not seen here, so the head also keeps which numbers are *open*: a
number is open until the thread that got it signs again, or its process ends well. A process shows that it lives by a
lock on one byte of the file (``F_OFD_SETLK``, fcntl(2)), which the kernel drops however the process ends. The open
numbers of one that is gone are *unwritten*: its line may have come to the log, in whole, in part or not at all. Each
link says which numbers are open and unwritten, so that whoever verifies accuses nobody of a line that a kill took, nor
of two lines whose order two processes raced for.

Nothing is synced: that costs a thousand times the rest. After a power cut the head may be half a minute old, therefore
the chain is continued in a new *part*, with an id of its own, whenever the device has booted, and whenever the file was
changed by others (a restored backup). The first link of a part says what it continues, and why it is a part.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import time
from _thread import RLock, get_ident

from vv_core import _ends
from vv_core.common import environment, shared
from vv_core.common.ids import uuid7_hex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    Link = dict[str, Any]
    State = dict[str, Any]

FOLDER = "chains"
"""Of the state folder: a file a chain."""
MAX_NUMBER = 2**53 - 1
"""RFC 8785 has no larger integers."""
MAX_OPEN = 128
"""Numbers that are open at a time; of more, the oldest counts as written."""
MAX_UNWRITTEN = 256

_SLOT = 8192
_PATIENCE = 2.0  # seconds that the lock is waited for
_PAUSE = 10.0  # seconds in which it is not waited for again
_TOUCHED = 5.0  # seconds between what the head and its file say of when it was written
_FIRST_WRITER = 1 << 30  # byte of the file that the first writer locks; far behind its content
_MAX_WRITERS = 1024
_HEX = frozenset("0123456789abcdef")


def folder(environ: Mapping[str, str] = os.environ) -> str:
    """Where the heads are: ``$VV_STATE_DIR/chains``."""
    return os.path.join(environment.state_dir(environ), FOLDER)


def extend(name: str, sign: Callable[[Link], str], key_id: str) -> Link:
    """The next link of the chain: `sign` gives the MAC of the line with it. Raises `OSError`: then it took none."""
    return _head(name).extend(sign, key_id)


def give_back(link: Link) -> None:
    """The line with this link was not written, and will not be. Raises `OSError`."""
    _head(str(link["name"])).give_back(link)


class Head:
    """One chain's head, as one process has it open."""

    def __init__(self, path: str, boot: str | None = None) -> None:
        self._path = path
        self._boot = _boot_id() if boot is None else boot
        self._fd = -1
        self._status: tuple[int, int] = (0, 0)
        self._writer = -1  # which byte is locked
        self._open: dict[int, int] = {}  # by thread: the number of the line that it may not have written yet
        self._known: State | None = None  # the last head that was seen
        self._parsed: dict[bytes, State | None] = {}  # by what stands in a slot
        self._lock = RLock()
        self._busy = False
        self._not_before = 0.0

    def extend(self, sign: Callable[[Link], str], key_id: str) -> Link:
        """See `extend` of the module."""
        with _Held(self) as found:
            thread = get_ident()
            self._open.pop(thread, None)
            self._forget_ended_threads()
            state, restart = self._continue_head(found)
            number = state["number"] + 1
            if number > MAX_NUMBER:
                raise OSError(errno.ERANGE, "the chain has no further number")
            opened, unwritten = self._unsettled_numbers(state)
            link: Link = {
                "id": state["id"],
                "first": state["first"],
                "name": os.path.basename(self._path),
                "number": number,
                "previous": state["mac"],
                "uptime": _uptime_seconds(),
            }
            if opened:
                link["open"] = sorted(opened)
            if unwritten:
                link["unwritten"] = sorted(unwritten)
            if restart is not None:
                link["restart"] = restart
            mac = sign(link)
            self._open[thread] = number
            state.update(number=number, mac=mac, key_id=key_id, uptime=link["uptime"])
            state["unwritten"] = [[lost, by if by and by < number else number] for lost, by in unwritten.items()]
            try:
                self._save_head(state)
            except BaseException:
                self._open.pop(thread, None)
                raise
        _ends.opened(self, self.finish)
        return link

    def give_back(self, link: Link) -> None:
        """See `give_back` of the module."""
        with _Held(self) as found:
            if found is None or found["number"] < link["number"] or self._why_new_part(found):
                return
            self._open = {thread: number for thread, number in self._open.items() if number != link["number"]}
            unwritten = [*found["unwritten"], [link["number"], 0]][-MAX_UNWRITTEN:]
            self._save_head({**found, "unwritten": unwritten})

    def finish(self) -> None:
        """This process ends well: what it signed it has written. Raises nothing."""
        if not self._open or _ends.is_failing():
            return
        try:
            with _Held(self) as found:
                self._open.clear()
                # One that was replaced stays as it is: whoever signs next must see that.
                if found is not None and not self._why_new_part(found):
                    self._save_head(found)
        except OSError:
            return

    def close(self) -> None:
        """Give up the file, and with it the sign of life."""
        if self._fd >= 0:
            try:
                if self._is_ours():
                    os.close(self._fd)
            except OSError:  # somebody closed all descriptors, as daemons do
                pass
            self._fd = self._writer = -1

    # What follows is done with the lock held.

    def acquire(self) -> State | None:
        """Take the lock, and give the head that the file has; None if it has none. Raises `OSError`."""
        if time.monotonic() < self._not_before:
            raise BlockingIOError(errno.EAGAIN, "others do not let go of the chain's head")
        if not self._lock.acquire(timeout=_PATIENCE):
            raise BlockingIOError(errno.EAGAIN, "another thread does not let go of the chain's head")
        if self._busy:  # a signal's handler signs, while its own thread does
            self._lock.release()
            raise BlockingIOError(errno.EDEADLK, "this thread holds the chain's head already")
        self._busy = True
        try:
            self._open_file()
            self._wait_for_others()
            while not self._is_in_place():  # it was replaced while we waited
                self.close()
                self._open_file()
                self._wait_for_others()
            found = self._read_head()
            if self._writer < 0:
                self._writer = self._take_writer(found)
        except BaseException:
            self.release()
            raise
        return found

    def release(self) -> None:
        """Let go of the lock."""
        try:
            if self._fd >= 0:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        except OSError:
            self._fd = self._writer = -1
        finally:
            self._busy = False
            self._lock.release()

    def _open_file(self) -> None:
        if self._fd >= 0 and self._is_ours():
            return
        self._fd = self._writer = -1
        shared.make_folder(os.path.dirname(self._path), shared.STICKY_FOLDER)
        fd = shared.open_file(self._path, os.O_RDWR)
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "not a regular file", self._path)
        self._fd, self._status = fd, (found.st_dev, found.st_ino)

    def _is_ours(self) -> bool:
        """Whether the descriptor is still the head's: others may close what they did not open, and open something."""
        try:
            found = os.fstat(self._fd)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._status

    def _is_in_place(self) -> bool:
        try:
            found = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._status

    def _wait_for_others(self) -> None:
        until, pause = time.monotonic() + _PATIENCE, 0.0001
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    self._not_before = time.monotonic() + _PAUSE
                    raise BlockingIOError(errno.EAGAIN, "others do not let go of the chain's head") from None
                time.sleep(pause)
                pause = min(pause * 1.5, 0.005)
            else:
                return

    def _read_head(self) -> State | None:
        """As `read`; what was read before is not parsed again."""
        lines = _slot_lines(self._fd)
        self._parsed = {line: self._parsed[line] if line in self._parsed else _parsed(line) for line in lines}
        return _newest_state(self._parsed.values())

    def _take_writer(self, found: State | None) -> int:
        """Lock a byte that no living writer has, nor one whose open numbers are still to be told. -1: there is none."""
        taken = found["open"] if found is not None else {}
        for writer in range(_MAX_WRITERS):
            if str(writer) not in taken and _lock_byte(self._fd, writer):
                return writer
        return -1

    def _forget_ended_threads(self) -> None:
        if len(self._open) > 1:
            alive = sys._current_frames()
            self._open = {thread: number for thread, number in self._open.items() if thread in alive}

    def _continue_head(self, found: State | None) -> tuple[State, Link | None]:
        """The head to go on from; and, where that is in a new part, what its first link says of it."""
        known = self._known
        if found is None and known is None:
            blank = not os.pread(self._fd, 2 * _SLOT, 0).strip(b"\0")
            return _new_part(0, "", None), None if blank else {"why": "unreadable"}
        why = "replaced" if found is None else self._why_new_part(found)
        if found is not None and not why:
            return {**found, "open": dict(found["open"])}, None
        last = (known if found is None or self._is_older(found) else found) or {}
        restart = {
            "why": why,
            "id": last["id"],
            "first": last["first"],
            "uptime": last["uptime"],
            "since": last["since"],
        }
        return {**_new_part(last["number"], last["mac"], last), "restart": restart}, restart

    def _why_new_part(self, found: State) -> str:
        """Why the chain is not continued as the file has it; "" if it is."""
        if self._is_older(found):
            return "replaced"
        if found["boot"] != self._boot:
            return "boot"
        return "replaced" if abs(os.fstat(self._fd).st_ctime - found["time"]) > _TOUCHED else ""

    def _is_older(self, found: State) -> bool:
        """Whether this process knows of a later number of the same part."""
        known = self._known
        return known is not None and known["id"] == found["id"] and known["number"] > found["number"]

    def _unsettled_numbers(self, state: State) -> tuple[set[int], dict[int, int]]:
        """The numbers that are open; and those that are unwritten, each with the number of the line that first said so.

        What a line said that was written need not be said again.
        """
        opened: set[int] = set(self._open.values())
        unwritten: dict[int, int] = dict(state["unwritten"])
        for writer, numbers in list(state["open"].items()):
            if int(writer) == self._writer:
                continue
            if self._is_gone(int(writer)):
                del state["open"][writer]
                unwritten.update((number, 0) for number in numbers if number not in unwritten)
            else:
                opened.update(numbers)
        said = {number: by for number, by in unwritten.items() if by in (0, *opened) or by in unwritten}
        kept = sorted(said)[-MAX_UNWRITTEN:]
        return opened, {number: 0 if said[number] in unwritten else said[number] for number in kept}

    def _is_gone(self, writer: int) -> bool:
        if not _lock_byte(self._fd, writer):
            return False
        _unlock_byte(self._fd, writer)
        return True

    def _save_head(self, state: State) -> None:
        """Write the slot that is not the newest. Raises `OSError`: then the other one still counts."""
        opened = dict(state["open"])
        opened.pop(str(self._writer), None)
        if self._open and self._writer >= 0:
            room = MAX_OPEN - sum(map(len, opened.values()))
            opened[str(self._writer)] = sorted(self._open.values())[-max(room, 1) :]
        state = {**state, "open": opened, "boot": self._boot, "rev": state["rev"] + 1, "time": time.time()}
        content = _slot_content(state)
        size = os.fstat(self._fd).st_size
        if size < 2 * _SLOT:  # its room, once: later a full disk keeps nobody from signing
            _write_whole(self._fd, bytes(2 * _SLOT - size), size)
        _write_whole(self._fd, content, state["rev"] % 2 * _SLOT)
        self._parsed[content.partition(b"\n")[0]] = state
        self._known = state


class _Held:
    """The head while it is locked."""

    def __init__(self, head: Head) -> None:
        self._head = head

    def __enter__(self) -> State | None:
        return self._head.acquire()

    def __exit__(self, *_: object) -> None:
        self._head.release()


def read(fd: int) -> State | None:
    """The newest whole head of an open file; None if it has none. Raises `OSError`."""
    return _newest_state(map(_parsed, _slot_lines(fd)))


def _slot_lines(fd: int) -> list[bytes]:
    """What stands in the two slots."""
    content = os.pread(fd, 2 * _SLOT, 0)
    return [content[at : at + _SLOT].partition(b"\n")[0] for at in (0, _SLOT)]


def _newest_state(found: Iterable[State | None]) -> State | None:
    return max((state for state in found if state is not None), key=lambda state: int(state["rev"]), default=None)


def _slot_content(state: State) -> bytes:
    import json
    import zlib

    content = json.dumps(state, separators=(",", ":")).encode()
    whole = b"%08x %s\n" % (zlib.crc32(content), content)
    if len(whole) > _SLOT:
        raise OSError(errno.EFBIG, "the chain's head does not fit its file")
    return whole.ljust(_SLOT, b"\0")


def _write_whole(fd: int, content: bytes, at: int) -> None:
    if os.pwrite(fd, content, at) < len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _parsed(line: bytes) -> State | None:
    """A head as it should be, whoever wrote it; None of anything else."""
    import json
    import zlib

    if line[:8] != b"%08x" % zlib.crc32(line[9:]):
        return None
    try:
        state = json.loads(line[9:])
        return state if _is_head(state) else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _is_head(state: Any) -> bool:
    return (
        all(_is_number(state[name]) for name in ("first", "number", "rev", "since", "uptime"))
        and all(isinstance(state[name], str) for name in ("id", "key_id", "boot"))
        and all(_is_hex(state[name], length) for name, length in (("id", 32), ("mac", 64)))
        and isinstance(state["time"], int | float)
        and is_restart(state["restart"])
        and 0 < state["first"] <= state["number"]
        and len(state["boot"]) <= 64
        and all(
            writer.isascii() and writer.isdigit() and len(writer) <= 4 and all(map(_is_number, numbers))
            for writer, numbers in state["open"].items()
        )
        and sum(map(len, state["open"].values())) <= 2 * MAX_OPEN
        and len(state["unwritten"]) <= MAX_UNWRITTEN
        and all(len(pair) == 2 and all(map(_is_number, pair)) for pair in state["unwritten"])
    )


def is_restart(value: Any) -> bool:
    """Whether this says what a part continues, and why; None of one that continues nothing."""
    return (
        value is None
        or value == {"why": "unreadable"}
        or (
            isinstance(value.get("why"), str)
            and isinstance(value.get("id"), str)
            and all(_is_number(value.get(name)) for name in ("first", "since", "uptime"))
        )
    )


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_NUMBER


def _is_hex(value: str, length: int) -> bool:
    return len(value) == length and _HEX.issuperset(value)


def _new_part(number: int, mac: str, found: State | None) -> State:
    """A new part, after the line with this number and MAC."""
    begun = {
        "id": _part_id(found["id"] if found is not None else ""),
        "first": number + 1,
        "number": number,
        "mac": mac,
        "rev": 0,
        "since": _uptime_seconds(),
        "restart": None,
        "open": {},
        "unwritten": [],
    }
    if found is not None:
        begun.update(rev=found["rev"], open=dict(found["open"]), unwritten=list(found["unwritten"]))
    return begun


def _part_id(before: str) -> str:
    """A new UUIDv7 that sorts behind the one of the part before, even if the clock was set back since."""
    new = uuid7_hex()
    if new > before:
        return new
    return f"{(int(before[:12], 16) + 1) % (1 << 48):012x}{new[12:]}"


def _flock_struct(kind: int, writer: int) -> bytes:
    """``struct flock`` of <fcntl.h>: type, whence, start, length, pid."""
    import struct

    return struct.pack("hhqqi0q", kind, os.SEEK_SET, _FIRST_WRITER + writer, 1, 0)


def _lock_byte(fd: int, writer: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock_struct(fcntl.F_WRLCK, writer))
    except OSError:  # somebody has it; or there are no such locks here, and nobody is known to be gone
        return False
    return True


def _unlock_byte(fd: int, writer: int) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _flock_struct(fcntl.F_UNLCK, writer))


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read(64).strip()
    except (OSError, ValueError):
        return ""


def _uptime_seconds() -> int:
    """Seconds since the device's start, those included in which it slept: the same in all of its containers."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME))


_heads: dict[str, Head] = {}


def _head(name: str) -> Head:
    path = os.path.join(folder(), name)
    return _heads.get(path) or _heads.setdefault(path, Head(path))


def reset() -> None:
    """Say what was written, and begin again with the environment of now."""
    for head in list(_heads.values()):
        head.finish()
        head.close()
        _ends.closed(head)
    _heads.clear()


def _after_fork_in_child() -> None:
    """What is open is the parent's, and so is the lock that shows that it lives."""
    for head in _heads.values():
        head.close()
    _heads.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)

"""Logins that a DVR refused to agents, counted across restarts: a wrong password is sent a few times, and then no more.

DVRs lock an account after some wrong passwords, five is usual, and then keep out the exporter's probe as well. The
rule is the probe's (``probes.dvr_logins``), except that a login counts when it was refused, not when it was sent:
an agent that crashes as it connects must not keep itself from recording.

Below ``$VV_STATE_DIR/logins/`` each account has a file with a line for each refusal, and so has each stream: the
sixteen channels of a recorder are one account. A login that is taken deletes both. Each is known by a digest that tells
nobody the password: salted, and by scrypt (RFC 7914), so that each guess takes some hundredths of a second.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from vv_core.common import environment, files, sdklog, shared, texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_REFUSED = 3
"""Refused logins in a row, after which no further one is sent."""
UNKNOWN_PAUSE = 3600.0
"""Seconds between two where the link does not know user and password, and so not whether they were corrected: locks
are mostly of half an hour."""
MOST = 1_000  # accounts and streams of which something is known; then the oldest go

_SUFFIX = ".refused"
_SALT = ".salt"
_SCRYPT_COST = 1 << 13  # with blocks of 1 KiB: 8 MiB and some 25 ms
_MAX_FILE = 1 << 14


class Logins:
    """Those of one link, to the DVR `dvr` at `url`. Raises nothing: what cannot be kept counts in this process."""

    def __init__(self, dvr: str, url: str | None, clock: Callable[[], float] = time.time) -> None:
        self._dvr = dvr
        self._clock = clock
        self._parts = _credentials_of(url)
        self._keys: tuple[str, ...] = ()
        self._own: list[float] = []
        """When this process was refused, as far as that could not be written down."""

    def held_back(self) -> str:
        """Why user and password are not sent now, for people; empty when they may be."""
        try:
            times = max((self._refusal_times(key) for key in self._known_keys()), key=len, default=[])
        except Exception as error:
            _log_uncounted(error)
            times = []
        times = sorted([*times, *self._own])
        if len(times) < MAX_REFUSED:
            return ""
        said = f"refused user or password {MAX_REFUSED} times, the last at {_utc_text(times[-1])}; they are "
        allowed = f"or when the DVR takes them by now: vv dvr login {_quote_for_shell(self._dvr)}"
        if self._parts:
            return f"{said}not sent again, so that it does not lock the account: correct them here, {allowed}"
        if not 0 <= self._clock() - times[-1] < UNKNOWN_PAUSE:  # one in the future is of another clock
            return ""
        return f"{said}sent once an hour, so that it does not lock the account: correct them, {allowed}"

    def refused(self) -> None:
        """The DVR refused user and password."""
        now = self._clock()
        try:
            shared.make_folder(_logins_folder())
            for key in self._all_keys():
                self._add_refusal(key, now)
            _prune_files()
        except Exception as error:
            self._own = [*self._own, now][-MAX_REFUSED:]
            _log_uncounted(error)

    def taken(self) -> None:
        """The DVR took them."""
        self._own = []
        try:
            for key in self._known_keys():
                with suppress(FileNotFoundError):
                    os.unlink(_logins_path(key))
        except Exception as error:
            _log_uncounted(error)

    def _known_keys(self) -> tuple[str, ...]:
        """None where nothing was ever refused: a digest takes its time."""
        return self._all_keys() if _files_kept() else ()

    def _all_keys(self) -> tuple[str, ...]:
        if not self._keys:
            account, stream = self._parts or ("", "")
            digest = _salted_digest(account or f"dvr\0{self._dvr}")
            self._keys = (digest, _short_sha256(f"{digest}\0{self._dvr}\0{stream}")) if self._parts else (digest,)
        return self._keys

    def _refusal_times(self, key: str) -> list[float]:
        return [when for when, _ in _refusal_lines(key)]

    def _add_refusal(self, key: str, now: float) -> None:
        """In one write: others are refused at the same time."""
        fd = shared.open_file(_logins_path(key), os.O_WRONLY | os.O_APPEND)
        try:
            if os.fstat(fd).st_size > _MAX_FILE // 2:  # of a link that tries once an hour
                os.ftruncate(fd, 0)
                files.write_all(fd, _refusal_line(now, self._dvr) * (MAX_REFUSED - 1))
            files.write_all(fd, _refusal_line(now, self._dvr))
            os.fsync(fd)
        finally:
            os.close(fd)


def allow(dvr: str) -> bool:
    """Forget the refusals of a DVR: somebody says that it takes user and password by now. Whether there were any.

    Raises `OSError`.
    """
    found = False
    for name in _files_kept():
        key = name.removesuffix(_SUFFIX)
        if any(one == dvr for _, one in _refusal_lines(key)):
            os.unlink(_logins_path(key))
            found = True
    return found


def _credentials_of(url: str | None) -> tuple[str, str] | None:
    """The account and the stream of a URL; None where it has no user or password."""
    if not url:
        return None
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if not at:
        return None
    return f"account\0{host.lower()}\0{user}", f"{scheme.lower()}{slash}{path}"


def _logins_folder() -> str:
    return os.path.join(environment.state_dir(), "logins")


def _logins_path(key: str) -> str:
    return os.path.join(_logins_folder(), key + _SUFFIX)


def _files_kept() -> list[str]:
    try:
        return [name for name in os.listdir(_logins_folder()) if name.endswith(_SUFFIX)]
    except FileNotFoundError:
        return []


def _refusal_lines(key: str) -> list[tuple[float, str]]:
    """When it was refused, and to which DVR's agent. Lines that others wrote otherwise are passed over."""
    try:
        content = files.read_regular(os.fsencode(_logins_path(key)), _MAX_FILE)
    except OSError:
        return []
    found = []
    for line in content.decode(errors="replace").splitlines():
        when, _, dvr = line.partition(" ")
        with suppress(ValueError):
            found.append((float(when), dvr))
    return found


def _refusal_line(now: float, dvr: str) -> bytes:
    return f"{now:.3f} {dvr}\n".encode(errors="replace")


def _prune_files() -> None:
    names = _files_kept()
    if len(names) > MOST:
        paths = [os.path.join(_logins_folder(), name) for name in names]
        for path in sorted(paths, key=lambda one: os.stat(one, follow_symlinks=False).st_mtime)[:-MOST]:
            with suppress(FileNotFoundError):
                os.unlink(path)


def _salted_digest(text: str) -> str:
    import hashlib

    salt, raw = _device_salt(), text.encode(errors="surrogatepass")
    return hashlib.scrypt(raw, salt=salt, n=_SCRYPT_COST, r=8, p=1, dklen=8).hex()


def _short_sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def _device_salt() -> bytes:
    """What makes the digests of this device its own."""
    path = os.fsencode(os.path.join(_logins_folder(), _SALT))
    shared.make_folder(_logins_folder())
    with suppress(FileExistsError):
        if not os.path.lexists(path):
            files.write_new(path, os.urandom(16), mode=shared.COMMON_FILE)
    return files.read_regular(path, 16)


def _quote_for_shell(text: str) -> str:
    """For a shell."""
    return (
        text
        if text.isascii() and text.replace("-", "").replace("_", "").isalnum()
        else "'" + text.replace("'", "'\\''") + "'"
    )


def _utc_text(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "an unknown time"


def _log_uncounted(error: Exception) -> None:
    sdklog.log("vv_core.dvr", "warning", "refused logins cannot be counted: %s", texts.line(error, 200))

"""Whom a socket of the proxy serves: beside the socket's mode, the kernel's word of who is at its other end."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from vv_exporter.settings.parsers import names

_SO_PEERGROUPS = 59  # <asm-generic/socket.h>; Linux 4.13
_CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7)
_MOST_GROUPS = 256  # as much as Python reads of an option
_MOST_REMEMBERED = 1000


@dataclass(frozen=True)
class Peer:
    """A process that connected, as it was then."""

    pid: int
    uid: int
    gids: frozenset[int]


def peer_of(client: socket.socket) -> Peer:
    """Who is at the other end of a Unix socket. Raises `OSError`."""
    pid, uid, gid = _CREDENTIALS.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    try:
        more = client.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MOST_GROUPS)
    except OSError:  # an older kernel, or too many: the first group counts alone
        more = b""
    return Peer(pid, uid, frozenset({gid, *struct.unpack(f"{len(more) // 4}I", more)}))


@dataclass
class Peers:
    """The users and groups that are served; without any, all that the socket's mode lets in.

    Root and the proxy's own user, whose health check it is, are served in any case.
    """

    uids: frozenset[int] = frozenset()
    gids: frozenset[int] = frozenset()
    setting: str = ""
    """The name of the setting that says so."""
    refused: int = 0
    """How many connections were refused."""
    _warned: set[int] = field(default_factory=set)

    def admit(self, peer: Peer) -> bool:
        """Whether it is served; if not, it is counted."""
        anyone = not (self.uids or self.gids)
        if anyone or peer.uid in self.uids | {0, os.geteuid()} or peer.gids & self.gids:
            return True
        self.refused += 1
        return False

    def first_of(self, peer: Peer) -> bool:
        """Whether nothing was said of this user yet."""
        if peer.uid in self._warned or len(self._warned) >= _MOST_REMEMBERED:
            return False
        self._warned.add(peer.uid)
        return True


def parse_peers(text: str, setting: str = "") -> Peers:
    """Users, and groups after an `@`, by name or number, with commas between. Raises `ValueError`."""
    uids, gids = set(), set()
    for item in names(text):
        if item.startswith("@"):
            gids.add(_number_of_name(item[1:], "group", lambda name: grp.getgrnam(name).gr_gid))
        else:
            uids.add(_number_of_name(item, "user", lambda name: pwd.getpwnam(name).pw_uid))
    return Peers(frozenset(uids), frozenset(gids), setting)


def _number_of_name(name: str, kind: str, find: Callable[[str], int]) -> int:
    if name.isascii() and name.isdigit():
        return int(name)
    try:
        return find(name)
    except KeyError:
        raise ValueError(f"there is no {kind} {name!r} on this machine; name another, or its number") from None

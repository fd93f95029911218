"""Basic authentication against bcrypt hashes."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from threading import Condition

import bcrypt
from werkzeug import Request
from werkzeug.datastructures import Authorization
from werkzeug.exceptions import ServiceUnavailable

_REMEMBERED = 100
_LONGEST = 72
"""Bytes of a password that bcrypt looks at; the library refuses longer ones, other tools cut them off."""
TURN_SECONDS = 2.0
"""How long a client waits for the comparison of another one's password."""
RETRY_AFTER_SECONDS = 1


def credentials_of(request: Request) -> Authorization | None:
    """What the request shows of who asks; None for what makes no sense, of which werkzeug raises some."""
    try:
        return request.authorization
    except ValueError:
        return None


class BasicAuth:
    """Checks requests. A hash takes bcrypt tens of milliseconds or more, by design: results are remembered.

    Only one comparison runs at a time, and who comes meanwhile must come again: somebody who tries passwords gets
    one core at most, and never a second thread of the server, which are for those whose passwords are remembered. Only
    one client from *another* address may wait, so that who tries passwords does not keep the others from their first
    comparison.

    The time of an answer does not show who is a user: a name that is none is compared with a hash of one who is, for
    one name always with the same.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = {user: password_hash.encode() for user, password_hash in users.items()}
        self._hashes = list(self._users.values())
        self._salt = os.urandom(16)
        self._turn = Condition()
        self._comparing: tuple[str | None] | None = None
        """The address whose password is being compared, None while none is."""
        self._somebody_waits = False
        # Apart, so that any number of wrong passwords does not push out the right ones.
        self._known: dict[bool, OrderedDict[bytes, None]] = {True: OrderedDict(), False: OrderedDict()}

    def allows(self, request: Request) -> bool:
        """Whether the request carries the name and password of a user. Raises `ServiceUnavailable` when others do."""
        given = credentials_of(request)
        if given is None or given.type != "basic" or given.username is None or given.password is None:
            return False
        user, password = given.username, given.password.encode()
        key = self._credentials_key(user.encode(), password)
        if (verdict := self._remembered_verdict(key)) is not None:
            return verdict
        with self._in_turn(request.remote_addr):
            if (verdict := self._remembered_verdict(key)) is None:
                verdict = self._password_matches(user, password)
                self._remember_verdict(key, verdict)
        return verdict

    def _remembered_verdict(self, key: bytes) -> bool | None:
        # The keys are hashes with a key of ours: how long a look takes shows nothing about a password.
        return next((verdict for verdict, known in self._known.items() if key in known), None)

    @contextlib.contextmanager
    def _in_turn(self, address: str | None) -> Iterator[None]:
        """Be the only one who compares. Raises `ServiceUnavailable`."""
        with self._turn:
            if self._comparing is not None or self._somebody_waits:
                self._wait_for_turn(address)
            self._comparing = (address,)
        try:
            yield
        finally:
            with self._turn:
                self._comparing = None
                self._turn.notify()

    def _wait_for_turn(self, address: str | None) -> None:
        if self._somebody_waits or self._comparing == (address,):
            raise ServiceUnavailable(retry_after=RETRY_AFTER_SECONDS)
        self._somebody_waits = True
        try:
            if not self._turn.wait_for(lambda: self._comparing is None, TURN_SECONDS):
                raise ServiceUnavailable(retry_after=RETRY_AFTER_SECONDS)
        finally:
            self._somebody_waits = False

    def _password_matches(self, user: str, password: bytes) -> bool:
        password_hash = self._users.get(user)
        try:
            matches = bcrypt.checkpw(password[:_LONGEST], password_hash or self._stand_in(user))
        except ValueError:  # a NUL byte
            return False
        return matches and password_hash is not None

    def _stand_in(self, user: str) -> bytes:
        """A hash for a name that is no user's; the costs of users' hashes may differ, so not the same for all names."""
        return self._hashes[int.from_bytes(self._credentials_key(user.encode(), b"")) % len(self._hashes)]

    def _credentials_key(self, user: bytes, password: bytes) -> bytes:
        # Only hashes are kept: a dump of the memory does not show passwords.
        digest = hashlib.blake2b(key=self._salt, digest_size=32)
        for part in (user, password):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()

    def _remember_verdict(self, key: bytes, verdict: bool) -> None:
        known = self._known[verdict]
        known[key] = None
        if len(known) > _REMEMBERED:
            known.popitem(last=False)

"""Basic authentication against bcrypt hashes."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

import bcrypt
from werkzeug import Request

_REMEMBERED = 100
_LONGEST = 72
"""Bytes of a password that bcrypt looks at; the library refuses longer ones, other tools cut them off."""


class BasicAuth:
    """Checks requests. A hash takes bcrypt tens of milliseconds by design: results are remembered.

    A user who does not exist is compared all the same, so that the time of an answer does not tell who does. Only one
    comparison runs at a time: somebody who tries passwords gets one core at most, and never delays those that are
    remembered.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = {user: password_hash.encode() for user, password_hash in users.items()}
        self._stand_in = next(iter(self._users.values()))
        self._salt = os.urandom(16)
        self._comparing = Lock()
        # Apart, so that any number of wrong passwords does not push out the right ones.
        self._known: dict[bool, OrderedDict[bytes, None]] = {True: OrderedDict(), False: OrderedDict()}

    def allows(self, request: Request) -> bool:
        """Whether the request carries the name and password of a user."""
        given = request.authorization
        if given is None or given.type != "basic" or given.username is None or given.password is None:
            return False
        user, password = given.username, given.password.encode()
        key = self._key(user.encode(), password)
        for verdict, known in self._known.items():
            if key in known:
                return verdict
        with self._comparing:
            verdict = self._matches(user, password)
            self._remember(key, verdict)
        return verdict

    def _matches(self, user: str, password: bytes) -> bool:
        password_hash = self._users.get(user)
        try:
            matches = bcrypt.checkpw(password[:_LONGEST], password_hash or self._stand_in)
        except ValueError:  # a NUL byte
            return False
        return matches and password_hash is not None

    def _key(self, user: bytes, password: bytes) -> bytes:
        # Only hashes are kept: a dump of the memory does not show passwords.
        digest = hashlib.blake2b(key=self._salt, digest_size=32)
        for part in (user, password):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()

    def _remember(self, key: bytes, verdict: bool) -> None:
        known = self._known[verdict]
        known[key] = None
        if len(known) > _REMEMBERED:
            known.popitem(last=False)

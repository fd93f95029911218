"""Logins that DVRs refused, counted across restarts: a wrong password is sent a few times, and then no more.

DVRs lock an account after some wrong passwords, five is usual, and then keep out the agent as well.

1. Before a probe sends user and password, that is counted and on the disk: one that is killed meanwhile did send them.
2. Where the DVR takes them the count is 0 again, and nothing is written any more until it refuses them.
3. Where it refuses them the count stays; where it does not answer, it is as it was before.
4. At `MAX_REFUSED` they are not sent until user, password or address change, or somebody says so (``vv dvr login``).

Each stream has its count, and those of one DVR that share user and password have another together: the sixteen channels
of a recorder are one account. One channel that is refused while others are let in keeps none of them out.

What is counted is known by a digest that shows nobody the password: of eight hexadecimal digits, salted, and by scrypt
(RFC 7914), so that each guess takes some hundredths of a second.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import shlex
import threading
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from vv_core.common.texts import many
from vv_exporter.metrics.dvr import DVR_UP
from vv_exporter.probes.rtsp import HeldBackError, Logins, NotAskedError
from vv_exporter.settings import Dvr
from vv_exporter.state.database import StoreError
from vv_exporter.state.dvrs import MAX_LINKS
from vv_exporter.state.store import Kind, Store, Transaction

MAX_REFUSED = 3
"""Refused logins in a row, after which no further one is sent."""

_SCRYPT_COST = 1 << 13  # with blocks of 1 KiB: 8 MiB and some 25 ms


class Count(msgspec.Struct, frozen=True):
    """How many logins were sent that were not taken, and for which DVRs of the configuration."""

    sent: int
    dvrs: tuple[str, ...]


class Salt(msgspec.Struct, frozen=True):
    """What makes the digests of this device its own, hexadecimal."""

    salt: str


COUNTS: Kind[Count] = Kind("dvr_login", Count, limit=2 * MAX_LINKS, family=DVR_UP)
SALT: Kind[Salt] = Kind("dvr_login_salt", Salt)


def allow_again(tx: Transaction, dvr: str) -> None:
    """Somebody says that the DVR takes user and password by now: they are sent anew."""
    for key, count in tx.docs(COUNTS).items():
        if dvr in count.dvrs:
            tx.delete(COUNTS, key)


class Account:
    """What is counted together. At most one probe at a time logs in, as long as none was let in."""

    def __init__(self, store: Store, dvrs: Iterable[str], credentials: Sequence[object]) -> None:
        self.proven = False
        """Whether the latest login of this process was taken."""
        self.turn = threading.Lock()
        self._store = store
        self._dvrs = tuple(dvrs)
        self._credentials = "\0".join(map(str, credentials))
        self._digest = ""
        self._unwritten = 0

    def key(self, tx: Transaction) -> str:
        """The digest of what is sent. It takes its time, once."""
        if not self._digest:
            known = tx.get(SALT, "")
            if known is None:
                known = Salt(secrets.token_hex(16))
                tx.put(SALT, "", known)
            salted, salt = self._credentials.encode(), bytes.fromhex(known.salt)
            self._digest = hashlib.scrypt(salted, salt=salt, n=_SCRYPT_COST, r=8, p=1, dklen=4).hex()
        return self._digest

    def sent(self, tx: Transaction) -> int:
        """How many logins were sent that were not taken."""
        count = tx.get(COUNTS, self.key(tx))
        return (0 if count is None else count.sent) + self._unwritten

    def add(self, tx: Transaction, logins: int) -> None:
        """Count some more, or fewer."""
        known = tx.get(COUNTS, self.key(tx))
        now = (0 if known is None else known.sent) + logins
        if now > 0:
            tx.put(COUNTS, self.key(tx), Count(now, self._dvrs))
        elif known is not None:
            tx.delete(COUNTS, self.key(tx))

    def add_unwritten(self, logins: int) -> None:
        """Count where nothing can be written: until this process ends."""
        self._unwritten = max(self._unwritten + logins, 0)

    def let_in(self) -> None:
        """The DVR took user and password."""
        with contextlib.suppress(StoreError), self._store.transaction() as tx:
            tx.delete(COUNTS, self.key(tx))
        self.proven, self._unwritten = True, 0


class CountedLogins(Logins):
    """The logins of a DVR's probes, by the rules of this module."""

    def __init__(self, name: str, store: Store, accounts: Sequence[Account]) -> None:
        self._name = name
        self._store = store
        self._accounts = accounts
        self._counted: list[Account] = []
        self._sent = 0

    def send(self, seconds: float) -> None:
        """Count a login that is sent next. Raises `HeldBackError`, or `NotAskedError` when others take their turn."""
        for account in self._accounts:
            if not account.proven and account not in self._counted:
                if not account.turn.acquire(timeout=seconds):
                    raise NotAskedError("another probe logs in by the same account, and has no answer")
                self._counted.append(account)
        if self._counted:
            self._count_logins(1)
        self._sent += 1

    def _count_logins(self, logins: int) -> None:
        try:
            with self._store.transaction() as tx:
                sent = max(account.sent(tx) for account in self._counted)
                if logins > 0 and sent >= MAX_REFUSED:
                    raise HeldBackError(_held_back(sent, self._name))
                for account in self._counted:
                    account.add(tx, logins)
        except StoreError:
            for account in self._counted:
                account.add_unwritten(logins)

    def settle(self, *, taken: bool | None) -> None:
        """Say how the logins since the last time ended: whether they were taken, None if nobody answered."""
        sent, self._sent = self._sent, 0
        try:
            if sent and taken:
                for account in self._accounts:
                    if not account.proven:
                        account.let_in()
            elif sent and taken is None and self._counted:
                self._count_logins(-sent)
            elif sent and taken is False:
                self._count_refused(sent)
        finally:
            for account in self._counted:
                account.turn.release()
            self._counted = []

    def _count_refused(self, sent: int) -> None:
        """Those that had been let in before were not counted when they were sent."""
        counted, fresh = self._counted, [one for one in self._accounts if one not in self._counted]
        self._counted = fresh
        if fresh:
            self._count_logins(sent)
        self._counted = counted
        for account in self._accounts:
            account.proven = False


def _held_back(refused: int, dvr: str) -> str:
    return (
        f"refused user or password {many(refused, 'time')}; they are not sent again, so that it does not lock the "
        f"account: correct them here, or when the DVR takes them by now: vv dvr login {shlex.quote(dvr)}"
    )


def logins_of(dvrs: Mapping[str, Dvr], store: Store) -> dict[str, CountedLogins]:
    """The logins of each DVR of the configuration. What was counted for others is forgotten."""
    shared: dict[tuple[object, ...], list[str]] = {}
    for name, dvr in dvrs.items():
        shared.setdefault(_login_account(dvr), []).append(name)
    accounts = {
        key: Account(store, names, (*key, *sorted(dvrs[name].target for name in names)))
        for key, names in shared.items()
    }
    streams = {name: Account(store, [name], (*_login_account(dvr), "", dvr.target)) for name, dvr in dvrs.items()}
    _forget_others(store, [*accounts.values(), *streams.values()])
    return {
        name: CountedLogins(name, store, (streams[name], accounts[_login_account(dvr)])) for name, dvr in dvrs.items()
    }


def _login_account(dvr: Dvr) -> tuple[object, ...]:
    return dvr.host.lower(), dvr.port, dvr.username, dvr.password.value


def _forget_others(store: Store, accounts: Iterable[Account]) -> None:
    if not store.docs(COUNTS):
        return
    with contextlib.suppress(StoreError), store.transaction() as tx:
        keys = {account.key(tx) for account in accounts}
        for key in tx.docs(COUNTS).keys() - keys:
            tx.delete(COUNTS, key)

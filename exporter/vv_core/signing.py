"""HMAC-SHA256 signatures with key ids and rotation (RFC 2104), over exact bytes or canonical JSON (RFC 8785).

signed = sign_payload(logline, video=video)     # the object, with a member "signature"
verify_signature(signed)                        # True

signature = sign_payload(data)                  # of bytes: the signature alone
verify_signature(data, signature)               # True

signed = sign_payload(logline, chain="loglines")  # numbered, and bound to the line before
check_chain(open("loglines.jsonl"))             # which lines are missing, doubled, out of order, changed: vv_core.chain

A signature is the JSON object ``{"alg": "HMAC-SHA256", "form": …, "key_id": …, "mac": …, "v": 1}``. ``form`` is
``bytes`` or ``jcs``. ``mac`` is, in lower-case hexadecimal, the HMAC-SHA256 of the signature without its ``mac`` in
canonical JSON, a line feed, and the message: version, form and key id are signed too. The message of the form ``jcs``
is the object's canonical JSON, without its member ``signature``.

A key is a file; its id is the file's name without ``.key``. What the file holds, without a line break at its end, is
the key: ``openssl rand -hex 32 > /etc/vv/keys/2026-01.key``. ``VV_HMAC_KEY_FILE`` names the key that signs. It also
verifies, as do all keys ``*.key`` of the folder ``VV_HMAC_KEYS_DIR``. To rotate, add a key to the folder wherever
signatures are verified, then let ``VV_HMAC_KEY_FILE`` name it; take the old one away when nothing is left that was
signed with it.
"""

from __future__ import annotations

import os
import stat
from itertools import islice
from threading import Lock

from vv_core import _reported, _subject
from vv_core.common import environment, journals, sdklog, texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from vv_core.chain import Report

VERSION = 1
ALGORITHM = "HMAC-SHA256"
MIN_KEY = 16
"""Shortest key that is accepted, in bytes."""
GOOD_KEY = 32
"""Shortest key without a warning: the hash's length (RFC 2104, section 3)."""
SIGNATURE = "signature"
"""The member of an object that holds its signature, and that is not signed itself."""
CHAIN = "chain"
"""The member of an object that holds its link of a chain; signed as the others are."""
MAX_VALUES = 1_000_000
"""Values of an object that is signed, those within each other included: what others made may have no end."""

_MAX_KEY_FILE = 4096
_SUFFIX = ".key"
_ID_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_HEX = frozenset("0123456789abcdef")


class SigningError(Exception):
    """There is no signature: `reason` says why in a word or two, the text in a sentence. It never shows a key."""

    def __init__(self, reason: str, message: str, key_id: str = "") -> None:
        super().__init__(reason, message, key_id)
        self.reason, self.message, self.key_id = reason, message, key_id

    def __str__(self) -> str:
        return self.message


class SignatureError(SigningError):
    """The signature does not verify."""


class _Key:
    """A key, which does not show itself, and what of a signature only depends on it."""

    __slots__ = ("headers", "id", "secret")

    def __init__(self, key_id: str, secret: bytes) -> None:
        self.id = key_id
        self.secret = secret
        self.headers = {form: _signature_header(key_id, form) for form in ("bytes", "jcs")}


def sign_payload(
    payload: Mapping[str, Any] | bytes | bytearray | memoryview,
    *,
    key_file: str | os.PathLike[str] | None = None,
    component: str | None = None,
    video: str | bytes | os.PathLike[str] | None = None,
    video_sha256: str | None = None,
    chain: str | None = None,
) -> dict[str, Any]:
    """Sign bytes, and return the signature; or a JSON object, and return a copy of it with its ``signature``.

    An object may have only what RFC 8785 can write: no NaN, no integers of 2⁵³ or more (write such as text), and at
    most `MAX_VALUES` values. A member ``signature`` that it has already is replaced. `key_file` is by default what
    ``VV_HMAC_KEY_FILE`` names; `component`, `video` and `video_sha256` are those of the surrounding stage.

    `chain` names a chain, ``[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}``: the object gets a member ``chain`` with its number and
    the MAC of the line before it, whichever process of this device signed that (``docs/chain.md``). Write the line
    before the same thread signs the next one; if you cannot, say so with `not_written`. Where the chain cannot be
    continued (a full disk, a folder that is read-only, two seconds in which others hold its head) the object is signed
    all the same, says so in its member ``chain``, and that is counted and logged: signing never waits for the chain.

    Each call is counted. Raises `SigningError`, and nothing else, if there can be no signature; that is logged on
    ``vv_core.signing``, too.
    """
    who = _subject.reporter(component)
    try:
        key = _signing_key(key_file)
        signed = _signed_payload(payload, key) if chain is None else _chained_payload(payload, key, chain, who)
    except texts.ENDS:
        raise
    except BaseException as error:
        failure = _signing_failure(error, SigningError)
        _tell_failure("sign", failure, who, _subject.video_fields(video, video_sha256))
        raise failure from None
    about = _subject.video_fields(video, video_sha256)
    journals.emit("hmac", who, {"operation": "sign", "result": "ok", "key_id": key.id, **about})
    return signed


def not_written(signed: Mapping[str, Any]) -> None:
    """Say that this object, signed into a chain, will not come to the log: nobody is accused that it is missing.

    Raises nothing. What has no link is passed over.
    """
    from vv_core import _chains

    link = None
    try:
        link = signed.get(CHAIN)
        if isinstance(link, dict) and "number" in link:
            _chains.give_back(link)
    except texts.ENDS:
        raise
    except BaseException as error:
        sdklog.log("vv_core.signing", "warning", "that line %s is not written cannot be kept: %s", link, error)


def check_chain(
    lines: Iterable[str | bytes | Mapping[str, Any]],
    *,
    key_file: str | os.PathLike[str] | None = None,
    keys_dir: str | os.PathLike[str] | None = None,
    from_start: bool = False,
) -> Report:
    """What is wrong with a log of chained lines, and which line it is; see `vv_core.chain`.

    A line may be anything: what is no JSON object is told as unreadable. Raises `TypeError` for `lines` that are no
    lines (a text or an object by itself, or what cannot be iterated), and whatever iterating raises.
    """
    from collections.abc import Mapping

    from vv_core.chain import ChainCheck

    if issubclass(type(lines), str | bytes | Mapping):  # isinstance asks hostile objects
        raise TypeError("lines is one text or object, not lines; e.g. open(path, 'rb') or text.splitlines()")
    try:
        numbered = enumerate(lines, 1)
    except texts.ENDS:
        raise
    except BaseException as error:
        raise TypeError("lines cannot be iterated") from error
    check = ChainCheck(key_file=key_file, keys_dir=keys_dir, from_start=from_start)
    for number, line in numbered:
        check.add(line, f"line {number}")
    return check.finish()


def verify_signature(
    payload: object,
    signature: object = None,
    *,
    key_file: str | os.PathLike[str] | None = None,
    keys_dir: str | os.PathLike[str] | None = None,
    component: str | None = None,
    video: str | bytes | os.PathLike[str] | None = None,
    video_sha256: str | None = None,
) -> bool:
    """Whether `signature` (by default the object's own member ``signature``) is one of `payload`, whatever they are.

    See `check_signature`, which raises instead. Raises nothing.
    """
    try:
        check_signature(
            payload,
            signature,
            key_file=key_file,
            keys_dir=keys_dir,
            component=component,
            video=video,
            video_sha256=video_sha256,
        )
    except SignatureError:
        return False
    return True


def check_signature(
    payload: object,
    signature: object = None,
    *,
    key_file: str | os.PathLike[str] | None = None,
    keys_dir: str | os.PathLike[str] | None = None,
    component: str | None = None,
    video: str | bytes | os.PathLike[str] | None = None,
    video_sha256: str | None = None,
) -> str:
    """Return the id of the key that `payload` was signed with. Raises `SignatureError` if the signature is not right.

    Its `reason` is one of ``unsigned``, ``malformed``, ``version`` (of a signature newer than this module),
    ``unknown_key``, ``key`` (the key cannot be used), ``payload`` (that can have no signature), and ``mismatch``:
    changed data, or another key. MACs are compared in constant time. Each call is counted, and a failure is logged
    on ``vv_core.signing``.
    """
    who = _subject.reporter(component)
    try:
        key_id = _verified_key_id(payload, signature, key_file, keys_dir)
    except texts.ENDS:
        raise
    except BaseException as error:
        failure = _signing_failure(error, SignatureError)
        _tell_failure("verify", failure, who, _subject.video_fields(video, video_sha256))
        raise failure from None
    journals.emit("hmac", who, {"operation": "verify", "result": "ok", "key_id": key_id})
    return key_id


def signer_of(
    payload: object,
    signature: object = None,
    *,
    key_file: str | os.PathLike[str] | None = None,
    keys_dir: str | os.PathLike[str] | None = None,
) -> str:
    """As `check_signature`, and nobody is told: for somebody who looks at a document by hand, where a signature that is
    not right is an answer and no failure of a pipeline. Raises `SignatureError`.
    """
    try:
        return _verified_key_id(payload, signature, key_file, keys_dir)
    except texts.ENDS:
        raise
    except BaseException as error:
        raise _signing_failure(error, SignatureError) from None


def _signed_payload(payload: Mapping[str, Any] | bytes | bytearray | memoryview, key: _Key) -> dict[str, Any]:
    form, message = _message_of(payload)
    signature = _build_signature(key, form, _compute_mac(key.secret, key.headers[form] + message))
    return signature if form == "bytes" else _with_signature(payload, signature)  # type: ignore[arg-type]


def _chained_payload(payload: Any, key: _Key, chain: str, component: str) -> dict[str, Any]:
    """`payload` with its link and signature. Raises `SigningError`."""
    from vv_core import _chains

    if not isinstance(chain, str) or not is_id(chain):
        raise SigningError("chain", "a chain's name has letters, digits, '.', '_' and '-', at most 64")
    halves = _around_link(payload)

    def mac_with(link: dict[str, Any]) -> str:
        middle = b'"%s":%s' % (CHAIN.encode(), _canonical_link(link))
        message = b"{%s}" % b",".join(part for part in (halves[0], middle, halves[1]) if part)
        return _compute_mac(key.secret, key.headers["jcs"] + message).hex()

    mac = ""

    def remember(link: dict[str, Any]) -> str:
        nonlocal mac
        mac = mac_with(link)
        return mac

    try:
        link = _chains.extend(chain, remember, key.id)
    except OSError as error:
        reason = _ascii_text(error.strerror or type(error).__name__)
        link = {"name": chain, "outside": reason}
        mac = mac_with(link)
        journals.emit("chain.outside", component, {"chain": chain, "reason": reason}, journals.NEEDED)
        sdklog.log("vv_core.signing", "error", "a line was signed outside the chain %s: %s", chain, reason)
    signature = {"alg": ALGORITHM, "form": "jcs", "key_id": key.id, "mac": mac, "v": VERSION}
    return _with_signature({**dict(islice(payload.items(), MAX_VALUES)), CHAIN: link}, signature)


def _canonical_link(link: dict[str, Any]) -> bytes:
    """Canonical JSON of what has integers and printable ASCII alone: as the standard library writes it, and faster."""
    import json

    return json.dumps(link, sort_keys=True, separators=(",", ":")).encode()


def _around_link(payload: object) -> tuple[bytes, bytes]:
    """The members of canonical JSON before and behind the link: what takes long is done while nobody waits.

    RFC 8785 orders names by their UTF-16 code units.
    """
    if isinstance(payload, bytes | bytearray | memoryview):
        raise SigningError("payload", "only a JSON object has a place for its link of a chain, bytes have none")
    if not hasattr(payload, "items"):
        _message_of(payload)  # says what is wrong with it
    members: dict[str, Any] = dict(islice(payload.items(), MAX_VALUES))  # type: ignore[attr-defined]
    if CHAIN in members and not _is_link(members[CHAIN]):
        raise SigningError("payload", f"the object has a member {CHAIN} of its own, where its link of the chain goes")
    if not all(isinstance(name, str) for name in members):
        _message_of(payload)
    place = CHAIN.encode("utf-16-be")
    halves: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for name, value in members.items():
        if name != CHAIN:
            halves[name.encode("utf-16-be", "surrogatepass") > place][name] = value
    return _message_of(halves[0])[1][1:-1], _message_of(halves[1])[1][1:-1]


def _ascii_text(text: str) -> str:
    return "".join(sign if " " <= sign <= "~" and sign not in '"\\' else "?" for sign in text)


def _is_link(value: object) -> bool:
    return isinstance(value, dict) and "name" in value and ("number" in value or "outside" in value)


def verify_quietly(payload: object, key_file: object = None, keys_dir: object = None) -> str:
    """The id of the key that `payload` was signed with; nothing is counted or logged. Raises `SignatureError`."""
    try:
        return _verified_key_id(payload, None, key_file, keys_dir)
    except texts.ENDS:
        raise
    except BaseException as error:
        raise _signing_failure(error, SignatureError) from None


def _verified_key_id(payload: object, signature: object, key_file: object, keys_dir: object) -> str:
    if signature is None and hasattr(payload, "get"):
        signature = payload.get(SIGNATURE)
    if signature is None:
        raise SignatureError("unsigned", "there is no signature")
    key_id, form, mac = _read_signature(signature)
    key = _verifying_key(key_id, key_file, keys_dir)
    actual, message = _message_of(payload)
    if actual != form:
        raise SignatureError("mismatch", f"the signature is one of {form}, the payload is {actual}", key_id)
    import hmac

    if not hmac.compare_digest(_compute_mac(key.secret, key.headers[form] + message).hex().encode(), mac.encode()):
        raise SignatureError(
            "mismatch", "the signature does not fit: the data was changed, or the key is another", key_id
        )
    return key_id


def _signing_failure(error: BaseException, kind: type[SigningError]) -> SigningError:
    """`error` as one of ours; the text of others is not passed on, for it might show what it is about."""
    if isinstance(error, SigningError):
        return error if isinstance(error, kind) else kind(error.reason, error.message, error.key_id)
    return kind("internal", f"unexpected {texts.kind(error)}")


def _tell_failure(operation: str, failure: SigningError, component: str, about: dict[str, object]) -> None:
    fields: dict[str, object] = {"operation": operation, "result": "failed", "reason": failure.reason}
    if failure.key_id:
        fields["key_id"] = failure.key_id
    journals.emit("hmac", component, {**fields, "error": failure.message, **about}, journals.NEEDED)
    _reported.mark_reported(failure)
    text = "hmac %s failed: %s: %s; key: %s; video: %s"
    key_id, video = failure.key_id or "unknown", about.get("video", "unknown")
    sdklog.log("vv_core.signing", "critical", text, operation, failure.reason, failure.message, key_id, video)


def _compute_mac(secret: bytes, message: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104, FIPS 180-4)."""
    import hmac

    return hmac.digest(secret, message, "sha256")


def _build_signature(key: _Key, form: str, mac: bytes) -> dict[str, Any]:
    return {"alg": ALGORITHM, "form": form, "key_id": key.id, "mac": mac.hex(), "v": VERSION}


def _signature_header(key_id: str, form: str) -> bytes:
    """The signature without its MAC, canonical: names in order, and nothing that has to be escaped."""
    return f'{{"alg":"{ALGORITHM}","form":"{form}","key_id":"{key_id}","v":{VERSION}}}\n'.encode()


def _message_of(payload: object) -> tuple[str, bytes]:
    """The form and the bytes that are signed. Raises `SigningError`."""
    if isinstance(payload, bytes | bytearray | memoryview):
        return "bytes", bytes(payload)
    if not hasattr(payload, "items"):
        raise SigningError("payload", f"bytes or a JSON object can be signed, not {type(payload).__name__}")
    import rfc8785

    try:
        members = _Copy().mapping((name, value) for name, value in payload.items() if name != SIGNATURE)
        return "jcs", rfc8785.dumps(members)
    except SigningError:
        raise
    except Exception as error:
        # Not its text: that may quote the data, which need not be fit for a log.
        raise SigningError("payload", f"the object has no canonical JSON (RFC 8785): {type(error).__name__}") from None


def _with_signature(payload: Mapping[str, Any], signature: dict[str, Any]) -> dict[str, Any]:
    return {**dict(islice(payload.items(), MAX_VALUES)), SIGNATURE: signature}


class _Copy:
    """Plain dicts and lists with the same content: those of others need not have an end."""

    def __init__(self) -> None:
        self._values = 0

    def mapping(self, items: Iterable[tuple[str, object]]) -> dict[str, Any]:
        """Raises `SigningError` for more than `MAX_VALUES` values, those within each other included."""
        return {name: self._value(value) for name, value in items}

    def _value(self, value: object) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise SigningError("payload", f"the object has more than {MAX_VALUES:,} values")
        if isinstance(value, dict):
            return self.mapping(value.items())
        if isinstance(value, list | tuple):
            return [self._value(one) for one in value]
        return value


def _read_signature(signature: object) -> tuple[str, str, str]:
    """Key id, form and MAC. Raises `SignatureError`."""
    if not isinstance(signature, dict):
        raise SignatureError("malformed", "the signature is no JSON object")
    version = signature.get("v")
    if type(version) is not int or version != VERSION:
        raise SignatureError("version", f"the signature's version is {texts.line(version, 50)}, known is {VERSION}")
    key_id, form, mac = signature.get("key_id"), signature.get("form"), signature.get("mac")
    well_formed = (
        signature.keys() == {"alg", "form", "key_id", "mac", "v"}
        and signature["alg"] == ALGORITHM
        and form in ("bytes", "jcs")
        and is_id(key_id)
        and isinstance(mac, str)
        and len(mac) == 64
        and _HEX.issuperset(mac)
    )
    if not well_formed:
        raise SignatureError("malformed", "the signature has not the fields of its version")
    return str(key_id), str(form), str(mac)


def is_id(key_id: object) -> bool:
    """Whether this may be the id of a key, or the name of a chain."""
    return (
        isinstance(key_id, str)
        and 0 < len(key_id) <= 64
        and _ID_ALPHABET.issuperset(key_id)
        and not key_id.startswith(".")
    )


# Keys: files that are read again when they change.

_keys: dict[str, tuple[tuple[int, ...], _Key]] = {}
_warned: set[tuple[str, str]] = set()
_lock = Lock()
_CACHED = 64


def _signing_key(key_file: object) -> _Key:
    path = key_file or environment.path("VV_HMAC_KEY_FILE")
    if not path:
        raise SigningError("key", "no key to sign with: let VV_HMAC_KEY_FILE name its file")
    return _load_key(os.fsdecode(path))  # type: ignore[arg-type]


def _verifying_key(key_id: str, key_file: object, keys_dir: object) -> _Key:
    own = key_file or environment.path("VV_HMAC_KEY_FILE")
    folder = keys_dir or environment.path("VV_HMAC_KEYS_DIR")
    if not own and not folder:
        raise SigningError("key", "no key to verify with: set VV_HMAC_KEY_FILE or VV_HMAC_KEYS_DIR", key_id)
    if own and _key_id(os.fsdecode(own)) == key_id:  # type: ignore[arg-type]
        return _load_key(os.fsdecode(own))  # type: ignore[arg-type]
    path = os.path.join(os.fsdecode(folder), key_id + _SUFFIX) if folder else ""  # type: ignore[arg-type]
    if not path or not os.path.lexists(path):
        raise SigningError("unknown_key", f"there is no key {key_id}", key_id)
    return _load_key(path)


def _key_id(path: str) -> str:
    return os.path.basename(path).removesuffix(_SUFFIX)


def _load_key(path: str) -> _Key:
    """The key of a file, read again when it has changed. Raises `SigningError`."""
    key_id = _key_id(path)
    if not is_id(key_id):
        allowed = "letters, digits, '.', '_' and '-', at most 64, not beginning with '.'"
        raise SigningError("key", f"{texts.path(path, 300)}: its name is no key id: {allowed}")
    try:
        status = os.stat(path)
        state = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode
        known = _keys.get(path)
        if known is not None and known[0] == state:
            return known[1]
        secret = _read_secret(path, status)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SigningError("key", f"{texts.path(path, 300)} cannot be read: {reason}", key_id) from None
    key = _Key(key_id, _check_key(path, key_id, secret, status))
    with _lock:
        while len(_keys) >= _CACHED:
            del _keys[next(iter(_keys))]
        _keys[path] = state, key
    return key


def _read_secret(path: str, status: os.stat_result) -> bytes:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "it is no file")
    with open(path, "rb") as file:
        content = file.read(_MAX_KEY_FILE + 1)
    if content.endswith(b"\n"):
        content = content[:-1].removesuffix(b"\r")
    return content


def _check_key(path: str, key_id: str, secret: bytes, status: os.stat_result) -> bytes:
    name = texts.path(path, 300)
    if not MIN_KEY <= len(secret) <= _MAX_KEY_FILE:
        problem = f"holds {texts.many(min(len(secret), _MAX_KEY_FILE), 'byte')}; a key has {MIN_KEY} to {_MAX_KEY_FILE}"
        raise SigningError("key", f"{name} {problem}: openssl rand -hex 32", key_id)
    if len(secret) < GOOD_KEY:
        _warn_once(path, f"{name} holds a short key: {texts.many(len(secret), 'byte')}; {GOOD_KEY} are better")
    if status.st_mode & 0o066:
        mode = stat.filemode(status.st_mode)
        _warn_once(path, f"{name} can be read by others ({mode}): chmod 600 it, and take a new key")
    return secret


def _warn_once(path: str, text: str) -> None:
    """Once in a process."""
    if (path, text) not in _warned and len(_warned) < _CACHED:
        _warned.add((path, text))
        sdklog.log("vv_core.signing", "warning", "%s", text)

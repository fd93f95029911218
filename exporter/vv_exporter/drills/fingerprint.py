"""Whether a channel still leads to where it led when it was proven, without keeping where that is.

A fingerprint is a salt and, derived with it, a digest of the channel's address and credentials (PBKDF2, RFC 8018), of
which 32 bits are kept: enough to notice a change, and far too few to know which of many guesses was right.
"""

from __future__ import annotations

import hashlib
import hmac
import os

_ROUNDS = 20_000  # about 10 ms, once a channel and start
_SALT_BYTES, _DIGEST_BYTES = 8, 4


def fingerprint(address: str) -> str:
    """A new fingerprint of it."""
    salt = os.urandom(_SALT_BYTES)
    return salt.hex() + _address_digest(address, salt)


def fits(known: str, address: str) -> bool:
    """Whether a fingerprint is of this address. One that cannot be read is not."""
    try:
        salt = bytes.fromhex(known)[:_SALT_BYTES]
    except ValueError:
        return False
    return hmac.compare_digest(known.encode(), (salt.hex() + _address_digest(address, salt)).encode())


def _address_digest(address: str, salt: bytes) -> str:
    return hashlib.pbkdf2_hmac("sha256", address.encode(errors="surrogatepass"), salt, _ROUNDS, _DIGEST_BYTES).hex()

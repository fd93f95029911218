"""Signing and verifying with Ed25519 (RFC 8032) by OpenSSL's command, 1.1.1 or newer.

Neither Python nor what is installed here has Ed25519. The command is there wherever certificates are checked (Debian's
ca-certificates, and so the image, depend on it), for every architecture, and gets its fixes from the distribution; a
library would be some MB more on every device for one signature in ten minutes. What it reads is in memory alone, so
that a full disk keeps nobody from verifying.
"""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

_SECONDS = 20.0
SIGNATURE_BYTES = 64


class OpensslError(Exception):
    """The command is missing, or does not do what is asked; the message is for people."""


def verify(key: str, signature: bytes, document: bytes) -> bool:
    """Whether the document was signed so by the holder of the key (base64 of DER). Raises `OpensslError`, `OSError`."""
    if len(signature) != SIGNATURE_BYTES or not document:
        return False
    pem = f"-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n".encode()
    with _in_memory(pem) as key_fd, _in_memory(signature) as signature_fd, _in_memory(document) as document_fd:
        done = _run_openssl(
            "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", _path_of(key_fd), "-sigfile", _path_of(signature_fd),
            "-in", _path_of(document_fd), descriptors=(key_fd, signature_fd, document_fd),
        )  # fmt: skip
    # Some other failure must not look like a bad signature, and least of all like a good one.
    if done.returncode == 0 and b"Verified Successfully" in done.stdout:
        return True
    if b"Verification Failure" in done.stdout:
        return False
    raise OpensslError(f"openssl cannot verify: {_last_line(done.stderr)}")


def sign(private_key: Path, document: bytes) -> bytes:
    """The signature; asks for the key's passphrase where it has one. Raises `OpensslError`, `OSError`."""
    with _in_memory(document) as descriptor:
        done = _run_openssl(
            "pkeyutl", "-sign", "-rawin", "-inkey", private_key, "-in", _path_of(descriptor), descriptors=(descriptor,),
            may_ask=True,
        )  # fmt: skip
    if done.returncode or len(done.stdout) != SIGNATURE_BYTES:
        raise OpensslError(f"{private_key} cannot sign: {_last_line(done.stderr)}; is it a key of `vv fleet keygen`?")
    return done.stdout


def make_private_key(file: Path) -> None:
    """Write a new key, which nobody else may read, where there is nothing yet. Raises `OpensslError`, `OSError`."""
    done = _run_openssl("genpkey", "-algorithm", "ed25519")
    if done.returncode:
        raise OpensslError(f"openssl cannot make a key: {_last_line(done.stderr)}")
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
        out.write(done.stdout)
        out.flush()
        os.fsync(out.fileno())


def public_key(private_key: Path) -> str:
    """Its public key: DER in base64. Raises `OpensslError`, `OSError`."""
    done = _run_openssl("pkey", "-in", private_key, "-pubout", "-outform", "DER", may_ask=True)
    if done.returncode:
        raise OpensslError(f"{private_key} cannot be read: {_last_line(done.stderr)}")
    return base64.b64encode(done.stdout).decode()


def _run_openssl(
    *arguments: str | Path, descriptors: tuple[int, ...] = (), may_ask: bool = False
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["openssl", *map(str, arguments)],
            capture_output=True,
            stdin=None if may_ask else subprocess.DEVNULL,
            timeout=None if may_ask else _SECONDS,
            pass_fds=descriptors,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError:
        raise OpensslError("the command openssl, which makes and checks signatures, is missing; install it") from None
    except subprocess.TimeoutExpired:
        raise OpensslError(f"openssl has not answered within {_SECONDS:.0f} s") from None


@contextlib.contextmanager
def _in_memory(content: bytes) -> Iterator[int]:
    descriptor = os.memfd_create("vv", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        yield descriptor
    finally:
        os.close(descriptor)


def _path_of(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it does not say why"

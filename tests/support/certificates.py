"""Certificates for servers on loopback, made by OpenSSL's command."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: an authority, and certificates with their keys that it signed."""

    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def make(self, name: str, *, holder: str = "IP:127.0.0.1", days: int = 1) -> None:
        """A certificate of the authority for `holder`, valid for so many days; with -1 it ran out yesterday."""
        request = self.folder / f"{name}.csr"
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName = {holder}\nauthorityKeyIdentifier = keyid\n")
        _openssl("req", *_NEW_KEY, "-keyout", self.key(name), "-out", request, "-subj", f"/CN={name}")
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", self.key("ca"), "-CAcreateserial",
            "-days", str(days), "-extfile", extensions, "-out", self.certificate(name),
        )  # fmt: skip


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def make_certificates(folder: Path) -> Certificates:
    """An authority, a server's certificate and a client's."""
    made = Certificates(folder)
    _openssl(
        "req", "-x509", *_NEW_KEY, "-keyout", made.key("ca"), "-out", made.authority, "-subj", "/CN=ca", "-days", "1",
        "-addext", "keyUsage = critical, keyCertSign",
    )  # fmt: skip
    made.make("server")
    made.make("client")
    return made


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

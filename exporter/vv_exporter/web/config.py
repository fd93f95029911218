"""The file of `--web.config.file`: TLS, users and headers, in the format of Prometheus' exporter-toolkit.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. What this server cannot honour
is refused: a restriction that is written down but not in force would be worse than none.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from vv_exporter.settings import load_yaml

_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_CHOICES: Mapping[str, Collection[str]] = {
    "client_auth_type": _CLIENT_AUTH.keys(),
    "min_version": _VERSIONS.keys(),
    "max_version": _VERSIONS.keys(),
}


class WebConfigError(ValueError):
    """The file cannot be used; the message is one line that names the file, the key and the cure."""


class TLSConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`tls_server_config`; the files are read again when they change. Raises `ValueError` for a contradiction."""

    cert_file: Path
    key_file: Path
    client_auth_type: str = "NoClientCert"
    client_ca_file: Path | None = None
    min_version: str = "TLS12"
    max_version: str = "TLS13"

    def __post_init__(self) -> None:
        for key, allowed in _CHOICES.items():
            if getattr(self, key) not in allowed:
                raise ValueError(f"{key}: {getattr(self, key)!r} is not supported; choose {' or '.join(allowed)}")
        if self.min_version > self.max_version:
            raise ValueError("min_version: is above max_version; lower it")
        if self.client_auth_type != "NoClientCert" and self.client_ca_file is None:
            raise ValueError(f"client_ca_file: is missing, but client_auth_type is {self.client_auth_type}; name it")
        if self.client_auth_type == "NoClientCert" and self.client_ca_file is not None:
            raise ValueError("client_auth_type: must be RequireAndVerifyClientCert for client_ca_file to have effect")

    def below(self, folder: Path) -> TLSConfig:
        """The same with relative paths taken from `folder`."""
        return msgspec.structs.replace(
            self,
            cert_file=folder / self.cert_file,
            key_file=folder / self.key_file,
            client_ca_file=folder / self.client_ca_file if self.client_ca_file else None,
        )

    def files(self) -> dict[str, Path]:
        """The files by key."""
        named = {"cert_file": self.cert_file, "key_file": self.key_file, "client_ca_file": self.client_ca_file}
        return {key: path for key, path in named.items() if path is not None}

    def context(self) -> ssl.SSLContext:
        """What the files hold now. Raises `ValueError`, naming the key, when one of them cannot be used."""
        for key, path in self.files().items():
            try:
                path.read_bytes()
            except OSError as error:
                raise ValueError(f"{key}: {path} cannot be read ({error.strerror})") from error
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[self.min_version]
        context.maximum_version = _VERSIONS[self.max_version]
        context.verify_mode = _CLIENT_AUTH[self.client_auth_type]
        try:
            # Without a password to give, OpenSSL would ask for one on the terminal.
            context.load_cert_chain(self.cert_file, self.key_file, password=_no_password)
        except (ssl.SSLError, OSError) as error:
            raise ValueError(f"cert_file, key_file: cannot be used together ({_reason_of(error)})") from error
        if self.client_ca_file is not None:
            try:
                context.load_verify_locations(self.client_ca_file)
            except (ssl.SSLError, OSError) as error:
                raise ValueError(f"client_ca_file: holds no usable certificate ({_reason_of(error)})") from error
        return context


class HTTPConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`http_server_config`. Raises `ValueError` for a header that cannot be set."""

    headers: dict[str, str] = {}
    http2: bool = False

    def __post_init__(self) -> None:
        if self.http2:
            raise ValueError("http2: is not spoken by this server; set it to false or remove it")
        for name, value in self.headers.items():
            if name not in _HEADERS:
                raise ValueError(f"headers.{name}: cannot be set; only {', '.join(_HEADERS)} can")
            if _HEADERS[name] and value not in _HEADERS[name]:
                raise ValueError(f"headers.{name}: must be {' or '.join(_HEADERS[name])}")
            if not value.isprintable() or not value.isascii():
                raise ValueError(f"headers.{name}: must be one line of ASCII")


class WebConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the server is secured; an empty file secures nothing. Raises `ValueError` for a user without a hash."""

    tls_server_config: TLSConfig | None = None
    http_server_config: HTTPConfig = HTTPConfig()
    basic_auth_users: dict[str, str] = {}

    def __post_init__(self) -> None:
        for user, password_hash in self.basic_auth_users.items():
            if not _BCRYPT.fullmatch(password_hash):
                raise ValueError(f'basic_auth_users.{user}: is no bcrypt hash; make one with htpasswd -nBC 10 ""')


def load_web_config(path: Path) -> WebConfig:
    """Read and check the file and all that it names. Raises `WebConfigError`."""
    try:
        content = load_yaml(path.read_bytes())
        config = _convert_content(content if content is not None else {})
        if config.tls_server_config is None:
            return config
        tls = config.tls_server_config.below(path.parent)
        try:
            tls.context()
        except ValueError as error:
            raise ValueError(f"tls_server_config.{error}") from error
        return msgspec.structs.replace(config, tls_server_config=tls)
    except OSError as error:
        problem = f"cannot be read ({error.strerror}); name a file that can"
    except yaml.YAMLError as error:
        problem = f"is not valid YAML: {error}"
    except ValueError as error:
        problem = str(error)
    raise WebConfigError(f"{path}: {problem}")


def _convert_content(content: Any) -> WebConfig:
    try:
        return msgspec.convert(content, WebConfig, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        raise ValueError(_plain_problem(str(error))) from error


def _decode_path(type_: type, value: Any) -> Any:
    if type_ is not Path or not isinstance(value, str) or not value:
        raise ValueError("Expected the path of a file")
    return Path(value)


def _plain_problem(message: str) -> str:
    """`Expected ... - at `$.section.key`` as `section.key: expected ...`."""
    text, _, place = message.partition(" - at ")
    path = re.search(r"`\$\.?([^`]*)`", place)
    key = path[1] if path else ""
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", text)
    missing = re.fullmatch(r"Object missing required field `(.*)`", text)
    if unknown:
        return f"{_join_keys(key, unknown[1])}: is unknown or cannot be honoured by this server; remove it"
    if missing:
        return f"{_join_keys(key, missing[1])}: is missing"
    if text.startswith(("Expected", "Invalid")):
        return f"{_join_keys(key)}: {text[0].lower()}{text[1:]}"
    return _join_keys(key, text)


def _join_keys(*parts: str) -> str:
    return ".".join(part for part in parts if part) or "the file"


def _reason_of(error: OSError) -> str:
    return (getattr(error, "reason", None) or error.strerror or str(error)).replace("_", " ").lower()


def _no_password() -> str:
    raise ValueError("key_file: is encrypted; this server cannot ask for its password")

"""How a setting's text is read: a parser a kind. Each raises `ValueError` with the cure, and never quotes a secret."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit
from zoneinfo import ZoneInfo

from vv_core.common.environment import LEAST_LOG
from vv_core.common.units import parse_duration, parse_size
from vv_exporter.common.schedule import comes_twice_an_hour, problem_of
from vv_exporter.common.smallfiles import read_small
from vv_exporter.language import parse as parse_language
from vv_exporter.settings.values import Dvr, FreeSpace, QuietHours, Secret

MAX_KEY_BYTES = 4096
LEAST_QUEUE_BYTES = (32 * 1024 * 1024 + 8) * 16
"""A file of vmagent's queue (`defaultChunkFileSize` in its lib/persistentqueue)."""


def text(value: str) -> str:
    return value


def label(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", value):
        raise ValueError("letters, digits, '.', '_' and '-' only, at most 63, beginning with a letter or digit")
    return value


def language(value: str) -> str:
    return parse_language(value)


def peers(value: str) -> str:
    for item in names(value):
        if not re.fullmatch(r"@?[A-Za-z0-9_][A-Za-z0-9_.-]*", item):
            raise ValueError(f"{item!r} is no user; name users and @groups, e.g. vv,@vv-docker-read")
    return value


def names(value: str) -> list[str]:
    """What stands between the commas. Raises `ValueError` for commas alone: nobody must not come to mean everybody."""
    found = [part for part in map(str.strip, value.split(",")) if part]
    if value and not found:
        raise ValueError(f"{value!r} names nobody; leave it empty for everybody whom the socket's mode lets")
    return found


def path(value: str) -> Path:
    try:
        named = Path(value).expanduser()
    except RuntimeError:
        raise ValueError(f"{value!r} names the folder of a user whom this machine does not know") from None
    if not named.is_absolute():
        raise ValueError(f"{value!r} is not an absolute path; begin it with /")
    return named


def optional_path(value: str) -> Path | None:
    return path(value) if value else None


def patterns(value: str) -> tuple[str, ...]:
    return tuple(str(path(part)) for part in map(str.strip, value.split(",")) if part)


def url(value: str) -> str:
    parts = _split_url(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("must be a URL that begins with http:// or https://")
    return value.rstrip("/")


def _split_url(value: str) -> SplitResult:
    try:
        parts = urlsplit(value)
        _ = parts.port  # which is not looked at before
    except ValueError:  # which quotes user and password
        raise ValueError("must be a URL such as https://example.org/path; its host or port is not understood") from None
    return parts


def open_url(value: str) -> str:
    """A URL that is written where anybody may read it."""
    if "@" in _split_url(value).netloc:
        raise ValueError("must not hold a user or password; there are variables for them")
    return url(value)


def shown_url(value: str) -> str:
    """A URL that messages, alerts and rendered files show."""
    if "@" in _split_url(value).netloc:
        raise ValueError("must not hold a user or password: messages and configuration show it")
    return url(value)


def exporter_url(value: str) -> str:
    """The same of the exporter, for whose users there are variables."""
    if "@" in _split_url(value).netloc:
        raise ValueError(
            "must not hold a user or password: messages and configuration show it; set VV_EXPORTER_USERNAME and "
            "VV_EXPORTER_PASSWORD_FILE"
        )
    return url(value)


def fleet_config_url(value: str) -> str:
    """By plain HTTP anybody on the way could keep back what is new."""
    parts = _split_url(value)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError("must begin with https://; http:// is for this machine alone")
    return open_url(value)


_ED25519_KEY_BEGINS = bytes.fromhex("302a300506032b6570032100")
"""How the DER of every public key of Ed25519 begins (RFC 8410, 10.1); 32 bytes follow."""


def ed25519_public_key(value: str) -> str:
    """The key's DER in base64, of that or of PEM, or of the file that has one of the two."""
    if not value:
        return ""
    text = value
    if text.startswith("/"):
        text = read_small(Path(text), MAX_KEY_BYTES, follow=True).decode("ascii", errors="replace")
    encoded = "".join(
        word for word in text.split() if "-" not in word and word != "PUBLIC"
    )  # of PEM's first and last line
    try:
        der = base64.b64decode(encoded, validate=True)
    except ValueError:
        der = b""
    if len(der) != len(_ED25519_KEY_BEGINS) + 32 or not der.startswith(_ED25519_KEY_BEGINS):
        raise ValueError("is no public key of Ed25519; set what `vv fleet keygen` prints, or the path of its file")
    return encoded


def secret_url(value: str) -> Secret:
    url(value)
    return Secret(value)  # as it stands: to some servers a slash at its end makes a difference


def rtsp_url(value: str) -> Secret:
    if value:
        dvr(value)
    return Secret(value)


def dvr_address(value: str) -> str:
    if value and (any(c in value for c in "/@?#") or dvr(f"rtsp://{value}").target):
        raise ValueError(f"{value!r} is not an address; write e.g. 192.168.1.10 or 192.168.1.10:8554")
    return value


def dvr(url: str, username: str = "", password: str = "", **times: float) -> Dvr:
    """What a URL with or without user and password, and these by themselves, say of a DVR. Raises `ValueError`."""
    # Nothing of the URL is quoted: it may hold a password.
    if not re.fullmatch(r"[!-~]{1,2000}", url):
        raise ValueError("must be a URL without blanks and of ASCII characters; write others as %20 and the like")
    try:
        parts = urlsplit(url)
        port = parts.port or 554
    except ValueError:
        raise ValueError("must be a URL such as rtsp://192.168.1.10:554/Streaming/Channels/101") from None
    if parts.scheme == "rtsps":
        raise ValueError(
            "must be a URL that begins with rtsp://; RTSP over TLS (rtsps://) is not spoken: give its plain port, "
            "or leave the DVR out here and have the agent report alone"
        )
    if parts.scheme != "rtsp" or not parts.hostname:
        raise ValueError("must be a URL that begins with rtsp://")
    if not username and not parts.username and ":" in password:
        username, _, password = password.partition(":")
    username = username or unquote(parts.username or "")
    password = password or unquote(parts.password or "")
    if not (username + password).isprintable():
        raise ValueError("user and password must not hold control characters")
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    return Dvr(parts.hostname, port, target, username, Secret(password), **times)


def port(value: str) -> int:
    if not _is_whole(value) or not 1 <= int(value) <= 65535:
        raise ValueError(f"{value!r} is not a port; give a number from 1 to 65535")
    return int(value)


def log_size(value: str) -> int | None:
    size = parse_size(value)
    if 0 < size < LEAST_LOG:
        raise ValueError(f"{value!r} is too little for a few lines; give 0, or at least {LEAST_LOG // 1000}KB")
    return size or None


def bytes_or_none(value: str) -> int:
    """A size, or 0 for no limit."""
    return 0 if value.strip() == "0" else parse_size(value)


def queue_size(value: str) -> int:
    """Of the fleet's agent: a lower one is taken as `LEAST_QUEUE_BYTES`, as vmagent does. To vmagent 0 is no limit."""
    size = parse_size(value)
    if size <= 0:
        raise ValueError(f"{value!r} would be no limit; give at least {LEAST_QUEUE_BYTES / 1e6:.0f}MB")
    return max(size, LEAST_QUEUE_BYTES)


def factor(value: str) -> float:
    try:
        factor = float(value)
    except ValueError:
        factor = 0.0
    if not 1 < factor < 1e6:
        raise ValueError(f"{value!r} is not a number above 1")
    return factor


def positive(value: str) -> int:
    if not _is_whole(value) or int(value) == 0:
        raise ValueError(f"{value!r} is not a whole number above 0")
    return int(value)


def whole(value: str) -> int:
    if not _is_whole(value):
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)


def _is_whole(value: str) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,9}", value))  # more could not even be reckoned with


def duration(value: str) -> float:
    seconds = parse_duration(value)
    if seconds <= 0:
        raise ValueError(f"{value!r} must be longer than 0")
    return seconds


def optional_duration(value: str) -> float | None:
    return duration(value) if value else None


def duration_or_off(value: str) -> float | None:
    """0 for off, None for nothing said."""
    return 0.0 if value == "off" else optional_duration(value)


def drill_schedule(value: str) -> str:
    """A cron expression that comes at some time, not more often than once an hour; or nothing."""
    if value:
        problem = problem_of(value)
        if not problem and comes_twice_an_hour(value):
            problem = f"{value!r} comes more often than once an hour, and each drill pages"
        if problem:
            raise ValueError(f'{problem}; e.g. "0 10 * * 1"')
    return value


def whole_seconds(value: str) -> float:
    seconds = duration(value)
    if seconds < 1 or seconds != int(seconds):
        raise ValueError(f"{value!r} must be whole seconds, at least 1s")
    return seconds


def free_space(value: str) -> FreeSpace:
    ratio, size, most = None, None, None
    for part in (part.strip() for part in value.split(",") if part.strip()):
        if part.startswith("max"):
            most = _parse_percentage(part.removeprefix("max").strip())
        elif part.endswith("%"):
            ratio = _parse_percentage(part)
        else:
            size = parse_size(part)
    if ratio is None and size is None:
        raise ValueError("empty; write a percentage, a size or both, e.g. 20%,50GB")
    if most is not None and size is None:
        raise ValueError("max without a size, which it is for; write e.g. 20%,50GB,max30%")
    return FreeSpace(ratio, size, most)


def _parse_percentage(text: str) -> float:
    try:
        ratio = float(text.removesuffix("%")) / 100 if text.endswith("%") else -1.0
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        raise ValueError(f"{text!r} is not a percentage between 0% and 100%; write e.g. 20%")
    return ratio


def share(value: str) -> float:
    number = value.removesuffix("%").strip()
    if not value.endswith("%") or not re.fullmatch(r"\d{1,3}(\.\d+)?", number) or not 0 < float(number) <= 100:
        raise ValueError(f"{value!r} is not a percentage above 0% and up to 100%; write e.g. 90%")
    return float(number) / 100


def quiet_hours(value: str) -> QuietHours | None:
    if not value:
        return None
    time = r"((?:[01]\d|2[0-3]):[0-5]\d|24:00)"
    found = re.fullmatch(rf"{time}-{time}", value)
    if not found or found[1] in (found[2], "24:00"):
        raise ValueError(f"{value!r} is not two times of the day; write e.g. 22:00-06:00")
    return QuietHours(found[1], found[2])


def celsius(value: str) -> float:
    if not re.fullmatch(r"\d{1,3}(\.\d+)?", value) or not 0 < float(value) < 200:
        raise ValueError(f"{value!r} is not a temperature; write degrees Celsius, e.g. 85")
    return float(value)


_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "y"), "true"),
    **dict.fromkeys(("false", "no", "off", "n"), "false"),
}
"""What YAML 1.1 takes for true and false, in any case: https://yaml.org/type/bool.html."""


def choice(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed and _WORDS.get(value.lower()) in allowed:
            return _WORDS[value.lower()]
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
        return value

    return parse


def time_of_day(value: str) -> str:
    if value == "off":
        return ""
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError(f"{value!r} is not a time of day; write e.g. 07:00, or off")
    return value


def timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{value!r} is not known; write e.g. Europe/Lisbon") from None
    return value

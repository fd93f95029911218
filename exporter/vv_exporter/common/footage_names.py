"""What files of footage are called: `{dvr}_{start:%Y%m%dT%H%M%S}.mp4`, and when such a file begins.

`{dvr}` stands for the camera's name, `{start:…}` for the time at which the file begins, `*` for anything but a slash.
Codes of a time are those of strftime(3) that say it in figures; a slash may stand among them. One that comes again
has to say the same.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

MAX_LENGTH = 500
MAX_STARS = 3  # each makes a name that nearly fits take longer to be known from one that fits
_PARTS = re.compile(r"(\{dvr\}|\{start:[^{}]*\}|\*)")
_CODES = {
    "Y": r"[0-9]{4}",
    "y": r"[0-9]{2}",
    "m": r"[0-9]{2}",
    "d": r"[0-9]{2}",
    "j": r"[0-9]{3}",
    "H": r"[0-9]{2}",
    "M": r"[0-9]{2}",
    "S": r"[0-9]{2}",
    "f": r"[0-9]{1,6}",
    "z": r"(?:Z|[+-][0-9]{2}:?[0-9]{2})",
    "s": r"[0-9]{1,11}",
}
_FOLDS = (0, 1)


class FootageNames:
    """The names of one camera's files. Raises `ValueError` for a pattern that cannot be followed, and says why."""

    def __init__(self, pattern: str, dvr: str, timezone: str = "UTC") -> None:
        self.folder = _constant_folder(pattern, dvr)
        """The folder, without a slash at its end, below which all of them lie; "" for that of the video storage."""
        self._regex = re.compile(_regex(pattern, dvr))
        self._zone = ZoneInfo(timezone)
        self.depth = pattern.count("/")
        """How many folders deep they lie."""

    def starts(self, path: str) -> tuple[float, ...]:
        """When the file begins (Unix seconds), by its path below the video storage; () if it is none of them.

        Two times where the clock showed this twice, as it was set back for the winter, or never, in spring.
        """
        found = self._regex.fullmatch(path)
        if found is None:
            return ()
        said = found.groupdict()
        try:
            if "s" in said:
                return (float(said["s"]),)
            shown = _shown_time(said)
            if "z" in said:
                return (shown.replace(tzinfo=_offset_of(said["z"])).timestamp(),)
            return tuple(sorted({shown.replace(tzinfo=self._zone, fold=fold).timestamp() for fold in _FOLDS}))
        except (ValueError, OverflowError):  # the 30th of February
            return ()


def _regex(pattern: str, dvr: str) -> str:
    if not 0 < len(pattern) <= MAX_LENGTH:
        raise ValueError(f"{pattern[:50]!r} has to have 1 to {MAX_LENGTH} characters")
    if pattern.startswith("/") or any(part in ("", ".", "..") for part in pattern.split("/")):
        raise ValueError(f"{pattern!r} is not below the video storage; leave out VIDEO_STORAGE_ROOT, and `..`")
    if pattern.count("*") > MAX_STARS:
        raise ValueError(f"{pattern!r} has more than {MAX_STARS} `*`; spell some of it out")
    seen: set[str] = set()
    regex = "".join(_part_regex(part, dvr, seen) for part in _PARTS.split(pattern))
    dated = "s" in seen or ({"H", "M"} <= seen and (seen & {"Y", "y"}) and ({"m", "d"} <= seen or "j" in seen))
    if not dated:
        raise ValueError(f"{pattern!r} does not say when a file begins; write e.g. {{start:%Y%m%dT%H%M%S}}")
    return regex


def _part_regex(part: str, dvr: str, seen: set[str]) -> str:
    if part == "*":
        return "[^/]*"
    if part == "{dvr}":
        return re.escape(dvr)
    if not (part.startswith("{start:") and part.endswith("}")):
        if "{" in part or "}" in part:
            raise ValueError(f"{part!r} has braces that mean nothing; known are {{dvr}} and {{start:…}}")
        return re.escape(part)
    return "".join(
        _code_regex(code, seen) for code in re.split(r"(%.?)", part.removeprefix("{start:").removesuffix("}"))
    )


def _code_regex(code: str, seen: set[str]) -> str:
    if code == "%%" or not code.startswith("%"):
        return re.escape(code.replace("%%", "%"))
    name = code[1:]
    if name not in _CODES:
        raise ValueError(f"{code!r} is no known code; known are {', '.join(f'%{one}' for one in _CODES)}")
    if name in seen:
        return f"(?P={name})"
    seen.add(name)
    return f"(?P<{name}>{_CODES[name]})"


def _shown_time(said: dict[str, str]) -> datetime:
    """The time of the day and the date, without a zone."""
    year = int(said["Y"]) if "Y" in said else 2000 + int(said["y"])
    micro = int(said.get("f", "0").ljust(6, "0"))
    if "j" in said:
        first = datetime(year, 1, 1, int(said["H"]), int(said["M"]), int(said.get("S", "0")), micro, tzinfo=UTC)
        return (first + timedelta(days=int(said["j"]) - 1)).replace(tzinfo=None)
    at = datetime(
        year, int(said["m"]), int(said["d"]), int(said["H"]), int(said["M"]), int(said.get("S", "0")), micro, tzinfo=UTC
    )
    return at.replace(tzinfo=None)


def _offset_of(text: str) -> tzinfo | None:
    return datetime.strptime(text.replace(":", ""), "%z").tzinfo


def _constant_folder(pattern: str, dvr: str) -> str:
    """What the pattern says of the folders before anything in it may differ."""
    folders = pattern.split("{start:")[0].replace("{dvr}", dvr).split("/")[:-1]
    constant = next((place for place, one in enumerate(folders) if "*" in one), len(folders))
    return "/".join(folders[:constant])

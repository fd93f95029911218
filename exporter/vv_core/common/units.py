"""Durations and sizes as people write them in the environment and in ``vv.yml``."""

import re

_DURATION_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SIZE_UNITS: dict[str, int] = {
    "": 1,
    "b": 1,
    **{f"{prefix}b": 1000**power for power, prefix in enumerate("kmgt", 1)},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", 1)},
}


def parse_duration(text: str) -> float:
    """Seconds of a duration such as ``90`` (seconds), ``90s``, ``15m``, ``1h30m``, ``1.5h``, ``500ms``, ``2d``.

    Raises `ValueError`, saying what is accepted, for anything else.
    """
    compact = text.strip()
    if re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?", compact):
        return float(compact)
    number_and_unit = r"([0-9]{1,15}(?:\.[0-9]{1,15})?)(ms|[smhdw])"
    if not re.fullmatch(f"({number_and_unit})+", compact):
        raise ValueError(f"{text!r} is not a duration: write seconds (90), or 90s, 15m, 1h30m, 2d")
    parts: list[tuple[str, str]] = re.findall(number_and_unit, compact)
    return sum(float(number) * _DURATION_UNITS[unit] for number, unit in parts)


def parse_size(text: str) -> int:
    """Bytes of a size such as ``500`` (bytes), ``256MB`` (decimal), ``10 GiB`` (binary), ``1.5TB``.

    Raises `ValueError`, saying what is accepted, for anything else; for a bare ``10G`` too, which some read as
    decimal and some as binary.
    """
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) *([a-z]*)", text.strip().lower())
    if match is None or match[2] not in _SIZE_UNITS:
        raise ValueError(f"{text!r} is not a size: write bytes (500), or 256MB, 10GB (decimal), 10GiB (binary)")
    return round(float(match[1]) * _SIZE_UNITS[match[2]])

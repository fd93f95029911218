"""Exceptions that have been reported: what meets them on their way up does not report them once more."""

from __future__ import annotations

_DEPTH = 20


def mark_reported(error: BaseException, *, by_guard: bool = False) -> None:
    """Note that `error` has been reported, perhaps by the last resort. Raises nothing."""
    try:
        error._vv_reported = "guard" if by_guard else "reported"  # type: ignore[attr-defined]
    except Exception:  # a class may forbid it; then it is reported twice rather than never
        return


def is_reported(error: BaseException) -> bool:
    """Whether `error`, or what it was raised from (``raise … from error``), has been reported."""
    cause: BaseException | None = error
    for _ in range(_DEPTH):
        if cause is None:
            return False
        try:
            if getattr(cause, "_vv_reported", None) in ("guard", "reported"):
                return True
            cause = cause.__cause__
        except Exception:
            return False
    return False


def is_guarded(error: BaseException) -> bool:
    """Whether the last resort has dealt with `error` itself."""
    try:
        return getattr(error, "_vv_reported", None) == "guard"
    except Exception:
        return False

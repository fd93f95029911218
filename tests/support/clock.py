"""A clock that stands still until it is moved."""


class Clock:
    """Unix seconds; call it to read it, `advance` it to let time pass."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds

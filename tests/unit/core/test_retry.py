"""What is tried again, how often, after which pause, and what comes out in the end."""

import logging
from collections.abc import Callable, Iterator

import pytest

from tests.support.clock import Clock
from vv_core.common.ids import random_fraction
from vv_core.retry import Attempt, retry


class Flaky:
    """Fails with the given errors, one a call, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


class Pauses(list[float]):
    """Sleeps without sleeping."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __call__(self, seconds: float) -> None:
        self.append(seconds)
        self.clock.advance(seconds)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses(Clock())


@pytest.fixture
def policy(pauses: Pauses) -> Callable[..., retry]:
    """A `retry` that does not wait, and always takes the longest pause."""

    def make(*on: type[BaseException], **options: object) -> retry:
        given = {"sleep": pauses, "clock": pauses.clock, "random": lambda: 1.0, **options}
        return retry(*on, **given)  # type: ignore[arg-type]

    return make


def loop(policy: retry, work: Callable[[], str]) -> tuple[str, int]:
    for attempt in policy:
        with attempt:
            return work(), attempt.number
    raise AssertionError


def decorated(policy: retry, work: Callable[[], str]) -> tuple[str, int]:
    count: Iterator[int] = iter(range(1, 100))
    number = 0

    @policy
    def call() -> str:
        nonlocal number
        number = next(count)
        return work()

    return call(), number


@pytest.mark.parametrize("run", [loop, decorated])
class TestBothForms:
    def test_a_success_is_not_repeated(self, policy: Callable[..., retry], pauses: Pauses, run: Callable) -> None:  # type: ignore[type-arg]
        assert run(policy(OSError), Flaky()) == ("done", 1)
        assert pauses == []

    def test_it_is_tried_until_it_succeeds(self, policy: Callable[..., retry], pauses: Pauses, run: Callable) -> None:  # type: ignore[type-arg]
        assert run(policy(OSError, first_pause=1), Flaky(OSError(), ConnectionError())) == ("done", 3)
        assert pauses == [1, 2]

    def test_the_last_error_goes_on(self, policy: Callable[..., retry], pauses: Pauses, run: Callable) -> None:  # type: ignore[type-arg]
        work = Flaky(*(OSError(number) for number in range(9)))

        with pytest.raises(OSError, match="2"):
            run(policy(OSError, tries=3), work)

        assert (work.calls, len(pauses)) == (3, 2)

    def test_other_errors_go_on_at_once(self, policy: Callable[..., retry], pauses: Pauses, run: Callable) -> None:  # type: ignore[type-arg]
        work = Flaky(TimeoutError(), ValueError("bad"), TimeoutError())

        with pytest.raises(ValueError, match="bad"):
            run(policy(TimeoutError, KeyError), work)

        assert work.calls == 2

    def test_time_is_bounded(self, policy: Callable[..., retry], pauses: Pauses, run: Callable) -> None:  # type: ignore[type-arg]
        work = Flaky(*(OSError() for _ in range(99)))

        with pytest.raises(OSError):
            run(policy(OSError, tries=99, first_pause=1, longest_pause=4, within=10), work)

        assert pauses == [1, 2, 4]  # another 4 would be the eleventh second

    def test_a_policy_serves_many_times(self, policy: Callable[..., retry], pauses: Pauses, run: Callable) -> None:  # type: ignore[type-arg]
        again = policy(OSError, tries=2, within=1)
        for _ in range(3):
            assert run(again, Flaky(OSError())) == ("done", 2)
            pauses.clock.advance(100)


def test_pauses_grow_up_to_the_longest_and_never_overflow(policy: Callable[..., retry], pauses: Pauses) -> None:
    with pytest.raises(OSError):
        loop(policy(OSError, tries=2000, longest_pause=30), Flaky(*(OSError() for _ in range(2000))))

    assert pauses[:8] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert set(pauses[8:]) == {30}


def test_a_pause_is_anything_from_0_to_its_bound(policy: Callable[..., retry], pauses: Pauses) -> None:
    numbers = iter([0.0, 0.25, 0.5])

    loop(policy(OSError, first_pause=4, random=lambda: next(numbers)), Flaky(OSError(), OSError(), OSError()))

    assert pauses == [0.0, 2.0, 8.0]


def test_chance_is_spread_over_the_whole_range() -> None:
    numbers = sorted(random_fraction() for _ in range(1000))

    assert 0 <= numbers[0] < 0.05
    assert 0.95 < numbers[-1] < 1
    assert 0.4 < sum(numbers) / 1000 < 0.6


def test_each_retry_is_logged(policy: Callable[..., retry], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(OSError):
        loop(policy(OSError, tries=2), Flaky(OSError("locked\nfile"), OSError("locked")))

    (record,) = caplog.records
    assert (record.name, record.levelno) == ("vv_core.retry", logging.WARNING)
    assert record.getMessage() == "attempt 1 of 2 failed: OSError: locked file; the next in 0.5 s"


def test_a_loop_may_be_left_at_any_time(policy: Callable[..., retry]) -> None:
    seen: list[Attempt] = []
    for attempt in policy(OSError):
        seen.append(attempt)
        break

    assert [attempt.number for attempt in seen] == [1]


def test_a_body_outside_of_the_attempt_is_told_rather_than_run_once(policy: Callable[..., retry]) -> None:
    with pytest.raises(RuntimeError, match="with attempt:"):
        list(policy(OSError))


def test_an_interrupt_is_never_tried_again_unless_asked_for(policy: Callable[..., retry]) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop(policy(Exception), interrupted)


def test_a_coroutine_is_refused() -> None:
    async def work() -> None: ...

    with pytest.raises(TypeError, match="coroutines"):
        retry(OSError)(work)


@pytest.mark.parametrize("on", [(), ("OSError",), (OSError(),), (int,)])
def test_exceptions_must_be_named(on: tuple[object, ...]) -> None:
    with pytest.raises(TypeError, match="name the exceptions"):
        retry(*on)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{"tries": 0}, {"tries": "3"}, {"first_pause": -1}, {"longest_pause": "long"}, {"within": float("nan")}]
)
def test_numbers_must_make_sense(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(options))} is a"):
        retry(OSError, **options)  # type: ignore[arg-type]


def test_a_function_stays_what_it_is_called() -> None:
    @retry(OSError)
    def fetch(url: str, *, times: int) -> str:
        """Get it."""
        return url * times

    assert (fetch.__name__, fetch.__doc__, fetch("a", times=2)) == ("fetch", "Get it.", "aa")

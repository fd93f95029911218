from tests.support.clock import Clock
from vv_exporter.containers.unanswered import Unanswered


def test_pauses_double_up_to_the_longest_and_begin_anew_after_an_answer() -> None:
    clock = Clock()
    unanswered = Unanswered(clock, 30, 100)
    pauses = []
    for _ in range(4):
        unanswered.failed("web", "timed out")
        pauses.append(unanswered.due_at("web") - clock())
    unanswered.answered("web")
    unanswered.failed("web", "timed out")

    assert pauses == [30, 60, 100, 100]
    assert unanswered.due_at("web") - clock() == 30
    assert not unanswered.is_due("web")
    clock.advance(30)
    assert unanswered.is_due("web")


def test_what_is_news_is_said_once() -> None:
    unanswered = Unanswered(Clock())

    assert [unanswered.failed("web", problem) for problem in ("slow", "slow", "broken")] == [True, False, True]
    assert [unanswered.answered("web"), unanswered.answered("web")] == [True, False]


def test_what_is_not_there_any_more_is_forgotten() -> None:
    unanswered = Unanswered(Clock())
    unanswered.failed("web", "slow")
    unanswered.failed("old", "slow")
    unanswered.keep({"web"})

    assert "web" in unanswered
    assert "old" not in unanswered
    assert unanswered.is_due("old")

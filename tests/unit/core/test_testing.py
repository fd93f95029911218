import pytest

from tests.unit.core.conftest import State
from vv_core.alerter import send_alert
from vv_core.jobs import heartbeat
from vv_core.testing import captured


def test_what_is_captured_is_not_written(state: State) -> None:
    with captured() as events:
        send_alert("ERROR", "t", "", "c")

    assert [event["title"] for event in events.of("alert")] == ["t"]
    assert state.files() == []


def test_afterwards_events_are_written_again(state: State) -> None:
    with pytest.raises(RuntimeError), captured():
        raise RuntimeError
    heartbeat("a")

    assert len(state.events("heartbeat")) == 1

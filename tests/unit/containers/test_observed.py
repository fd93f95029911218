import json

import msgspec
import pytest

from vv_exporter.containers.observed import SECOND, decode_event, decode_inspection, decode_list, nanoseconds


def test_times_are_read_to_the_microsecond() -> None:
    assert nanoseconds("1970-01-01T00:00:01.234567891Z") == SECOND + 234_567_000
    assert nanoseconds("1970-01-01T01:00:00+01:00") == 0
    assert nanoseconds("1970-01-01T00:00:05Z") == 5 * SECOND


def test_never_is_0() -> None:
    assert nanoseconds("0001-01-01T00:00:00Z") == 0
    assert nanoseconds("") == 0


def test_a_health_event_has_its_status_apart() -> None:
    raw = {"Type": "container", "Action": "health_status: unhealthy", "timeNano": 7}
    event = decode_event(json.dumps({**raw, "Actor": {"ID": "1", "Attributes": {"name": "web"}}}).encode())

    assert event is not None
    assert (event.action, event.attributes["detail"], event.name, event.time) == (
        "health_status",
        "unhealthy",
        "web",
        7,
    )


def test_events_of_other_things_are_passed_over() -> None:
    raw = {"Type": "network", "Action": "connect", "timeNano": 7, "Actor": {"ID": "1", "Attributes": None}}

    assert decode_event(json.dumps(raw).encode()) is None


def test_what_is_no_event_is_an_error() -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_event(b'{"message": "page not found"}')


def test_a_listed_container_has_its_own_name_and_its_health() -> None:
    raw = [
        {"Id": "1", "Names": ["/other/alias", "/web"], "State": "running", "Status": "Up 2 minutes (unhealthy)"},
        {"Id": "2", "Names": None, "State": "exited", "Status": "Exited (0) 1 second ago", "Labels": None},
        {"Id": "3", "Names": ["/x"], "State": "running", "Status": "", "Labels": {"com.docker.compose.oneoff": "True"}},
    ]
    (web, nameless, one_off), complete = decode_list(json.dumps(raw).encode())
    assert complete

    assert (web.name, web.health, web.one_off) == ("web", "unhealthy", False)
    assert (nameless.name, nameless.health) == ("", "")
    assert one_off.one_off


@pytest.mark.parametrize(
    ("entry", "health"),
    [
        ({"Status": "Up 2 hours", "Health": {"Status": "unhealthy", "FailingStreak": 3}}, "unhealthy"),
        ({"Status": "Up 2 hours (unhealthy)", "Health": {"Status": "healthy", "FailingStreak": 0}}, "healthy"),
        ({"Status": "Up 2 hours", "Health": {"Status": "none", "FailingStreak": 0}}, ""),
        ({"Status": "Up 2 hours (healthy)", "Health": None}, "healthy"),
        ({"Status": "Up 2 hours (Paused)", "State": "paused", "Health": {"Status": "unhealthy"}}, ""),
    ],
)
def test_the_health_in_a_list_has_a_field_of_its_own_in_newer_versions(entry: dict[str, object], health: str) -> None:
    (one,), _ = decode_list(json.dumps([{"Id": "1", "Names": ["/web"], "State": "running", **entry}]).encode())

    assert one.health == health


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Exited (137) 2 minutes ago", 137),
        ("Exited (-1) 2 minutes ago", -1),
        ("Up 2 hours", None),
        ("Created", None),
        ("Dead", None),
        ("Exited (x)", None),
    ],
)
def test_the_list_tells_the_exit_code_of_what_ended(text: str, code: int | None) -> None:
    (one,), _ = decode_list(json.dumps([{"Id": "1", "Names": ["/web"], "State": "exited", "Status": text}]).encode())

    assert one.exit_code == code


def _inspected(**state: object) -> bytes:
    return json.dumps(
        {
            "Id": "1",
            "Name": "/web",
            "Created": "2026-01-01T00:00:00Z",
            "RestartCount": 3,
            "State": {"Status": "running", "StartedAt": "2026-01-01T00:00:01Z", **state},
            "Config": {"Image": "web:1", "Labels": {"com.docker.compose.service": "w"}, "Env": ["PASSWORD=hunter2"]},
            "HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5}, "AutoRemove": False},
        }
    ).encode()


@pytest.mark.parametrize(
    ("given", "cores"),
    [
        ({}, None),
        ({"NanoCpus": 1_500_000_000}, 1.5),
        ({"CpuQuota": 50_000, "CpuPeriod": 200_000}, 0.25),
        ({"CpuQuota": 50_000}, 0.5),
        ({"CpuQuota": -1}, None),
    ],
)
def test_a_limit_of_processors_is_told_in_cores(given: dict[str, int], cores: float | None) -> None:
    raw = json.loads(_inspected(Pid=77))
    raw["HostConfig"] |= {"Memory": 1000, **given}
    inspection = decode_inspection(json.dumps(raw).encode())

    assert (inspection.cpu_limit, inspection.memory_limit, inspection.pid) == (cores, 1000, 77)


@pytest.mark.parametrize(("mode", "own"), [("host", False), ("container:12ab", False), ("bridge", True), ("", True)])
def test_the_network_of_the_device_or_of_another_is_not_its_own(mode: str, own: bool) -> None:
    raw = json.loads(_inspected())
    raw["HostConfig"]["NetworkMode"] = mode

    assert decode_inspection(json.dumps(raw).encode()).own_network == own


def test_an_inspection_keeps_nothing_of_the_environment() -> None:
    inspection = decode_inspection(_inspected())

    assert (inspection.name, inspection.service, inspection.policy, inspection.max_retries) == (
        "web",
        "w",
        "on-failure",
        5,
    )
    assert "hunter2" not in repr(inspection)


def test_a_restart_that_waits_or_was_called_off_is_not_one_that_was() -> None:
    assert decode_inspection(_inspected()).policy_restarts == 3
    assert decode_inspection(_inspected(Status="restarting", ExitCode=1)).policy_restarts == 2
    assert decode_inspection(_inspected(Status="exited", ExitCode=1)).policy_restarts == 2
    assert decode_inspection(_inspected(Status="exited", ExitCode=0)).policy_restarts == 3


def test_no_health_check_is_no_health() -> None:
    assert decode_inspection(_inspected(Health={"Status": "none", "FailingStreak": 0})).health == ""
    assert decode_inspection(_inspected(Health=None)).health == ""
    assert decode_inspection(_inspected(Health={"Status": "healthy", "FailingStreak": 0})).health == "healthy"


@pytest.mark.parametrize(
    "time", ["x", "2026-01-31", "2026-13-01T00:00:00Z", "9999-12-31T23:59:59Z", "99999-01-01T00:00:00Z"]
)
def test_a_time_that_is_none_or_too_far_away_fits_what_keeps_it(time: str) -> None:
    assert 0 <= nanoseconds(time) < 2**63


@pytest.mark.parametrize(
    "document",
    [
        _inspected(ExitCode=2**70),
        _inspected(Status=["running"]),
        _inspected()[:-1],
        b"[" * 100_000,
        b'{"Id":' * 100_000,
    ],
)
def test_an_inspection_that_is_none_is_not_understood(document: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_inspection(document)


@pytest.mark.parametrize("code", ["", "x", "\u00b2", "9" * 5_000])
def test_an_event_with_a_code_that_is_no_number_is_not_understood(code: str) -> None:
    raw = {"Type": "container", "Action": "die", "timeNano": 1, "Actor": {"ID": "1", "Attributes": {"exitCode": code}}}

    with pytest.raises(msgspec.MsgspecError):
        decode_event(json.dumps(raw).encode())


def test_one_entry_of_the_list_that_is_not_understood_costs_itself_only() -> None:
    raw = [{"Id": "1", "Names": ["/web"], "State": "running", "Status": "Up"}, {"Id": 7}, None, [[]]]

    containers, complete = decode_list(json.dumps(raw).encode())

    assert [one.name for one in containers] == ["web"]
    assert not complete

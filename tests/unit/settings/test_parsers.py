"""How each kind of setting is read: the first and the last that is allowed, and what lies beyond."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vv_exporter.settings import parsers
from vv_exporter.settings.values import Dvr, FreeSpace, QuietHours, Secret

READ: list[tuple[Callable[[str], Any], str, Any]] = [
    (parsers.text, " as it is ", " as it is "),
    (parsers.label, "a", "a"),
    (parsers.label, "A1._-", "A1._-"),
    (parsers.label, "a" * 63, "a" * 63),
    (parsers.peers, "", ""),
    (parsers.peers, "vv,@vv-docker-read, _x", "vv,@vv-docker-read, _x"),
    (parsers.names, "", []),
    (parsers.names, " a , b,", ["a", "b"]),
    (parsers.path, "/srv", Path("/srv")),
    (parsers.path, "~/x", Path.home() / "x"),
    (parsers.optional_path, "", None),
    (parsers.optional_path, "/srv", Path("/srv")),
    (parsers.url, "", ""),
    (parsers.url, "http://a:1/b/", "http://a:1/b"),
    (parsers.url, "https://u:p@a", "https://u:p@a"),
    (parsers.open_url, "https://a/", "https://a"),
    (parsers.shown_url, "https://a/@b/", "https://a/@b"),
    (parsers.exporter_url, "https://a/", "https://a"),
    (parsers.secret_url, "https://u:p@a/", Secret("https://u:p@a/")),
    (parsers.rtsp_url, "", Secret("")),
    (parsers.rtsp_url, "rtsp://a", Secret("rtsp://a")),
    (parsers.dvr_address, "", ""),
    (parsers.dvr_address, "192.168.1.10:8554", "192.168.1.10:8554"),
    (parsers.port, "1", 1),
    (parsers.port, "65535", 65535),
    (parsers.log_size, "0", None),
    (parsers.log_size, "64KB", 64_000),
    (parsers.factor, "1.01", 1.01),
    (parsers.factor, "999999", 999_999.0),
    (parsers.positive, "1", 1),
    (parsers.positive, "999999999", 999_999_999),
    (parsers.whole, "0", 0),
    (parsers.whole, "17", 17),
    (parsers.duration, "0.5s", 0.5),
    (parsers.duration, "1h", 3600.0),
    (parsers.optional_duration, "", None),
    (parsers.optional_duration, "2m", 120.0),
    (parsers.duration_or_off, "off", 0.0),
    (parsers.duration_or_off, "", None),
    (parsers.duration_or_off, "2m", 120.0),
    (parsers.drill_schedule, "", ""),
    (parsers.drill_schedule, "0 10 * * 1", "0 10 * * 1"),
    (parsers.drill_schedule, "0 * * * *", "0 * * * *"),
    (parsers.whole_seconds, "1s", 1.0),
    (parsers.whole_seconds, "90s", 90.0),
    (parsers.free_space, "20%", FreeSpace(0.2, None)),
    (parsers.free_space, "0%", FreeSpace(0.0, None)),
    (parsers.free_space, "100%", FreeSpace(1.0, None)),
    (parsers.free_space, "50GB", FreeSpace(None, 50_000_000_000)),
    (parsers.free_space, " 20% , 50GB , max 30% ,", FreeSpace(0.2, 50_000_000_000, 0.3)),
    (parsers.share, "90%", 0.9),
    (parsers.share, "100 %", 1.0),
    (parsers.share, "0.5%", 0.005),
    (parsers.quiet_hours, "", None),
    (parsers.quiet_hours, "22:00-06:00", QuietHours("22:00", "06:00")),
    (parsers.quiet_hours, "00:00-24:00", QuietHours("00:00", "24:00")),
    (parsers.quiet_hours, "23:59-19:05", QuietHours("23:59", "19:05")),
    (parsers.celsius, "0.1", 0.1),
    (parsers.celsius, "199.9", 199.9),
    (parsers.choice("a", "b"), "b", "b"),
    (parsers.choice("true", "false"), "Yes", "true"),
    (parsers.choice("true", "false"), "off", "false"),
    (parsers.choice("true", "on"), "on", "on"),
    (parsers.time_of_day, "off", ""),
    (parsers.time_of_day, "00:00", "00:00"),
    (parsers.time_of_day, "23:59", "23:59"),
    (parsers.timezone, "Europe/Lisbon", "Europe/Lisbon"),
]

REFUSED: list[tuple[Callable[[str], Any], str, str]] = [
    (parsers.label, "", "letters, digits"),
    (parsers.label, "a" * 64, "letters, digits"),
    (parsers.label, "-a", "letters, digits"),
    (parsers.label, "a/b", "letters, digits"),
    (parsers.peers, "a,b c", "'b c' is no user"),
    (parsers.peers, "@@a", "is no user"),
    (parsers.names, " , ", "names nobody"),
    (parsers.path, "srv", "not an absolute path"),
    (parsers.path, "~nobody-of-that-name/x", "whom this machine does not know"),
    (parsers.optional_path, "srv", "not an absolute path"),
    (parsers.url, "ftp://a", "begins with http"),
    (parsers.url, "https:///a", "begins with http"),
    (parsers.url, "https://a:x/", "host or port is not understood"),
    (parsers.url, "https://[a/", "host or port is not understood"),
    (parsers.open_url, "https://u@a", "there are variables for them"),
    (parsers.open_url, "ftp://a", "begins with http"),
    (parsers.shown_url, "https://u@a", "messages and configuration show it"),
    (parsers.exporter_url, "https://u@a", "VV_EXPORTER_USERNAME"),
    (parsers.secret_url, "a", "begins with http"),
    (parsers.rtsp_url, "http://a", "begins with rtsp://"),
    (parsers.dvr_address, "a/b", "is not an address"),
    (parsers.dvr_address, "u@a", "is not an address"),
    (parsers.dvr_address, "a?b", "is not an address"),
    (parsers.port, "0", "is not a port"),
    (parsers.port, "65536", "is not a port"),
    (parsers.port, "-1", "is not a port"),
    (parsers.port, "a", "is not a port"),
    (parsers.log_size, "1", "is too little"),
    (parsers.log_size, "63999", "give 0, or at least 64KB"),
    (parsers.factor, "1", "is not a number above 1"),
    (parsers.factor, "1000000", "is not a number above 1"),
    (parsers.factor, "a", "is not a number above 1"),
    (parsers.factor, "nan", "is not a number above 1"),
    (parsers.positive, "0", "above 0"),
    (parsers.positive, "1234567890", "above 0"),
    (parsers.positive, "", "above 0"),
    (parsers.whole, "1.5", "not a whole number"),
    (parsers.whole, "-1", "not a whole number"),
    (parsers.duration, "0", "must be longer than 0"),
    (parsers.duration_or_off, "0", "must be longer than 0"),
    (parsers.drill_schedule, "a", "is not a cron expression"),
    (parsers.drill_schedule, "0 0 31 2 *", 'e.g. "0 10 * * 1"'),
    (parsers.drill_schedule, "*/30 * * * *", "more often than once an hour"),
    (parsers.drill_schedule, "0,59 10 * * *", "more often than once an hour"),
    (parsers.whole_seconds, "0.5s", "at least 1s"),
    (parsers.whole_seconds, "1.5s", "must be whole seconds"),
    (parsers.free_space, "", "empty"),
    (parsers.free_space, ",", "empty"),
    (parsers.free_space, "max30%", "empty"),
    (parsers.free_space, "20%,max30%", "max without a size"),
    (parsers.free_space, "101%", "between 0% and 100%"),
    (parsers.free_space, "-1%", "between 0% and 100%"),
    (parsers.free_space, "x%", "between 0% and 100%"),
    (parsers.free_space, "50GB,max30", "between 0% and 100%"),
    (parsers.share, "0%", "above 0%"),
    (parsers.share, "100.1%", "above 0%"),
    (parsers.share, "90", "above 0%"),
    (parsers.share, "1000%", "above 0%"),
    (parsers.quiet_hours, "22:00", "two times of the day"),
    (parsers.quiet_hours, "22:00-22:00", "two times of the day"),
    (parsers.quiet_hours, "24:00-06:00", "two times of the day"),
    (parsers.quiet_hours, "22:60-06:00", "two times of the day"),
    (parsers.quiet_hours, "25:00-06:00", "two times of the day"),
    (parsers.celsius, "0", "is not a temperature"),
    (parsers.celsius, "200", "is not a temperature"),
    (parsers.celsius, "-5", "is not a temperature"),
    (parsers.choice("a", "b"), "c", "'c' is not one of a, b"),
    (parsers.choice("a", "b"), "yes", "'yes' is not one of a, b"),
    (parsers.time_of_day, "24:00", "is not a time of day"),
    (parsers.time_of_day, "7:00", "is not a time of day"),
    (parsers.timezone, "Europe/Nowhere", "is not known"),
    (parsers.timezone, "../etc/passwd", "is not known"),
]


@pytest.mark.parametrize(("parse", "value", "found"), READ)
def test_a_value_is_read(parse: Callable[[str], Any], value: str, found: Any) -> None:
    assert parse(value) == found
    assert type(parse(value)) is type(found) or isinstance(found, Path)


@pytest.mark.parametrize(("parse", "value", "cure"), REFUSED)
def test_another_is_refused_with_the_cure(parse: Callable[[str], Any], value: str, cure: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse(value)

    assert cure in str(refused.value)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("rtsp://a", Dvr("a", 554, "")),
        ("rtsp://a:8554/s", Dvr("a", 8554, "/s")),
        ("rtsp://a/s?x=1", Dvr("a", 554, "/s?x=1")),
        ("rtsp://u:p%40@a", Dvr("a", 554, "", "u", Secret("p@"))),
        ("rtsp://u%2f@[fe80::1]", Dvr("fe80::1", 554, "", "u/")),
    ],
)
def test_a_dvrs_url_says_who_and_where(url: str, found: Dvr) -> None:
    assert parsers.dvr(url) == found


@pytest.mark.parametrize(
    ("url", "user", "password", "found"),
    [
        ("rtsp://a:b@h", "u", "p", ("u", "p")),
        ("rtsp://a:b@h", "", "p", ("a", "p")),
        ("rtsp://a:b@h", "", "u:p", ("a", "u:p")),
        ("rtsp://h", "", "u:p:q", ("u", "p:q")),
        ("rtsp://h", "u", "x:y", ("u", "x:y")),
        ("rtsp://h", "", "p", ("", "p")),
    ],
)
def test_a_user_and_password_of_their_own_count_for_more(
    url: str, user: str, password: str, found: tuple[str, str]
) -> None:
    dvr = parsers.dvr(url, user, password, timeout=3.0)

    assert (dvr.username, dvr.password.value, dvr.timeout) == (*found, 3.0)


@pytest.mark.parametrize(
    ("url", "password", "cure"),
    [
        ("", "", "without blanks"),
        ("rtsp://a/ b", "", "without blanks"),
        ("rtsp://ä", "", "without blanks"),
        ("rtsp://a/" + "x" * 1992, "", "without blanks"),
        ("rtsp://a:99999", "", "must be a URL such as"),
        ("rtsp:///x", "", "begins with rtsp://"),
        ("rtsp://u%0a@a", "", "control characters"),
        ("rtsp://a", "p\n", "control characters"),
    ],
)
def test_a_dvr_that_cannot_be_asked_is_refused_without_a_word_of_its_url(url: str, password: str, cure: str) -> None:
    with pytest.raises(ValueError) as refused:
        parsers.dvr(url, password=password)

    assert cure in str(refused.value)
    assert len(parsers.dvr("rtsp://a/" + "x" * 1991).target) == 1992


@pytest.mark.parametrize(
    ("limit", "size", "in_bytes", "least"),
    [
        (FreeSpace(0.2, None), 1000, None, 200.0),
        (FreeSpace(None, 50), 1000, 50, 50),
        (FreeSpace(0.2, 50), 1000, 50, 200.0),
        (FreeSpace(0.2, 500), 1000, 500, 500),
        (FreeSpace(0.2, 500, 0.3), 1000, 300.0, 300.0),
        (FreeSpace(0.2, 500, 0.3), 2000, 500.0, 500.0),
        (FreeSpace(None, None, 0.3), 2000, None, 0.0),
    ],
)
def test_the_least_free_space_is_the_larger_of_the_two(
    limit: FreeSpace, size: float, in_bytes: float | None, least: float
) -> None:
    assert (limit.bytes_of(size), limit.least(size)) == (in_bytes, least)


def test_a_secret_is_there_or_not_and_never_shown() -> None:
    assert bool(Secret("x"))
    assert not bool(Secret(""))
    assert (str(Secret("x")), "x" in repr(Secret("x"))) == ("(hidden)", False)


def test_a_dvr_has_an_address_and_a_url_that_may_be_shown() -> None:
    dvr = Dvr("fe80::1", 8554, "/s", "u", Secret("p"))

    assert (dvr.address, dvr.url) == ("[fe80::1]:8554", "rtsp://[fe80::1]:8554/s")
    assert Dvr("a").url == "rtsp://a:554"
    assert (Dvr("a").interval, Dvr("a").timeout) == (30.0, 10.0)

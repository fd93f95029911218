"""DVRs: from vv.yml, from the environment, and never with their passwords shown."""

from pathlib import Path

import pytest

from vv_exporter.settings import Dvr, SettingsError, load, secret_files


def problem(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as error:
        load(environ)
    (only,) = error.value.problems
    return only


def one(**environ: str) -> Dvr:
    (dvr,) = load(environ).dvrs.values()
    return dvr


def test_none_is_probed_unless_one_is_named() -> None:
    assert load({}).dvrs == {}


def test_the_environments_is_named_dvr(tmp_path: Path) -> None:
    secret = tmp_path / "dvr"
    secret.write_text("se:cret\n")
    environ = {"DVR_URL": "rtsp://admin@192.168.1.10/Streaming/101?a=b", "DVR_PASSWORD_FILE": str(secret)}
    settings = load(environ)

    assert list(settings.dvrs) == ["dvr"]
    dvr = settings.dvrs["dvr"]
    assert (dvr.host, dvr.port, dvr.target) == ("192.168.1.10", 554, "/Streaming/101?a=b")
    assert (dvr.username, dvr.password.value) == ("admin", "se:cret")
    assert (dvr.interval, dvr.timeout) == (30, 10)
    assert dvr.url == "rtsp://192.168.1.10:554/Streaming/101?a=b"


@pytest.mark.parametrize(
    ("environ", "username", "password"),
    [
        ({"DVR_URL": "rtsp://u%40x:p%3Aw%2f@h/s"}, "u@x", "p:w/"),
        ({"DVR_URL": "rtsp://h/s", "DVR_PASSWORD": "u:p:w"}, "u", "p:w"),
        ({"DVR_URL": "rtsp://h/s", "DVR_USERNAME": "u", "DVR_PASSWORD": "p:w"}, "u", "p:w"),
        ({"DVR_URL": "rtsp://u:old@h/s", "DVR_PASSWORD": "new"}, "u", "new"),
        ({"DVR_URL": "rtsp://h/s"}, "", ""),
    ],
)
def test_user_and_password_may_come_together_or_apart(environ: dict[str, str], username: str, password: str) -> None:
    dvr = one(**environ)

    assert (dvr.username, dvr.password.value) == (username, password)


@pytest.mark.parametrize(
    ("address", "host", "port", "shown"),
    [
        ("192.168.1.10", "192.168.1.10", 554, "192.168.1.10:554"),
        ("dvr.local:8554", "dvr.local", 8554, "dvr.local:8554"),
        ("[fe80::1]:8554", "fe80::1", 8554, "[fe80::1]:8554"),
    ],
)
def test_an_address_alone_names_no_stream(address: str, host: str, port: int, shown: str) -> None:
    dvr = one(DVR_IP=address)

    assert (dvr.host, dvr.port, dvr.target, dvr.address) == (host, port, "", shown)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    secret, config = tmp_path / "front", tmp_path / "vv.yml"
    secret.write_text("s3cret")
    config.write_text(f"""
dvrs:
  dvr: {{url: "rtsp://a/1"}}
  front: {{url: "rtsp://b/2", username: monitor, password_file: {secret}, interval: 5s, timeout: 2s}}
""")
    environ = {"VV_CONFIG": str(config), "DVR_URL": "rtsp://c/3"}
    dvrs = load(environ).dvrs

    assert dvrs["dvr"].url == "rtsp://c:554/3"
    assert dvrs["front"].password.value == "s3cret"
    assert (dvrs["front"].interval, dvrs["front"].timeout) == (5, 2)
    assert secret_files(environ) == {"dvrs.front.password_file": secret}
    assert "s3cret" not in repr(load(environ))


def test_a_password_in_the_url_is_not_shown() -> None:
    settings = load({"DVR_URL": "rtsp://admin:s3cret@h/s"})

    assert "s3cret" not in f"{settings!r} {settings.dvrs['dvr']} {settings.dvrs['dvr'].url}"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"DVR_URL": "http://h/s3cret"}, "DVR_URL: must be a URL that begins with rtsp://"),
        (
            {"DVR_URL": "rtsps://u:s3cret@h/live"},
            "DVR_URL: must be a URL that begins with rtsp://; RTSP over TLS (rtsps",
        ),
        ({"DVR_URL": "rtsp:///s3cret"}, "DVR_URL: must be a URL that begins with rtsp://"),
        ({"DVR_URL": "rtsp://u:s3cret@h:port/"}, "DVR_URL: must be a URL such as rtsp://"),
        ({"DVR_URL": "rtsp://h/a b"}, "DVR_URL: must be a URL without blanks"),
        ({"DVR_URL": "rtsp://h/a\r\nX: y"}, "DVR_URL: must be a URL without blanks"),
        ({"DVR_URL": "rtsp://u%0d%0aX@h/a"}, "DVR_URL: user and password must not hold control characters"),
        ({"DVR_URL": "rtsp://h/a", "DVR_PASSWORD": "a\nb"}, "DVR_PASSWORD: user and password must not hold control"),
        ({"DVR_IP": "rtsp://h/a"}, "DVR_IP: 'rtsp://h/a' is not an address; write e.g. 192.168.1.10"),
        ({"DVR_IP": "u:p@h"}, "DVR_IP: "),
        ({"DVR_PASSWORD": "s3cret"}, "DVR_URL: is not set, but a user or password for it is"),
        ({"DVR_FAILURES": "0"}, "DVR_FAILURES: '0' is not a whole number above 0"),
        ({"DVR_DOWN": "soon"}, "DVR_DOWN: "),
        ({"DVR_ULR": "rtsp://h"}, "DVR_ULR: unknown key; did you mean DVR_URL?"),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_not_quoted(environ: dict[str, str], said: str) -> None:
    told = problem(environ)

    assert told.startswith(said)
    assert "s3cret" not in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dvrs: {front: {}}", "dvrs.front: missing required field `url`; known keys: url, username"),
        ("dvrs: {front: {url: rtsp://h/s, user: x}}", "dvrs.front: unknown key `user`"),
        ("dvrs: {front: {url: rtsp://h/s, interval: 0}}", "dvrs.front: '0' must be longer than 0"),
        ("dvrs: {front: {url: rtsp://h/s, password_file: /no/where}}", "dvrs.front: password_file: /no/where cannot"),
        ("dvrs: {'front door': {url: rtsp://h/s}}", "dvrs.front door: letters, digits"),
        ("dvrs: {front: {url: 'http://u:s3cret@h'}}", "dvrs.front: must be a URL that begins with rtsp://"),
    ],
)
def test_a_wrong_file_is_told_with_the_key(tmp_path: Path, text: str, said: str) -> None:
    config = tmp_path / "vv.yml"
    config.write_text(text)
    told = problem({"VV_CONFIG": str(config)})

    assert told.startswith(said)
    assert "s3cret" not in told

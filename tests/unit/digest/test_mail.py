"""What a digest looks like, in text and HTML, and as a mail."""

import re
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import html5lib
import msgspec
import pytest

from tests.support.browser import WIDTHS, Browser, opened, problems
from tests.support.clock import Clock
from tests.support.digests import DAY, day
from tests.support.receivers import MailServer
from tests.support.states import HOSTILE, LONG
from vv_exporter.digest import Digest, FootageDay, digest, history, mail
from vv_exporter.messages import smtp
from vv_exporter.settings import Settings, load
from vv_exporter.state.store import Store

NOW = 1_795_762_800.0
STATUS = "http://127.0.0.1:19461"
TAGS = set("html head meta title body div h1 h2 p table tbody tr td bdi br b span a".split())  # noqa: SIM905


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Digest]:
    store = Store(tmp_path_factory.mktemp("digest") / "state.db", Clock(NOW))
    day(store, NOW)
    footage = FootageDay("gate", "2026-11-26", 0.99, 860.0, {"dvr_down": 860.0}, 1)
    quiet = FootageDay("yard", "2026-11-26", None, 0.0, {}, 0)
    past = history.read(store, NOW - DAY, NOW)
    yield digest(past, "edge-7", NOW - DAY, NOW, footage=(footage, quiet))
    store.close()


def emptied(full: Digest) -> Digest:
    nothing: tuple[Any, ...] = ()
    alerts = msgspec.structs.replace(
        full.alerts, began=0, severities={}, components=(), ended=0, median=None, longest=None, still_open=0, open=()
    )
    lists = dict.fromkeys(("stages", "videos", "jobs", "uptimes", "disks", "footage", "deliveries"), nothing)
    return msgspec.structs.replace(full, alerts=alerts, **lists)


def renamed(value: Any, name: str) -> Any:
    """Everything that has a name is called this."""
    if isinstance(value, msgspec.Struct):
        named = {
            field: name if field in ("name", "title", "component", "error", "destination", "longest_title") else
            renamed(getattr(value, field), name)
            for field in value.__struct_fields__
        }  # fmt: skip
        return type(value)(**named)
    return tuple(renamed(one, name) for one in value) if isinstance(value, tuple) else value


def shown(html: str) -> str:
    """The text that a mail program shows."""
    body = html5lib.parse(html, namespaceHTMLElements=False).find("body")
    return " ".join("".join(body.itertext()).split())


def test_footage_of_each_day_is_told_with_the_causes(full: Digest) -> None:
    told = "gate, 2026-11-26, the DVR gave no stream 14m 20s, 1 file cannot be played"

    assert f" 99.0 %  {told}\n" in mail.text(full, STATUS)
    assert "      -  yard, 2026-11-26\n" in mail.text(full, STATUS)
    assert "gate2026-11-26, the DVR gave no stream 14m 20s, 1 file cannot be played 99.0 %" in shown(
        mail.html(full, STATUS)
    )


def test_the_subject_is_the_whole_in_a_line(full: Digest) -> None:
    assert mail.subject(full) == (
        "[DIGEST] edge-7: 6 alerts (1 critical, 4 error, 1 warning), 2 still open, 2 jobs missed, "
        "1 notification given up"
    )
    assert mail.subject(emptied(full)) == "[DIGEST] edge-7: all quiet"


@pytest.mark.parametrize("part", ["text", "html"])
def test_both_parts_tell_every_number(full: Digest, part: str) -> None:
    text = " ".join(mail.text(full, STATUS).split()) if part == "text" else shown(mail.html(full, STATUS))

    for wanted in (
        "2026-11-26 07:00 UTC to 2026-11-27 07:00 UTC",
        "1 critical, 1 error",
        "half of them within 11m 2s, the longest after 3h (summarize_scene is stuck)",
        "DVR front is away",
        "since 2026-11-27 05:00 UTC",
        "40 runs",
        "7 failed, 1 crashed, 2 over their limit",
        "/srv/video/input/gate-0031.mp4",
        "no key frame in 31 s",
        "97.9 %",
        "down for 30m, restarted 1 time",
        "down for 1h 1m",
        "48.0 GB free",
        "filled by 24.0 GB a day, full in 2d if it goes on",
        "3 failed and were tried again",
        "1 given up",
    ):
        assert wanted in text, wanted
    assert "second line" not in text


def test_a_quiet_day_is_short(full: Digest) -> None:
    assert mail.text(emptied(full), STATUS).splitlines()[:5] == [
        "edge-7: all quiet",
        "2026-11-26 07:00 UTC to 2026-11-27 07:00 UTC",
        "",
        "ALERTS",
        "  none began",
    ]
    assert len(mail.text(emptied(full), STATUS).splitlines()) < 12


def test_hostile_names_are_text(full: Digest) -> None:
    html = mail.html(renamed(full, HOSTILE), STATUS)
    document = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)

    assert {element.tag for element in document.iter() if isinstance(element.tag, str)} <= TAGS
    assert {element.get("href").partition("?")[0] for element in document.iter("a")} == {
        f"{STATUS}/",
        f"{STATUS}/timeline",
    }
    assert '<script>alert("x")</script>&{{7*7}}' in shown(html)
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in html


def test_names_are_one_line_in_the_text(full: Digest) -> None:
    text = mail.text(renamed(full, "a\n\nALERTS\r\n\x1b[31m  none began\u2028"), STATUS)

    assert text.splitlines().count("ALERTS") == 1
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028]", text) == []


def test_very_many_and_very_long_names_are_cut(full: Digest) -> None:
    many = msgspec.structs.replace(full, **{name: getattr(full, name) * 200 for name in ("stages", "jobs", "uptimes")})
    html, text = mail.html(renamed(many, LONG * 10), STATUS), mail.text(renamed(many, LONG * 10), STATUS)

    assert "and 980 more that were better" in text
    assert "and 980 more that were better" in shown(html)
    assert len(html) < 100_000
    assert max(map(len, text.splitlines())) < 400


def test_the_same_digest_has_the_same_id(full: Digest) -> None:
    first, again = (mail.message(full, "vv@example.org", "ana@example.org", NOW + late, STATUS) for late in (0, 99))
    other = mail.message(msgspec.structs.replace(full, until=NOW + 1), "vv@example.org", "a@example.org", NOW, STATUS)

    assert first["Message-ID"] == again["Message-ID"] != other["Message-ID"]
    assert first["Message-ID"].endswith("@example.org>")


def settings(smarthost: str, **environ: str) -> Settings:
    return load(
        {
            "SMTP_SMARTHOST": smarthost,
            "SMTP_FROM": "VV <vv@example.org>",
            "ALERT_EMAIL_TO": "ana@example.org, Rui <rui@example.org>",
            "SMTP_REQUIRE_TLS": "false",
            **environ,
        }
    )


def made(full: Digest) -> EmailMessage:
    return mail.message(full, "VV <vv@example.org>", "ana@example.org, Rui <rui@example.org>", NOW, STATUS)


def test_a_real_server_takes_it_with_both_parts(full: Digest) -> None:
    with MailServer() as server:
        refused = smtp.send(made(full), settings(server.smarthost))
        got = server.wait_for()

    assert server.violations == []
    assert refused == []
    assert (got.sender, got.recipients) == ("vv@example.org", ["ana@example.org", "rui@example.org"])
    assert got.body("plain") == mail.text(full, STATUS)
    assert got.body("html") == mail.html(full, STATUS)


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.exhaustive
def test_it_fits_any_screen(full: Digest, chromium: Browser, tmp_path: Path, width: int) -> None:
    page_ = tmp_path / "digest.html"
    page_.write_text(mail.html(renamed(full, LONG), STATUS))

    with opened(chromium, page_.as_uri(), width=width) as page:
        assert problems(page) == []

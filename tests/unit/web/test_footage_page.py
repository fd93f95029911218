"""The page of footage, its document and `vv footage` say the same: what is there, what is missing, and why."""

import re
import time
from html import unescape

import html5lib
import pytest
import requests
from click.testing import CliRunner

from tests.support.states import HOSTILE
from tests.unit.web.conftest import Serve
from vv_exporter.cli import vv
from vv_exporter.common.clock import isoformat
from vv_exporter.context import Context
from vv_exporter.footage import states
from vv_exporter.footage.ledger import DAY, add_footage, milliseconds
from vv_exporter.footage.words import length
from vv_exporter.web import create_app

HOUR = 3_600_000


def entered(context: Context, dvr: str, *spans: tuple[int, int], step: str = "recorded") -> None:
    with context.store.transaction() as tx:
        for start, end in spans:
            add_footage(tx, dvr, step, start, end)


@pytest.fixture
def now(context: Context) -> int:
    return milliseconds(context.clock()) // 1000 * 1000


@pytest.fixture
def url(context: Context, serve: Serve) -> str:
    return serve(create_app(context, [])).url


def text(url: str) -> str:
    answer = requests.get(url, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.text


def rows(page: str) -> list[list[str]]:
    document = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    return [["".join(cell.itertext()) for cell in row] for row in document.iter("tr")][1:]


def test_where_nothing_is_known_it_says_how_it_becomes_known(url: str) -> None:
    assert "No footage is known" in text(f"{url}/footage")
    assert requests.get(f"{url}/api/v1/footage", timeout=30).json()["cameras"] == []
    assert CliRunner().invoke(vv, ["footage", "--url", url]).output == "no footage is known\n"


def test_page_document_and_command_say_the_same(context: Context, url: str, now: int) -> None:
    start = now - 5 * HOUR
    entered(context, HOSTILE, (now - DAY, start), (start + 860_000, now))
    with context.store.transaction() as tx:
        states.lasted(tx, HOSTILE, "dvr_down", start / 1000 + 10, start / 1000 + 855, f"refused {HOSTILE}")
    page = text(f"{url}/footage")
    document = requests.get(f"{url}/api/v1/footage", timeout=30).json()
    result = CliRunner().invoke(vv, ["footage", "--url", url])

    (camera,) = document["cameras"]
    (missing,) = camera["missing"]
    assert (missing["start"], missing["end"], missing["cause"]) == (start / 1000, start / 1000 + 860, "dvr_down")
    assert camera["missing_by_cause"] == {"dvr_down": 860}
    ((since, until, took, why),) = rows(page)
    shown = isoformat(missing["start"])[:-1].replace("T", " ")
    assert (since, until, took) == (shown, isoformat(missing["end"])[11:-1], "14 min 20 s")
    assert why.startswith("the DVR gave no stream (refused")
    assert "14 min 20 s missing" in page
    assert result.exit_code == 0
    assert f"{isoformat(missing['start'])} to {isoformat(missing['end'])}   14 min 20 s  the DVR gave" in result.output
    assert "<script>alert" not in page
    (link,) = re.findall(r'<a href="(/timeline[^"]*)" aria-label="([^"]*)"', page)
    assert unescape(link[1]).startswith(f"14 min 20 s missing from {shown}: the DVR gave no stream")
    assert requests.get(url + unescape(link[0]), timeout=30).status_code == 200


def test_a_day_can_be_asked_for(context: Context, url: str, now: int) -> None:
    midnight = now // DAY * DAY
    entered(context, "gate", (midnight - 3 * DAY, midnight - 2 * DAY), (midnight - 2 * DAY + HOUR, midnight - DAY))
    day = isoformat((midnight - 2 * DAY) / 1000)[:10]

    (hole,) = rows(text(f"{url}/footage?day={day}"))
    assert hole[2:] == ["1 h", "unknown"]
    output = CliRunner().invoke(vv, ["footage", "--url", url, "--day", day]).output
    assert f"{day}T00:00:00Z to {day}T01:00:00Z" in output
    assert f'aria-label="{day}: 1 h missing"' in text(f"{url}/footage")


@pytest.mark.parametrize("day", ["soon", "2026-02-30", "0001-01-01", "9999-12-31", "<b>", "-1", "1e99"])
def test_what_is_no_day_is_said(url: str, day: str) -> None:
    page = requests.get(f"{url}/footage", params={"day": day}, timeout=30)
    answer = requests.get(f"{url}/api/v1/footage", params={"day": day}, timeout=30)
    result = CliRunner().invoke(vv, ["footage", "--url", url, "--day", day])

    assert (page.status_code, answer.status_code, result.exit_code) == (400, 400, 2)
    assert "is no day" in answer.text
    assert "is no day" in result.output
    assert "<b>" not in page.text


def test_a_day_to_come_is_empty(url: str) -> None:
    text(f"{url}/footage?day={isoformat(time.time() + 3 * 86_400)[:10]}")


def test_sixteen_cameras_and_thirty_days_are_a_small_page(context: Context, url: str, now: int) -> None:
    """Each camera has sixteen holes a day, each with a cause; those that are not shown singly are counted."""
    with context.store.transaction() as tx:
        for camera in range(16):
            for hole in range(16 * 30):
                at = now - 30 * DAY + hole * (DAY // 16)
                add_footage(tx, f"camera {camera}", "recorded", at, at + DAY // 16 - 60_000 - hole)
                states.lasted(
                    tx, f"camera {camera}", "dvr_down", (at + DAY // 16) / 1000 - 50, (at + DAY // 16) / 1000 - 1
                )
    page = text(f"{url}/footage")

    html5lib.HTMLParser(strict=True).parse(page)
    assert len(page.encode()) < 150_000
    assert page.count('class="strip"') == 32
    assert "shorter ones are not listed" in page


def test_a_strip_needs_no_script_and_names_what_it_shows(context: Context, url: str, now: int) -> None:
    entered(context, "gate", (now - DAY, now - HOUR))
    page = text(f"{url}/footage")

    assert 'aria-label="gate: what is there, and what is missing"' in page
    assert page.count("<script") == 1  # that of all pages
    assert not re.search(r"<[^>]* style=", page)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (0.4, "under 1 s"), (59.6, "1 min"), (860, "14 min 20 s"), (3600, "1 h"), (90_061, "1 d 1 h")],
)
def test_a_length_in_words(seconds: float, said: str) -> None:
    assert length(seconds) == said


def test_of_very_many_cameras_those_are_shown_of_which_most_is_missing(context: Context, url: str, now: int) -> None:
    for camera in range(40):
        entered(
            context, f"camera {camera:02}", (now - 10 * HOUR, now - 9 * HOUR), (now - 9 * HOUR + camera * 1000, now)
        )
    page = text(f"{url}/footage")

    assert page.count('class="strip"') == 2 * 32
    assert "camera 39" in page
    assert "camera 07" not in page
    assert "And 8 more, of which less is missing" in page

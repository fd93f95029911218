"""The page /silence and `vv silence` at a real Alertmanager: what they say is what it does."""

import json
import re
import time
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

import pytest
import requests
from click.testing import CliRunner, Result

from tests.support.exporter import Exporter
from tests.support.hostile import HOSTILE
from tests.support.ports import free_port
from tests.support.servers import Alertmanager, Programs
from tests.support.waiting import wait_until
from vv_exporter.cli import vv
from vv_exporter.common.matchers import Matcher, to_filter

pytestmark = pytest.mark.prometheus

WATCHDOG = {"alertname": "Watchdog", "severity": "none", "component": "prometheus", "device": "edge-7"}


class Device(NamedTuple):
    """An exporter, and the Alertmanager that it sends to."""

    exporter: Exporter
    alertmanager: Alertmanager

    def page(self, filter_: str) -> requests.Response:
        return requests.get(f"{self.exporter.url}/silence", params={"filter": filter_}, timeout=60)

    def send(self, page: requests.Response, **fields: str) -> requests.Response:
        """The form of the page, filled in; what is shown afterwards."""
        hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text.partition('id="h-now"')[0])
        form = {name: unescape(value) for name, value in hidden} | {"do": "add", "for": "1h", "reason": "why"}
        return requests.post(f"{self.exporter.url}/silence", data=form | fields, timeout=60)

    def token(self) -> str:
        found = re.search(r'name="token" value="([^"]*)"', self.page('{alertname="X"}').text)
        assert found is not None
        return found[1]

    def vv(self, *arguments: str) -> Result:
        return CliRunner().invoke(vv, ["silence", *arguments], env=self.exporter.environ)

    def silenced(self) -> list[str]:
        """The titles of what Alertmanager silences."""
        found = json.loads(self.alertmanager.get("/api/v2/alerts?active=false&inhibited=false"))
        return [alert["labels"].get("title", alert["labels"]["alertname"]) for alert in found]

    def end_all(self) -> None:
        for one in json.loads(self.vv("list", "--json").output):
            assert self.vv("end", one["id"]).exit_code == 0


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory, programs: Programs) -> Iterator[Device]:
    folder = tmp_path_factory.mktemp("silences")
    (folder / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    port = free_port()
    environ = {"VV_ALERTMANAGER_PORT": str(port), "VV_DEVICE_ID": "edge-7"}
    with (
        Alertmanager(folder / "alertmanager.yml", folder / "data", programs, port) as alertmanager,
        Exporter(folder / "state", **environ) as exporter,
    ):
        alertmanager.post_alert(WATCHDOG)
        for title in HOSTILE.values():
            alertmanager.post_alert({"alertname": "VVEvent", "device": "edge-7", "title": title}, {"summary": title})
        alertmanager.post_alert({"alertname": "Slow", "device": "edge-7", "title": "a" * 60 + "!"})
        yield Device(exporter, alertmanager)


@pytest.fixture(autouse=True)
def nothing_silenced(device: Device) -> Iterator[None]:
    yield
    device.end_all()


@pytest.mark.parametrize("title", HOSTILE.values(), ids=HOSTILE)
def test_just_that_alert_is_silenced_whatever_its_name_holds(device: Device, title: str) -> None:
    wanted = [Matcher("alertname", "=", "VVEvent"), Matcher("device", "=", "edge-7"), Matcher("title", "=", title)]

    shown = device.send(device.page(to_filter(wanted)))

    assert shown.status_code == 200, shown.text
    assert "It is silenced: " in shown.text
    assert device.silenced() == [title]


def test_a_silence_ends_by_its_button(device: Device) -> None:
    device.send(device.page('{alertname="Slow"}'))
    (one,) = json.loads(device.vv("list", "--json").output)

    shown = device.send(device.page(""), do="end", id=one["id"], token=device.token())

    assert "That silence has ended: alertname=Slow" in shown.text
    assert device.silenced() == []
    again = f"{device.exporter.url}/silence?made={one['id']}"
    assert "It is silenced" not in requests.get(again, timeout=20).text


@pytest.mark.parametrize(
    "expression",
    [".+", "Watch.*", "(?i)watchdog", r"\pL+", "[[:alpha:]]+", "Watchdog|X", "(?s:.*)W.*"],
)
def test_what_would_silence_the_watchdog_is_refused_as_alertmanager_reads_it(device: Device, expression: str) -> None:
    """Expressions are RE2's; Python reads some of them otherwise."""
    page = device.page(f'{{alertname=~"{json.dumps(expression)[1:-1]}"}}')
    by_command = device.vv("add", f"alertname=~{expression}", "--for", "1h", "--reason", "x")

    assert (page.status_code, "Watchdog too" in page.text, "Silence this?" in page.text) == (400, True, False)
    filter_ = to_filter([Matcher("alertname", "=~", expression)])
    assert device.send(page, filter=filter_, token=device.token()).status_code == 400
    assert (by_command.exit_code, "Watchdog too" in by_command.output) == (2, True)
    assert device.silenced() == []


def test_no_expression_takes_long(device: Device) -> None:
    """Python would compare this one with that title for longer than the device lives."""
    page = device.page('{title=~"(a+)+$"}')

    assert page.status_code == 200
    assert "No alert that fires now has them" in page.text


def test_what_is_no_expression_is_told(device: Device) -> None:
    page = device.page('{alertname="VVEvent",title=~"("}')
    by_command = device.vv("add", "VVEvent", "title=~(", "--for", "1h", "--reason", "x")

    assert (page.status_code, "Alertmanager answered 400" in page.text) == (400, True)
    assert (by_command.exit_code, "Alertmanager answered 400" in by_command.output) == (1, True)


def test_the_command_line_makes_lists_and_ends(device: Device) -> None:
    made = device.vv("add", "VVEvent", "title=0123", "--for", "90m", "--reason", " new disk ", "--by", "ana")
    id_ = made.output.split()[0]

    assert (made.exit_code, made.output.splitlines()[1:]) == (0, ["  silenced now: 0123"])
    assert device.silenced() == ["0123"]
    (one,) = json.loads(device.vv("list", "--json").output)
    assert (one["id"], one["author"], one["reason"]) == (id_, "ana", "new disk")
    assert 5000 < one["ends"] - time.time() <= 5400
    assert device.vv("list").output.startswith(f"{id_}  until ")
    assert device.vv("end", id_).output == f"{id_}  ended\n"
    assert device.vv("list").output == "nothing is silenced\n"
    assert device.vv("list", "--ended").output.count(f"{id_}  ended ") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("add", "X", "--for", "0s", "--reason", "x"), 2, "longer than 0"),
        (("add", "X", "--for", "9999d", "--reason", "x"), 2, "longer than a year"),
        (("add", "X", "--for", "soon", "--reason", "x"), 2, "soon"),
        (("add", "X", "--for", "1h", "--reason", " "), 2, "say why"),
        (("add", "severity!=critical", "--for", "1h", "--reason", "x"), 2, "everything"),
        (("end", "00000000-0000-0000-0000-000000000000"), 1, "404"),
        (("end", "../alerts"), 1, "no id"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(device: Device, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = device.vv(*arguments)

    assert (done.exit_code, said in done.output.splitlines()[-1]) == (code, True), done.output


def test_the_timeline_tells_of_it_whoever_made_it(device: Device) -> None:
    def titles() -> list[str]:
        answer = requests.get(f"{device.exporter.url}/api/v1/timeline", params={"component": "by-amtool"}, timeout=20)
        return [moment["title"] for moment in answer.json()["moments"]]

    made = device.vv("add", "Other", "component=by-amtool", "--for", "2h", "--reason", "x")
    wait_until(lambda: titles() == ["Silenced for 2 h: alertname=Other component=by-amtool"], 60, what="it")
    device.vv("end", made.output.split()[0])
    wait_until(lambda: len(titles()) == 2, 60, what="its end")

    assert titles()[0] == "No longer silenced: alertname=Other component=by-amtool"

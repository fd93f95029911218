"""The pages for people: valid, inert, small, and never waiting for what hangs."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import html5lib
import pytest
import requests
from werkzeug.test import Client

from tests.support.clock import Clock
from tests.support.states import HOSTILE, LONG, device, empty
from tests.unit.web.conftest import Serve
from vv_exporter.alertmanager.client import DeliveryError
from vv_exporter.context import Context
from vv_exporter.language import languages
from vv_exporter.state.timeline import Entry, add_to_timeline
from vv_exporter.web import create_app
from vv_exporter.web.firing import Answer, Firing
from vv_exporter.web.pages import link, steps
from vv_exporter.web.report import Report
from vv_exporter.web.routes import Site

SCRIPTS_OF_OUR_OWN = 1


def alert(number: int = 0, severity: str = "error", **changes: Any) -> dict[str, Any]:
    return {
        "labels": {"alertname": f"Alert{number}", "severity": severity, "component": HOSTILE, "name": str(number)},
        "annotations": {
            "summary": f"{number} {HOSTILE}",
            "description": f"{HOSTILE}\n{LONG}" * 20,
            "suggested_actions": f"1. Look: `ls {HOSTILE}`\n2. Think",
            "runbook_url": "https://example.org/runbook",
            "video": f"/v/{HOSTILE}.mp4",
        },
        "startsAt": "2026-01-01T00:00:00Z",
        "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
        **changes,
    }


@dataclass
class Says:
    """What Alertmanager's client is made to say."""

    alerts: list[dict[str, Any]] | None = None

    def __call__(self, _: object) -> list[dict[str, Any]]:
        if self.alerts is None:
            raise DeliveryError("nobody there")
        return self.alerts


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Says:
    says = Says([])
    monkeypatch.setattr("vv_exporter.web.report.Alertmanager.alerts", lambda client: says(client))
    return says


@pytest.fixture(params=["healthy", "broken", "without Docker", "nothing configured", "Alertmanager absent"])
def url(request: pytest.FixtureRequest, context: Context, serve: Serve, says: Says) -> str:
    """A device in each of its states."""
    now = context.clock()
    states: dict[str, Callable[[], Any]] = {
        "healthy": lambda: device(now),
        "broken": lambda: device(now, broken=True, stages=(HOSTILE, LONG)),
        "without Docker": lambda: device(now, docker=False),
        "nothing configured": lambda: empty(now),
        "Alertmanager absent": lambda: device(now),
    }
    if request.param == "broken":
        says.alerts = [alert(number, level) for number, level in enumerate(("critical", "error", "warning", "info"))]
    if request.param == "Alertmanager absent":
        says.alerts = None
    with context.store.transaction() as tx:
        for _ in range(3):
            add_to_timeline(
                tx, tx.now, Entry("stage.failed", HOSTILE, "error", HOSTILE, f"{HOSTILE}\n" * 30, f"/v/{HOSTILE}", "ab")
            )
    return serve(create_app(context, states[request.param]())).url


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/timeline",
        "/timeline?around=1h&component=%3Cscript%3E",
        "/timeline?at=1h&component=%3Cscript%3E",
        "/timeline?since=soon",
        "/footage",
        "/footage?day=%3Cscript%3E",
    ],
)
def test_every_page_is_valid_and_hostile_names_are_inert(url: str, path: str) -> None:
    answer = requests.get(url + path, timeout=10)
    document = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(answer.text)

    assert answer.text.count("<script") == SCRIPTS_OF_OUR_OWN
    assert list(document.iter("img")) == []
    handlers = [name for element in document.iter() for name in element.attrib if str(name).startswith("on")]
    assert handlers == []
    ids = Counter(element.get("id") for element in document.iter() if element.get("id"))
    assert [name for name, count in ids.items() if count > 1] == []
    labelled = [element.get("aria-labelledby") for element in document.iter() if element.get("aria-labelledby")]
    assert set(labelled) <= set(ids)


@pytest.mark.parametrize("path", ["/", "/timeline"])
def test_nothing_may_run_but_our_own_script_and_style(url: str, path: str) -> None:
    headers = requests.get(url + path, timeout=10).headers

    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


def page(url: str, path: str = "/") -> str:
    return requests.get(url + path, timeout=10).text


def sections(text: str) -> list[str]:
    document = html5lib.parse(text, namespaceHTMLElements=False)
    return [str(one.get("id")) for one in document.iter("section")]


def test_what_is_urgent_comes_first_and_what_is_not_there_is_left_out(
    context: Context, serve: Serve, says: Says
) -> None:
    says.alerts = [alert()]
    broken = serve(create_app(context, device(context.clock(), broken=True))).url
    nothing = serve(create_app(context, empty(context.clock()))).url

    assert sections(page(broken)) == [
        "alerts", "seen", "containers", "stages", "dvrs", "jobs", "storage", "videos", "security", "failures",
        "delivery", "exporter",
    ]  # fmt: skip
    assert sections(page(nothing)) == ["alerts", "nothing", "delivery", "exporter"]


def test_the_page_the_api_and_metrics_say_the_same(context: Context, serve: Serve, says: Says) -> None:
    url = serve(create_app(context, device(context.clock(), broken=True))).url
    status = requests.get(f"{url}/api/v1/status", timeout=10).json()
    metrics = requests.get(f"{url}/metrics", timeout=10).text

    text = page(url)
    assert "Needs attention" in text
    for trouble in status["troubles"]:
        assert trouble in text
    assert {one["name"] for one in status["containers"] if not one["running"]} == {"vv-0", "vv-1"}
    assert 'vv_container_running{name="vv-0"} 0.0' in metrics
    assert 'vv_container_running{name="vv-2"} 1.0' in metrics


def test_it_stays_small_whatever_the_device_has(context: Context, serve: Serve, says: Says) -> None:
    with context.store.transaction() as tx:
        for number in range(10_000):
            component = f"scan-{number % 50}"
            add_to_timeline(
                tx,
                tx.now - number,
                Entry("stage.failed", f"Stage {number} failed", "error", component, "no frames\n" * 50),
            )
    stages = [f"stage_{number}" for number in range(20)]
    url = serve(create_app(context, device(context.clock(), containers_=50, stages=stages, broken=True))).url
    says.alerts = [alert(number) for number in range(200)]

    for path, language in itertools.product(("/", "/timeline"), languages()):
        headers = {"Accept-Encoding": "identity", "Accept-Language": language}
        answer = requests.get(url + path, headers=headers, timeout=10)
        assert len(answer.content) < 100_000, (path, language)
    assert "and 180 more: vv status" in page(url)


def test_pages_are_compressed_for_who_accepts_it(url: str) -> None:
    answer = requests.get(f"{url}/", headers={"Accept-Encoding": "gzip"}, timeout=10)

    assert answer.headers["Content-Encoding"] == "gzip"
    assert "</html>" in answer.text


def test_the_timeline_can_be_followed_back_to_its_beginning(context: Context, serve: Serve) -> None:
    with context.store.transaction() as tx:
        for number in range(120):
            add_to_timeline(tx, tx.now - number, Entry("note", f"moment-{number}-", component=f"c{number % 7}"))
    url = serve(create_app(context, empty(context.clock()))).url
    seen: list[str] = []
    path = "/timeline"
    while path:
        document = html5lib.parse(page(url, path), namespaceHTMLElements=False)
        seen += [str(one.text) for one in document.iter("strong")]
        path = next((str(one.get("href")) for one in document.iter("a") if one.get("id") == "older"), "")

    assert seen == [f"moment-{number}-" for number in range(120)]


def test_the_timeline_can_be_asked_for_a_moment(context: Context, serve: Serve) -> None:
    with context.store.transaction() as tx:
        now = tx.now
        for number in range(10):
            add_to_timeline(tx, now - 600 * number, Entry("note", f"moment-{number}-"))
    url = serve(create_app(context, empty(now))).url
    text = page(url, f"/timeline?around={now - 3000:.0f}")

    assert [number for number in range(10) if f"moment-{number}-" in text] == [4, 5, 6]
    assert text.count('class="moment info marked"') == 1


def entries(text: str) -> list[tuple[str, str]]:
    """Id and title of each entry on a page."""
    document = html5lib.parse(text, namespaceHTMLElements=False)
    moments = [one for one in document.iter("li") if str(one.get("class")).startswith("moment")]
    return [(str(one.get("id")), str(next(one.iter("strong")).text)) for one in moments]


@pytest.mark.parametrize(
    ("component", "meant"),
    [("scan%20%26%20video", "scan failed"), ("Scan", "scan failed"), ("nobody", "disk filled"), ("", "disk filled")],
)
def test_a_link_leads_to_the_moment_of_a_component_with_all_that_happened_around_it(
    context: Context, serve: Serve, component: str, meant: str
) -> None:
    with context.store.transaction() as tx:
        now = tx.now
        add_to_timeline(tx, now - 4000, Entry("note", "long before"))
        add_to_timeline(tx, now - 2120, Entry("stage.failed", "scan failed", "error", "scan & video"))
        add_to_timeline(tx, now - 2020, Entry("disk.full", "disk filled", "error", "system"))
        add_to_timeline(tx, now - 1900, Entry("stage.failed", "scan failed later", "error", "scan & video"))
        add_to_timeline(tx, now - 10, Entry("note", "long after"))
    url = serve(create_app(context, empty(now))).url
    found = entries(page(url, f"/timeline?at={now - 2030:.0f}&component={component}"))

    assert [title for _, title in found] == ["scan failed later", "disk filled", "scan failed"]
    assert [title for id_, title in found if id_ == "entry"] == [meant]


def test_a_link_leads_to_its_moment_through_a_storm(context: Context, serve: Serve) -> None:
    with context.store.transaction() as tx:
        now = tx.now
        for number in range(2000):
            add_to_timeline(
                tx, now - number / 10, Entry("note", "storm", "info", f"c{number % 50}", details="x" * 1400)
            )
        add_to_timeline(tx, now - 100, Entry("stage.failed", "meant", "error", "scan_video"))
    url = serve(create_app(context, empty(now))).url
    text = page(url, f"/timeline?at={now - 95:.0f}&component=scan_video")
    found = entries(text)
    place = found.index(("entry", "meant"))

    assert len(text) < 100_000
    assert place >= 10
    assert len(found) - place >= 10
    assert 'id="newer"' in text
    assert 'id="older"' in text


def test_each_entry_links_to_itself(context: Context, serve: Serve) -> None:
    with context.store.transaction() as tx:
        for number in range(20):
            add_to_timeline(tx, tx.now - number * 0.01, Entry("note", f"moment {number}", component=HOSTILE))
    url = serve(create_app(context, empty(context.clock()))).url
    document = html5lib.parse(page(url, "/timeline"), namespaceHTMLElements=False)
    links = [str(one.get("href")) for one in document.iter("a") if str(one.get("href")).endswith("#entry")]

    assert len(links) == 20
    for number, link_ in enumerate(links):
        assert ("entry", f"moment {number}") in entries(page(url, link_.partition("#")[0]))


def test_the_timeline_as_json(context: Context, serve: Serve) -> None:
    with context.store.transaction() as tx:
        add_to_timeline(tx, tx.now, Entry("stage.failed", "Stage failed", "error", "scan.py", video="/v/a.mp4"))
        add_to_timeline(tx, tx.now - 5, Entry("note", "Began"))
    url = serve(create_app(context, empty(context.clock()))).url
    found = requests.get(f"{url}/api/v1/timeline", params={"limit": "1"}, timeout=10).json()
    rest = requests.get(f"{url}/api/v1/timeline", params={"before": found["older"]}, timeout=10).json()

    assert [(one["kind"], one["video"]) for one in found["moments"]] == [("stage.failed", "/v/a.mp4")]
    assert [one["title"] for one in rest["moments"]] == ["Began"]
    assert rest["older"] == ""


@pytest.mark.parametrize("path", ["/", "/timeline", "/footage", "/runbooks/", "/silence", "/api/v1/status", "/nowhere"])
def test_parameters_that_are_no_text_are_refused(context: Context, path: str) -> None:
    app = Client(create_app(context, empty(context.clock())))
    environ = {"QUERY_STRING": b"lang=\x80".decode("latin-1")}

    assert app.get(path, environ_overrides=environ).status_code == 400


@pytest.mark.parametrize(
    "query",
    ["since=soon", "severity=bad", "limit=0", "limit=x", "before=1", "around=%00", "at=x", "until=1e400", "before=1_x"],
)
def test_what_makes_no_sense_is_said(context: Context, serve: Serve, query: str) -> None:
    url = serve(create_app(context, empty(context.clock()))).url

    assert requests.get(f"{url}/timeline?{query}", timeout=10).status_code == 400
    answer = requests.get(f"{url}/api/v1/timeline?{query}", timeout=10)
    assert answer.status_code == 400
    assert answer.text.count("\n") == 1


@pytest.mark.parametrize("name", ["at", "around", "since", "until"])
@pytest.mark.parametrize(
    "time", ["999999999999", "1795900000000", "0702-06-15T00:00:00Z", "9999-12-31T23:59:59Z", "1e308"]
)
def test_a_time_that_cannot_be_is_refused_by_the_name_of_its_parameter(
    context: Context, serve: Serve, name: str, time: str
) -> None:
    url = serve(create_app(context, empty(context.clock()))).url
    answer = requests.get(f"{url}/api/v1/timeline?{name}={time}", timeout=10)

    assert (answer.status_code, answer.text.partition(":")[0]) == (400, name)
    page_ = requests.get(f"{url}/timeline?{name}={time}", timeout=10)
    assert page_.status_code == 400
    assert f"{name}: " in page_.text


@pytest.mark.parametrize("time", ["100000w", "999999999999999s", "0", "1970-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
@pytest.mark.parametrize("name", ["at", "around", "since", "until"])
def test_any_time_that_a_clock_can_show_gives_a_page(context: Context, serve: Serve, name: str, time: str) -> None:
    url = serve(create_app(context, empty(context.clock()))).url

    assert requests.get(f"{url}/timeline?{name}={time}", timeout=10).status_code == 200
    assert requests.get(f"{url}/api/v1/timeline?{name}={time}", timeout=10).status_code == 200


def test_what_an_older_version_believed_is_still_shown(context: Context, serve: Serve) -> None:
    with context.store.transaction() as tx:
        for time in (-4e10, 1.7959e11, 1.7959e12, 1e308):
            tx.append("timeline", time, {"kind": "k", "title": f"of {time}", "severity": "error"})
    url = serve(create_app(context, empty(context.clock()))).url

    text = requests.get(f"{url}/timeline?since=", timeout=10).text

    assert "9999-12-31" in text
    assert "7660-12-23" in text


@pytest.mark.parametrize(
    ("address", "followed"),
    [
        ("https://example.org/a", True),
        ("http://h", True),
        ("javascript:alert(1)", False),
        ("https://", False),
        ("//h", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_only_addresses_of_pages_become_links(address: str, followed: bool) -> None:
    assert link(address) == (address if followed else "")


def test_suggested_actions_become_steps_with_commands() -> None:
    assert steps("1. Look: `ls -l`\n\n2) Think\n- an odd ` stays") == [
        ["Look: ", "ls -l", ""],
        ["Think"],
        ["an odd ` stays"],
    ]


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_an_alertmanager_that_hangs_does_not_keep_the_page(hanging: threading.Event) -> None:
    def ask() -> list[dict[str, Any]]:
        hanging.wait(30)
        return [alert()]

    firing = Firing(ask, Clock(5.0), time.monotonic)

    assert firing.get(0.01) == Answer()
    hanging.set()
    assert firing.get(10) == Answer([alert()], 5.0)


def test_the_last_answer_stays_with_its_time_when_alertmanager_goes() -> None:
    answers: list[list[dict[str, Any]]] = [[alert()]]
    clock, monotonic = Clock(100.0), Clock(0.0)

    def ask() -> list[dict[str, Any]]:
        if not answers:
            raise DeliveryError("gone")
        return answers.pop()

    firing = Firing(ask, clock, monotonic)
    assert firing.get(10).time == 100.0
    clock.advance(60)
    monotonic.advance(60)

    assert firing.get(10) == Answer([alert()], 100.0)


def test_the_age_of_alerts_is_said_when_alertmanager_has_gone(context: Context, says: Says) -> None:
    clock, monotonic = Clock(time.time()), Clock(0.0)
    report = Report(Site(replace(context, clock=clock, monotonic=monotonic), empty(clock()), []))
    says.alerts = [alert()]
    assert report.status(10).troubles[0].startswith("error: ")
    says.alerts = None
    clock.advance(300)
    monotonic.advance(300)

    found = report.status(10)
    assert found.troubles[0] == "Alertmanager does not answer: alerts are shown as of 5 min ago"
    assert [one.name for one in found.alerts or ()] == ["Alert0"]

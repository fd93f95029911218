"""What the exporter answers."""

import logging
import threading
from collections.abc import Callable, Iterable

import pytest
import requests
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from werkzeug import Request, Response

from tests.support.waiting import wait_until
from tests.unit.web.conftest import Serve
from vv_exporter.collectors import itself
from vv_exporter.context import Context
from vv_exporter.metrics.exporter import EVENTS
from vv_exporter.web import App, WebConfig, create_app
from vv_exporter.web.guard import Guarded
from vv_exporter.web.routes import Route
from vv_exporter.web.routes.metrics import deadline

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"


class Collecting:
    """A collector made of a function."""

    def __init__(self, name: str, collect: Callable[[], Iterable[Metric]]) -> None:
        self.name = name
        self.collect = collect


def things(value: float = 1.0) -> Guarded:
    return Guarded(
        Collecting("things", lambda: [GaugeMetricFamily("things", 'With "quotes"\nand lines.', value=value)])
    )


def text(_: Request) -> Response:
    return Response("here\n", content_type="text/plain")


@pytest.fixture
def url(context: Context, serve: Serve) -> str:
    return serve(create_app(context, [things()])).url


def test_metrics_come_as_plain_text_unless_something_else_is_asked_for(url: str) -> None:
    answer = requests.get(f"{url}/metrics", timeout=10)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "\nthings 1.0\n" in answer.text
    assert 'vv_collector_success{collector="things"} 1.0\n' in answer.text


def test_metrics_come_as_openmetrics_to_who_prefers_it(url: str) -> None:
    answer = requests.get(f"{url}/metrics", headers={"Accept": OPENMETRICS}, timeout=10)

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert "things" in {family.name for family in text_string_to_metric_families(answer.text)}


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text;version=abc", "text/plain;version=;;=", "\xff", ",,;"]
)
def test_an_accept_header_that_makes_no_sense_gets_plain_text(url: str, accept: str) -> None:
    answer = requests.get(f"{url}/metrics", headers={"Accept": accept.encode("latin-1")}, timeout=10)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_metrics_are_compressed_for_who_accepts_it(url: str) -> None:
    compressed = requests.get(f"{url}/metrics", headers={"Accept-Encoding": "gzip"}, timeout=10)
    plain = requests.get(f"{url}/metrics", headers={"Accept-Encoding": "identity"}, timeout=10)

    assert compressed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert int(compressed.headers["Content-Length"]) < int(plain.headers["Content-Length"])
    assert "\nthings 1.0\n" in compressed.text
    assert "\nthings 1.0\n" in plain.text


def test_a_scrape_does_not_wait_for_a_collector_longer_than_prometheus_does(context: Context, serve: Serve) -> None:
    release = threading.Event()

    def hang() -> Iterable[Metric]:
        release.wait(30)
        return []

    url = serve(create_app(context, [Guarded(Collecting("hanging", hang)), things()])).url
    headers = {"X-Prometheus-Scrape-Timeout-Seconds": "0.7"}
    try:
        answer = requests.get(f"{url}/metrics", headers=headers, timeout=10)
    finally:
        release.set()

    assert answer.elapsed.total_seconds() < 1.5

    assert "\nthings 1.0\n" in answer.text
    assert 'vv_collector_success{collector="hanging"} 0.0\n' in answer.text


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [(None, 2.0), ("10", 2.0), ("2", 1.5), ("0.1", 0.1), ("-5", 0.1), ("soon", 2.0), ("nan", 2.0), ("inf", 2.0)],
)
def test_collectors_get_what_the_scrape_can_wait(timeout: str | None, expected: float) -> None:
    assert deadline(timeout) == expected


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
def test_health_answers_get_and_head(url: str, path: str) -> None:
    assert requests.get(url + path, timeout=10).status_code == 200
    assert requests.head(url + path, timeout=10).status_code == 200


def test_it_is_not_ready_while_the_store_does_not_work(context: Context, serve: Serve) -> None:
    url = serve(create_app(context, [])).url
    context.store.close()

    answer = requests.get(f"{url}/-/ready", timeout=10)

    assert answer.status_code == 503
    assert answer.text.startswith("not ready: store: ")
    assert answer.text.count("\n") == 1
    assert requests.get(f"{url}/-/healthy", timeout=10).status_code == 200


def test_it_is_not_ready_while_the_store_hangs_and_says_so_in_time(context: Context, serve: Serve) -> None:
    url = serve(create_app(context, [])).url
    with context.store.transaction():
        answer = requests.get(f"{url}/-/ready", timeout=10)

    assert answer.status_code == 503
    assert "store: has not answered" in answer.text
    wait_until(lambda: requests.get(f"{url}/-/ready", timeout=10).status_code == 200)


def test_further_checks_can_keep_it_from_being_ready(context: Context, serve: Serve) -> None:
    def check() -> None:
        raise RuntimeError("journal cannot be read")

    url = serve(create_app(context, [], checks={"journal": check})).url

    assert (
        requests.get(f"{url}/-/ready", timeout=10).text == "not ready: journal: RuntimeError: journal cannot be read\n"
    )


def test_the_status_page_shows_the_device_and_what_fails_safely(context: Context, serve: Serve) -> None:
    def fail() -> Iterable[Metric]:
        raise OSError("out of <b>order</b>")

    url = serve(create_app(context, [things(), Guarded(Collecting("bad<script>", fail))])).url
    answer = requests.get(f"{url}/", timeout=10)

    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "edge-1" in answer.text
    assert 'href="/metrics"' in answer.text
    assert "collector bad&lt;script&gt; fails: see app.log" in answer.text
    assert answer.text.count("<script>") == 1


def test_what_is_not_there_is_said_in_one_line(url: str) -> None:
    answer = requests.get(f"{url}/nothing", timeout=10)

    assert (answer.status_code, answer.text) == (404, "404 Not Found\n")


def test_a_wrong_method_is_told_the_right_ones(url: str) -> None:
    answer = requests.post(f"{url}/metrics", timeout=10)

    assert (answer.status_code, answer.text) == (405, "405 Method Not Allowed\n")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("error", [ValueError("secret"), SystemExit(1), KeyboardInterrupt()])
def test_a_page_that_raises_harms_only_its_answer(
    serve: Serve, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Request) -> Response:
        raise error

    url = serve(App([Route("/broken", broken), Route("/fine", text)], WebConfig())).url
    for _ in range(8):
        answer = requests.get(f"{url}/broken", timeout=10)
        assert (answer.status_code, answer.text) == (500, "500 Internal Server Error\n")

    assert requests.get(f"{url}/fine", timeout=10).text == "here\n"
    assert "GET '/broken' failed" in caplog.messages
    assert caplog.records[0].levelno == logging.ERROR


def test_a_route_can_bound_how_many_requests_it_handles_at_once(serve: Serve) -> None:
    inside, release = threading.Semaphore(0), threading.Event()

    def slow(_: Request) -> Response:
        inside.release()
        release.wait(30)
        return Response("done\n")

    url = serve(App([Route("/slow", slow, at_once=1), Route("/fine", text)], WebConfig())).url
    first = threading.Thread(target=lambda: requests.get(f"{url}/slow", timeout=30))
    first.start()
    try:
        inside.acquire()
        refused = requests.get(f"{url}/slow", timeout=10)
        other = requests.get(f"{url}/fine", timeout=10)
    finally:
        release.set()
        first.join()

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert other.status_code == 200
    assert requests.get(f"{url}/slow", timeout=10).text == "done\n"


def test_two_collectors_of_one_name_are_refused(context: Context) -> None:
    with pytest.raises(ValueError, match="two collectors have one name: things, things"):
        create_app(context, [things(), things()])


def test_counters_tell_when_they_were_created(context: Context, serve: Serve) -> None:
    with context.store.transaction() as tx:
        tx.inc(EVENTS, ("stage.finished",))
    url = serve(create_app(context, [Guarded(itself.build(context))])).url

    exposition = requests.get(f"{url}/metrics", headers={"Accept": OPENMETRICS}, timeout=10).text

    samples = [sample for family in text_string_to_metric_families(exposition) for sample in family.samples]
    found = context.store.find(EVENTS, ("stage.finished",))
    assert found is not None
    assert [found.created] == [sample.value for sample in samples if sample.name == "vv_events_created"]

"""Which hop is broken, from what the servers answer."""

from __future__ import annotations

from typing import Any

import pytest

from vv_exporter.alert_path.hops import (
    AlertmanagerState,
    Hop,
    Observation,
    PrometheusState,
    find_broken_hop,
    is_blind,
)
from vv_exporter.render.intervals import delivery_interval, resend_delay

SILENT = "Prometheus at http://p:9090 does not answer"
GONE = "Alertmanager at http://a:9093 does not answer"
WELL = PrometheusState(
    uptime=86_400.0,
    scrape_interval=10.0,
    evaluation_interval=10.0,
    resend_delay=45.0,
    is_target=True,
    scrape_error="",
    stored_age=8.0,
    stored_error="",
    has_rule=True,
    rule_error="",
    fired_age=15.0,
    alertmanagers=1,
    sending_fails=False,
)
HOLDS = AlertmanagerState(uptime=86_400.0, held_age=40.0, delivering_fails=False)


def seen(
    prometheus: PrometheusState | str = WELL, alertmanager: AlertmanagerState | str = HOLDS, **others: Any
) -> Observation:
    return Observation(
        **{"after": 180.0, "scrape_interval": 10.0, "scraped_age": 8.0, "uptime": 86_400.0, **others},
        prometheus=prometheus,
        alertmanager=alertmanager,
    )


STUCK = WELL._replace(stored_age=200.0, fired_age=200.0)
OLD = HOLDS._replace(held_age=200.0)
FOUND = [
    ("it does not run", seen(SILENT, scraped_age=190.0, unanswered=10.0), Hop.SCRAPE, SILENT, True),
    ("both do not run", seen(SILENT, GONE, scraped_age=190.0, unanswered=10.0), Hop.SCRAPE, SILENT, True),
    ("it was stopped a moment ago", seen(SILENT, scraped_age=20.0, unanswered=5.0), Hop.SCRAPE, SILENT, False),
    ("it cannot be asked, and works",
     seen(SILENT, scraped_age=3.0, unanswered=60.0), Hop.DELIVER, "does not deliver", False),
    ("it cannot be asked", seen(SILENT, OLD, scraped_age=3.0, unanswered=60.0), Hop.SEND, SILENT, False),
    ("it cannot be asked, nor can the other",
     seen(SILENT, GONE, scraped_age=3.0, unanswered=60.0), Hop.SEND, GONE, False),
    ("no way to the exporter",
     seen(WELL._replace(scrape_error="connection refused", stored_age=None), scraped_age=15.0),
     Hop.SCRAPE, "connection refused", True),
    ("it does not scrape", seen(STUCK, scraped_age=190.0), Hop.SCRAPE, "does not ask for /metrics", True),
    ("no target", seen(STUCK._replace(is_target=False), scraped_age=190.0), Hop.SCRAPE, "no target", True),
    ("the exporter has just started",
     seen(STUCK, OLD, scraped_age=None, uptime=20.0), Hop.SCRAPE, "does not ask", False),
    ("it was scraped once", seen(STUCK, OLD, scraped_age=3.0, uptime=20.0), Hop.STORE, "no new samples", False),
    ("nobody ever asked", seen(STUCK, OLD, scraped_age=None, uptime=200.0), Hop.SCRAPE, "does not ask", True),
    ("it has just started", seen(STUCK._replace(uptime=20.0), scraped_age=40.0), Hop.SCRAPE, "does not ask", False),
    ("disk full", seen(STUCK._replace(scrape_error="no space left on device")), Hop.STORE, "no space left", True),
    ("nothing stored", seen(STUCK._replace(stored_age=None)), Hop.STORE, "no new samples", True),
    ("no rule", seen(WELL._replace(has_rule=False, fired_age=None)), Hop.EVALUATE, "no rule Watchdog", True),
    ("the rule fails", seen(WELL._replace(rule_error="many-to-many")), Hop.EVALUATE, "many-to-many", True),
    ("rules stand still", seen(WELL._replace(fired_age=200.0)), Hop.EVALUATE, "does not follow", True),
    ("it does not fire", seen(WELL._replace(fired_age=None)), Hop.EVALUATE, "does not follow", True),
    ("queries fail, rules work",
     seen(WELL._replace(stored_age=None, stored_error="422")), Hop.DELIVER, "deliver", False),
    ("queries fail, rules too",
     seen(WELL._replace(stored_age=None, stored_error="answers 422", fired_age=None)), Hop.EVALUATE, "422", True),
    ("Alertmanager does not run", seen(alertmanager=GONE), Hop.SEND, GONE, True),
    ("no Alertmanager is configured", seen(WELL._replace(alertmanagers=0), OLD), Hop.SEND, "no Alertmanager", True),
    ("it has just started, and found none yet",
     seen(WELL._replace(alertmanagers=0, uptime=20.0), OLD), Hop.SEND, "no Alertmanager", False),
    ("sending fails", seen(WELL._replace(sending_fails=True), HOLDS), Hop.SEND, "fails to send", True),
    ("nothing gets there", seen(WELL, HOLDS._replace(held_age=None)), Hop.SEND, "does not get the Watchdog", True),
    ("Alertmanager has just started",
     seen(WELL, AlertmanagerState(5.0, None, False)), Hop.SEND, "does not get the Watchdog", False),
    ("it does not deliver", seen(), Hop.DELIVER, "holds the Watchdog and does not deliver it", False),
    ("delivering fails", seen(WELL, HOLDS._replace(delivering_fails=True)), Hop.DELIVER, "fails to deliver", True),
]  # fmt: skip


@pytest.mark.parametrize(
    ("observation", "hop", "reason", "certain"), [one[1:] for one in FOUND], ids=[one[0] for one in FOUND]
)
def test_the_first_hop_that_the_beat_does_not_get_over_is_found(
    observation: Observation, hop: Hop, reason: str, certain: bool
) -> None:
    found = find_broken_hop(observation)

    assert (found.hop, found.certain) == (hop, certain)
    assert reason in found.reason


@pytest.mark.parametrize("interval", [1.0, 10.0, 15.0, 60.0])
@pytest.mark.parametrize("after", [20.0, 180.0])
def test_what_each_hop_may_take_is_no_fault_of_it(interval: float, after: float) -> None:
    """At the edge of what is in order the last hop is the only one left, and it is not certain."""
    resend = max(60.0, interval)
    edge = WELL._replace(
        scrape_interval=interval,
        evaluation_interval=interval,
        resend_delay=60.0,
        stored_age=interval + 1,
        fired_age=2 * interval + 1,
    )
    held = HOLDS._replace(held_age=2 * interval + resend + 2)
    found = find_broken_hop(seen(edge, held, after=after, scrape_interval=interval, scraped_age=interval + 1))

    assert (found.hop, found.certain) == (Hop.DELIVER, False)
    assert after + found.patience > 2 * interval + resend + delivery_interval(after)


def test_the_servers_bring_a_beat_back_several_times_in_the_time_that_is_waited() -> None:
    for after in (4.0, 20.0, 180.0, 3600.0):
        assert resend_delay(after) + delivery_interval(after) <= after / 2


@pytest.mark.parametrize(
    ("what", "blind"),
    [
        (seen(SILENT, scraped_age=60.0, unanswered=60.0), True),
        (seen(SILENT, scraped_age=30.0, unanswered=30.0), False),  # a busy machine is slow to scrape, and to answer
        (seen(SILENT, scraped_age=3.0, unanswered=600.0), False),  # it works, and cannot be asked
        (seen(STUCK), True),
        (seen(WELL._replace(stored_age=40.0)), False),
        (seen(WELL._replace(stored_age=None)), False),
        (seen(STUCK._replace(uptime=5.0)), False),  # it was just started
        (seen(WELL._replace(fired_age=600.0)), False),
        (seen(), False),
    ],
)
def test_blind_is_who_has_long_had_nothing_new(what: Observation, blind: bool) -> None:
    assert is_blind(what, find_broken_hop(what)) is blind

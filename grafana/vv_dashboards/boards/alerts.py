"""What is alerted, and whether people are told."""

from grafana_foundation_sdk.models.dashboard import Panel

from vv_dashboards import colours
from vv_dashboards.board import Board, Row
from vv_dashboards.panels import YES_NO, Column, Query, events, lines, stat, states, table

SEVERITIES = {
    "critical": colours.BAD,
    "error": colours.WARNING,
    "warning": "#F0E442",
    "info": colours.NEUTRAL,
}


def board() -> Board:
    """The dashboard."""
    return Board(
        name="alerts",
        title="VV · Alerts and delivery",
        answers="What is wrong now, what has been, and does every alert reach somebody?",
        rows=(_now(), _time(), _delivery(), _details(), _drills()),
    )


def _now() -> Row:
    return Row(
        "Now",
        (
            *(_firing(severity, hint) for severity, hint in _HINTS.items()),
            stat(
                "Wait for delivery",
                """Alerts of scripts that Alertmanager does not have yet. More than 0 for long: it cannot be reached;
                after two minutes they go straight to the chat channels.""",
                'max(vv_relay_queue{device="$device"})',
                steps=colours.bad_from(1, colours.WARNING),
                size=(4, 4),
            ),
            stat(
                "Told to nobody",
                """Alerts that fire or fired, and that no channel has taken. More than 0 for minutes: no channel works,
                or none is configured; see the channels below.""",
                'max(vv_alerts_untold{device="$device"})',
                steps=colours.bad_from(1),
                size=(4, 4),
            ),
            table(
                "Firing alerts",
                """Every rule that fires on this device, the newest first, silenced and inhibited ones too; what
                scripts raise goes to Alertmanager directly, and is on the status page. A click on the name opens its
                runbook; details and what to do are in the notification, on the status page and in `vv status`.""",
                {
                    "alertname": "Alert",
                    "severity": "Severity",
                    "component": "Component",
                    "name": "Container",
                    "stage": "Stage",
                    "dvr": "DVR",
                    "job": "Job",
                    "role": "File system",
                },
                Column(
                    "For",
                    """
                    time() - max by (alertname, severity, component, name, stage, dvr, job, role) (
                      ALERTS_FOR_STATE{device="$device",severity!="none"}
                      and ignoring (alertstate) ALERTS{device="$device",alertstate="firing"}
                    )
                    """,
                    unit="s",
                    width=110,
                    first=True,
                ),
                sort="For",
                descending=False,
                links={"Alert": ("Runbook", "${runbooks:raw}/${__value.text}.md")},
            ),
        ),
    )


_HINTS = {
    "critical": "A main function is down, or data or security at risk. Somebody is woken: begin with the runbook.",
    "error": "One function or item failed. For today: the runbook says what to look at, and what it costs meanwhile.",
    "warning": "Abnormal, and may become a problem. For this week, unless there are many.",
    "info": "Notable but normal, not notified. Nothing to do; it explains what else is seen.",
}


def _firing(severity: str, hint: str) -> Panel:
    colour = colours.QUIET if severity == "info" else SEVERITIES[severity]
    return stat(
        f"Firing: {severity}",
        hint,
        f"""
        count(ALERTS{{device="$device",alertstate="firing",severity="{severity}"}})
        or 0 * max(up{{device="$device",job="vv-exporter"}})
        """,
        steps=colours.bad_from(1, colour),
        size=(4, 4),
    )


def _time() -> Row:
    return Row(
        "Over time",
        (
            lines(
                "Firing alerts by severity",
                """How many fired at once. Many that begin together have one cause: the first of them, in `vv
                timeline`, is usually it.""",
                Query(
                    'count by (severity) (ALERTS{device="$device",alertstate="firing",severity!="none"})',
                    "{{severity}}",
                ),
                unit="short",
                coloured=SEVERITIES,
            ),
            states(
                "What fired when",
                """Each alert, while it was pending or fired. One that comes and goes needs another threshold or a
                longer time before it fires; tell whoever keeps the rules.""",
                Query(
                    """
                    max by (alertname) (
                      2 * ALERTS{device="$device",alertstate="firing",severity!="none"}
                      or ALERTS{device="$device",alertstate="pending",severity!="none"}
                    )
                    """,
                    "{{alertname}}",
                ),
                words={2: ("FIRING", colours.BAD), 1: ("pending", colours.WARNING)},
            ),
            events(
                "Alerts raised by scripts",
                """Calls of `send_alert` and `vv alert`, by severity. What each said is in `vv timeline`; the runbook
                tells how to go from one to its script.""",
                Query(
                    'sum by (severity) (increase(vv_alert_events_total{device="$device"}[$__rate_interval]))',
                    "{{severity}}",
                ),
                coloured=SEVERITIES,
                alerts=("VVEvent",),
            ),
            events(
                "Raised again while open",
                """Calls that repeated an alert which was still open: counted, told with it, and not notified again.
                Very many from one script: it should wait before it tries again.""",
                Query(
                    """
                    sum by (component) (increase(vv_alert_events_suppressed_total{device="$device"}[$__rate_interval]))
                    """,
                    "{{component}}",
                ),
            ),
        ),
    )


def _delivery() -> Row:
    return Row(
        "Delivery",
        (
            states(
                "Channels",
                """Whether the latest notification of each channel got through. FAILING: what was said is in the table
                below; put it right, then `vv notify test --channel NAME`. Alerts reach people by the others
                meanwhile.""",
                Query(
                    """
                    max by (channel) (vv_channel_last_failure_timestamp_seconds{device="$device"})
                    > bool max by (channel) (vv_channel_last_success_timestamp_seconds{device="$device"})
                    """,
                    "{{channel}}",
                ),
                words={0: ("works", colours.GOOD), 1: ("FAILING", colours.BAD)},
                alerts=("NotificationsFailing",),
            ),
            events(
                "Notifications by channel and result",
                """What each channel took, and what it did not. None while alerts fire: they are silenced, inhibited,
                or no channel is configured; `vv config check` says which are on.""",
                Query(
                    """
                    sum by (channel, result) (
                      increase(vv_notifications_total{device="$device"}[$__rate_interval])
                    )
                    """,
                    "{{channel}} {{result}}",
                ),
                coloured={"failed": colours.BAD},
            ),
            table(
                "Each channel",
                """When it last took a notification, when it last did not, and what was said. A success long ago is no
                fault where no alert was sent. An error that names a token or address does not heal by itself.""",
                {"channel": "Channel", "error": "Error"},
                Column(
                    "Last success",
                    """
                    time() - max by (channel) (vv_channel_last_success_timestamp_seconds{device="$device"} > 0)
                    """,
                    unit="s",
                    width=140,
                ),
                Column(
                    "Last failure",
                    """
                    time() - max by (channel) (vv_channel_last_failure_timestamp_seconds{device="$device"} > 0)
                    """,
                    unit="s",
                    width=140,
                ),
                Column(
                    "Failing",
                    'max by (channel, error) (vv_channel_last_error_info{device="$device"})',
                    unit="none",
                    words=YES_NO,
                    width=90,
                ),
                sort="Failing",
                size=(24, 6),
            ),
            lines(
                "Alerts that wait for delivery",
                """Alerts of scripts that nobody has yet. They are kept on disk, and delivered when Alertmanager is
                back; age beside.""",
                Query('max(vv_relay_queue{device="$device"})', "waiting"),
                unit="short",
                size=(8, 8),
            ),
            lines(
                "Age of the oldest alert that waits",
                """0 when none waits. More than two minutes means that Alertmanager cannot be reached, and that the
                chat channels are told directly, where there are any.""",
                Query(
                    """
                    (time() - (max(vv_relay_oldest_timestamp_seconds{device="$device"}) > 0))
                    or 0 * max(vv_relay_oldest_timestamp_seconds{device="$device"})
                    """,
                    "age",
                ),
                unit="s",
                alerts=("RelayFailing",),
                size=(8, 8),
            ),
            events(
                "Deliveries of the relay",
                """Requests that carried alerts of scripts to Alertmanager, or to a chat channel while that was out of
                reach. *failed* for minutes: Alertmanager is down, see the dashboard of monitoring itself.""",
                Query(
                    """
                    sum by (destination, result) (
                      increase(vv_relay_deliveries_total{device="$device"}[$__rate_interval])
                    )
                    """,
                    "{{destination}} {{result}}",
                ),
                coloured={"failed": colours.WARNING, "dropped|refused": colours.BAD},
                alerts=("WebhookEventsLost",),
                size=(8, 8),
            ),
        ),
    )


def _details() -> Row:
    return Row(
        "In detail",
        (
            lines(
                "Events that wait for a receiver",
                """What the exporter delivers itself, to the generic webhook for one, and has not been taken yet. A
                line that does not fall: the receiver is down, or refuses; `app.log` has its answer.""",
                Query('sum by (destination) (vv_outbox_queue{device="$device"})', "{{destination}}"),
                unit="short",
            ),
            lines(
                "Age of the oldest event that waits",
                """0 when none waits. Events are kept for 7 days, and delivered in order when the receiver answers.""",
                Query(
                    """
                    (time() - (max by (destination) (vv_outbox_oldest_timestamp_seconds{device="$device"}) > 0))
                    or 0 * max by (destination) (vv_outbox_oldest_timestamp_seconds{device="$device"})
                    """,
                    "{{destination}}",
                ),
                unit="s",
                alerts=("WebhookFailing",),
            ),
            lines(
                "How late the digest is",
                """The daily digest by e-mail: 0 until it is due. More than two hours: the mail server does not take it,
                and `app.log` has its answer.""",
                Query('clamp_min(time() - max(vv_digest_next_due_timestamp_seconds{device="$device"}), 0)', "late"),
                unit="s",
                alerts=("DigestFailing",),
            ),
            events(
                "Alerts notified",
                """What Alertmanager reported to the exporter, and what stands in `app.log` and the timeline, by status
                and severity.""",
                Query(
                    """
                    sum by (status, severity) (
                      increase(vv_notifications_logged_total{device="$device"}[$__rate_interval])
                    )
                    """,
                    "{{status}} {{severity}}",
                ),
                coloured={f"firing {severity}": colour for severity, colour in SEVERITIES.items()},
            ),
            events(
                "Alerts missed, or dropped",
                """*Missed*: ended before any channel accepted them; each is in a summary when one works again.
                Many of them: the network was down, or Alertmanager. *Dropped*: not delivered, since more were
                open or waited than are kept, or nothing takes them as they are; app.log and the timeline have them.""",
                Query(
                    """
                    sum by (severity) (increase(vv_alerts_missed_total{device="$device"}[$__rate_interval]))
                    """,
                    "missed {{severity}}",
                ),
                Query(
                    """
                    sum by (severity) (increase(vv_alerts_dropped_total{device="$device"}[$__rate_interval]))
                    """,
                    "dropped {{severity}}",
                ),
                coloured={f"dropped {severity}": colour for severity, colour in SEVERITIES.items()},
                alerts=("AlertsDropped",),
            ),
            lines(
                "Messages that wait to be sent directly",
                """While Alertmanager cannot be reached, alerts go straight to the channels, and wait here when those
                cannot be reached either. The exporter sends them when they can.""",
                Query('sum by (channel) (vv_direct_queue{device="$device"})', "{{channel}}"),
                unit="short",
            ),
            events(
                "Notifications by integration",
                """What Alertmanager sent, the exporter's own log included. The Watchdog alone makes one a minute where
                a dead man's switch is configured.""",
                Query(
                    """
                    sum by (integration) (
                      increase(alertmanager_notifications_total{device="$device"}[$__rate_interval])
                    ) > 0
                    """,
                    "{{integration}}",
                ),
            ),
            events(
                "Failed notifications by integration",
                """What a channel refused or did not take, by reason. *clientError*: token, address or message are
                wrong, and it will not heal; others: the network or the provider. Test with `vv notify test`.""",
                Query(
                    """
                    sum by (integration, reason) (
                      increase(alertmanager_notifications_failed_total{device="$device"}[$__rate_interval])
                    ) > 0
                    """,
                    "{{integration}} {{reason}}",
                ),
            ),
            lines(
                "Alerts that Alertmanager holds",
                """*suppressed*: silenced, or inhibited by an alert that says more. A silence that was forgotten shows
                as a line that never falls; see `amtool silence`.""",
                Query('sum by (state) (alertmanager_alerts{device="$device"})', "{{state}}"),
                unit="short",
            ),
            events(
                "Failed attempts by integration",
                """Requests that a channel did not take at once, and that are tried again. Some: the provider has a bad
                hour. All: look at the failed notifications beside.""",
                Query(
                    """
                    sum by (integration) (
                      increase(alertmanager_notification_requests_failed_total{device="$device"}[$__rate_interval])
                    ) > 0
                    """,
                    "{{integration}}",
                ),
            ),
            lines(
                "Time without Alertmanager",
                """For how long the exporter has seen it not to answer; 0 while it does. After two minutes alerts go
                straight to the channels.""",
                Query('max(vv_alertmanager_down_seconds{device="$device"})', "without"),
                unit="s",
            ),
            lines(
                "Since the last daily digest",
                """Falls to 0 once a day where e-mail is configured; no line where none was ever sent. More than a day:
                the mail server refuses, see the table of channels.""",
                Query('time() - (max(vv_digest_last_sent_timestamp_seconds{device="$device"}) > 0)', "age"),
                unit="s",
            ),
        ),
        collapsed=True,
    )


def _drills() -> Row:
    return Row(
        "Drills",
        (
            stat(
                "Drills that run",
                """A harmless alert is on its way to the channels: what comes with the word DRILL is no fault. It
                ends by itself within minutes; `vv status` says what each channel took.""",
                'count(count by (occurrence) (vv_drill_start_timestamp_seconds{device="$device"})) or vector(0)',
                unit="none",
                alerts=("Drill",),
                size=(4, 6),
            ),
            table(
                "Proven by a drill",
                """When each channel last took a drill, which goes the whole way of an alert, how long that took, and
                when another one is due. Never, or long ago: `vv drill`, or VV_DRILL_AT.""",
                {"channel": "Channel"},
                Column(
                    "Proven",
                    '(max by (channel) (vv_alarm_path_proven_timestamp_seconds{device="$device"}) > 0) * 1000',
                    unit="dateTimeFromNow",
                ),
                Column(
                    "It took",
                    'max by (channel) (vv_alarm_path_proven_duration_seconds{device="$device"})',
                    unit="s",
                ),
                Column(
                    "Due",
                    'max by (channel) (vv_alarm_path_proof_due_timestamp_seconds{device="$device"}) * 1000',
                    unit="dateTimeFromNow",
                ),
                sort="Proven",
                descending=False,
                alerts=("DrillOverdue",),
                size=(20, 6),
            ),
        ),
        collapsed=True,
    )

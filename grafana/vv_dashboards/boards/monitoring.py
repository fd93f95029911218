"""Whether the monitoring itself can be trusted."""

from vv_dashboards import colours
from vv_dashboards.board import Board, Row
from vv_dashboards.panels import UP_DOWN, Column, Query, events, limit, lines, stat, states, table

WORKS = {1: ("works", colours.GOOD), 0: ("FAILED", colours.BAD)}


def board() -> Board:
    """The dashboard."""
    return Board(
        name="monitoring",
        title="VV · Monitoring itself",
        answers="Can what the other dashboards show be trusted? Exporter, journal, Prometheus, Alertmanager.",
        rows=(_now(), _parts(), _journal(), _details()),
    )


def _now() -> Row:
    return Row(
        "Now",
        (
            stat(
                "Parts that are down",
                """Exporter, Prometheus, Alertmanager, as Prometheus reaches them. Without the exporter nothing of the
                device is watched; scripts go on, and what they report is kept.""",
                'sum(up{device="$device",job!="vv-exporter-events"} == bool 0)',
                steps=colours.bad_from(1),
            ),
            stat(
                "Failing collectors",
                """Parts of the exporter that raise or do not answer in time. Their series are missing, and alerts on
                them cannot fire; `app.log` has the error.""",
                'sum(vv_collector_success{device="$device"} == bool 0)',
                steps=colours.bad_from(1),
            ),
            stat(
                "Lag of the journal",
                """Time from a script's report to its count. Seconds at most; minutes mean that the exporter does not
                keep up, or that its disk is slow.""",
                'max(vv_event_lag_seconds{device="$device"})',
                unit="s",
                steps=colours.rising(30, 120),
            ),
            stat(
                "Lost or refused events",
                """Within the time range: what could not be written (disk full, no permission) or not be read. Counts
                of other dashboards are too low by as many.""",
                """
                (sum(increase(vv_events_dropped_total{device="$device"}[$__range])) or vector(0))
                + (sum(increase(vv_events_rejected_total{device="$device"}[$__range])) or vector(0))
                """,
                steps=colours.bad_from(0.5),
            ),
            stat(
                "Failed evaluations of rules",
                """Within the time range. Any: a rule could not be computed, and its alert could not fire; Prometheus'
                log names it.""",
                'sum(increase(prometheus_rule_evaluation_failures_total{device="$device"}[$__range]))',
                steps=colours.bad_from(0.5),
            ),
            stat(
                "Alert path",
                """Whether the exporter's beat comes back through rules and Alertmanager. BROKEN: alerts get to nobody;
                the status page says at which hop.""",
                'min(vv_alert_path_up{device="$device"})',
                unit="none",
                words={1: ("works", colours.GOOD), 0: ("BROKEN", colours.BAD)},
                alerts=("AlertPathBroken",),
            ),
        ),
    )


def _parts() -> Row:
    return Row(
        "Parts",
        (
            states(
                "Reached by Prometheus",
                """Whether each part answered. The exporter DOWN: `vv exporter`, its log, its port. All down at once:
                the gap of a machine that was off.""",
                Query('min by (job) (up{device="$device",job!="vv-exporter-events"})', "{{job}}"),
                words=UP_DOWN,
                alerts=("ExporterDown", "AlertmanagerDown"),
            ),
            events(
                "Restarts of the exporter",
                """*stopped*: an upgrade, or somebody at work. *killed*: it crashed, had no memory left, did not answer
                its watchdog, or the power went.""",
                Query(
                    """
                    sum by (previous) (increase(vv_exporter_starts_total{device="$device"}[$__rate_interval]))
                    """,
                    "{{previous}}",
                ),
                alerts=("ExporterRestarting",),
            ),
            events(
                "Restarts of the servers",
                "How often Prometheus and Alertmanager said another time at which they began.",
                Query(
                    """
                    sum by (job) (
                      changes(process_start_time_seconds{device="$device",job!="vv-exporter"}[$__rate_interval])
                    )
                    """,
                    "{{job}}",
                ),
                alerts=("ServerRestarting",),
            ),
            states(
                "Collectors",
                """Which part of the exporter answered in time. FAILED: its series are missing on other dashboards; a
                disk, Docker or DVR that hangs shows here first.""",
                Query('min by (collector) (vv_collector_success{device="$device"})', "{{collector}}"),
                words=WORKS,
                alerts=("CollectorFailing",),
            ),
            lines(
                "Duration of collectors",
                """A scrape waits two seconds for each at most. One that gets slower: what it asks (Docker, a disk, the
                store) is overloaded.""",
                Query('max by (collector) (vv_collector_duration_seconds{device="$device"})', "{{collector}}"),
                unit="s",
            ),
            lines(
                "Delay of the exporter's loops",
                """By how much each thing that the exporter does again and again is late. One that grows hangs or has
                died: what it does is not done.""",
                Query(
                    """
                    max by (loop) (
                      clamp_min(time() - vv_exporter_loop_due_timestamp_seconds{device="$device"}, 0)
                    )
                    """,
                    "{{loop}}",
                ),
                unit="s",
                alerts=("ExporterLoopStalled",),
            ),
            events(
                "Failed rounds of the exporter's loops",
                """What went wrong and is tried again; `app.log` has the error. Those that succeed at the next try
                need nothing.""",
                Query(
                    'sum by (loop) (increase(vv_exporter_loop_failures_total{device="$device"}[$__rate_interval]))',
                    "{{loop}}",
                ),
            ),
            states(
                "Watchdog over time",
                """While it fires the whole chain works. Gaps are times in which no alert could have come; the dead
                man's switch tells of them from outside.""",
                Query(
                    """
                    max(ALERTS{device="$device",alertname="Watchdog",alertstate="firing"})
                    or 0 * max(up{device="$device",job="prometheus"})
                    """,
                    "Watchdog",
                ),
                words={1: ("fires", colours.GOOD), 0: ("MISSING", colours.BAD)},
                alerts=("Watchdog",),
            ),
        ),
    )


def _journal() -> Row:
    return Row(
        "Journal",
        (
            lines(
                "Events counted",
                """What scripts report, per second and kind. None at all while the pipeline works: they write to
                another folder (VV_STATE_DIR), or may not write.""",
                Query('sum by (type) (rate(vv_events_total{device="$device"}[$__rate_interval]))', "{{type}}"),
                unit="short",
            ),
            lines(
                "Time from report to count",
                """Seconds at most. When it grows, alerts come late: see the exporter's processor time and the disk of
                its state folder.""",
                Query('max(vv_event_lag_seconds{device="$device"})', "lag"),
                limit('max(vv_threshold_event_lag_seconds{device="$device"})', "too late"),
                unit="s",
                alerts=("EventsLagging",),
            ),
            lines(
                "Journal that is not counted yet",
                """Falls to 0 when the exporter works. After it was down the rest is counted within seconds, exactly
                once.""",
                Query('sum(vv_event_backlog_bytes{device="$device"})', "backlog"),
                unit="bytes",
                size=(8, 8),
            ),
            events(
                "Dropped by writers",
                """What scripts could not write, by script: the disk is full, the folder may not be written, or the
                journal has reached VV_JOURNAL_MAX.""",
                Query(
                    'sum by (component) (increase(vv_events_dropped_total{device="$device"}[$__rate_interval]))',
                    "{{component}}",
                ),
                alerts=("EventsDropped",),
                size=(8, 8),
            ),
            events(
                "Rejected lines",
                """Journal lines that could not be used, by reason. *torn*: a writer was killed in the middle, or power
                was lost; others: a writer that is not ours, or of a newer version.""",
                Query(
                    'sum by (reason) (increase(vv_events_rejected_total{device="$device"}[$__rate_interval]))',
                    "{{reason}}",
                ),
                alerts=("EventsRejected",),
                size=(8, 8),
            ),
        ),
    )


def _details() -> Row:
    return Row(
        "In detail",
        (
            events(
                "Failed evaluations by group of rules",
                "Rules that Prometheus could not compute. After an update: a rule and a metric do not fit together.",
                Query(
                    """
                    sum by (rule_group) (label_replace(
                      increase(prometheus_rule_evaluation_failures_total{device="$device"}[$__rate_interval]),
                      "rule_group", "$1", "rule_group", ".*;(.+)"
                    ))
                    """,
                    "{{rule_group}}",
                ),
                alerts=("RuleEvaluationFailing",),
            ),
            lines(
                "Duration of scrapes",
                """How long each part took to answer. Near the scrape interval: series come late or not at all.""",
                Query('max by (job) (scrape_duration_seconds{device="$device"})', "{{job}}"),
                unit="s",
            ),
            lines(
                "Samples per scrape",
                """How many series each part has. A jump: something began to report with many labels; see the series
                beside that gave way.""",
                Query('max by (job) (scrape_samples_scraped{device="$device"})', "{{job}}"),
                unit="short",
            ),
            events(
                "Series that gave way",
                """The longest untouched of a family that has as many series as it may: a label has values without
                bound. The name says where.""",
                Query(
                    'sum by (metric) (increase(vv_series_limited_total{device="$device"}[$__rate_interval]))',
                    "{{metric}}",
                ),
                alerts=("SeriesLimited",),
            ),
            lines(
                "Size of Prometheus' data",
                """What it keeps on disk. It is bounded by its retention; growing beyond it, the disk's own dashboard
                matters.""",
                Query(
                    """
                    max(prometheus_tsdb_storage_blocks_bytes{device="$device"})
                    + max(prometheus_tsdb_wal_storage_size_bytes{device="$device"})
                    """,
                    "on disk",
                ),
                unit="bytes",
            ),
            table(
                "Versions",
                """Which exporter runs on the device. Different ones in a fleet explain different series.""",
                {"device": "Device", "version": "Version", "revision": "Revision", "python": "Python"},
                Column(
                    "Up for",
                    """
                    time() - max by (device, version, revision, python) (
                      vv_exporter_build_info{device="$device"}
                      * on (device, instance) group_left () process_start_time_seconds{device="$device"}
                    )
                    """,
                    unit="s",
                ),
                sort="Version",
                size=(12, 8),
            ),
            lines(
                "The fleet's configuration",
                """Where the device pulls one: the version in use, 0 for none, and what is refused, for which reason.
                `vv fleet status` has it in words.""",
                Query('max(vv_fleet_config_version{device="$device"})', "version"),
                Query(
                    'max by (reason) (vv_fleet_config_refused{device="$device",reason!="unreachable"}) > 0',
                    "refused ({{reason}})",
                ),
                unit="short",
                alerts=("FleetConfigRefused",),
                size=(24, 6),
            ),
        ),
        collapsed=True,
    )

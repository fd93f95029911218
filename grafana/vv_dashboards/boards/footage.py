"""Footage of each camera, as the exporter's ledger has it."""

from vv_dashboards import colours
from vv_dashboards.board import Board, Row
from vv_dashboards.panels import Column, Query, limit, lines, stat, states, table
from vv_dashboards.variables import several

STATES = (
    ("", "footage comes", colours.GOOD),
    ("unknown", "nobody knows why", colours.BAD),
    ("recorder", "frames are not recorded", colours.BAD),
    ("agent_stopped", "agent not running", colours.QUIET),
    ("agent_crashed", "agent killed", colours.OTHER),
    ("dvr_frozen", "no new frames", "#0072B2"),
    ("dvr_down", "no stream", colours.NEUTRAL),
    ("ingest_paused", "disk full", colours.WARNING),
    ("storage_readonly", "storage read-only", colours.WARNING),
    ("storage_missing", "storage missing", colours.WARNING),
    ("clock_stepped", "clock set", colours.QUIET),
    ("power_lost", "power lost", "#F0E442"),
    ("device_off", "device off", colours.QUIET),
    ("maintenance", "maintenance", colours.QUIET),
)
"""A cause of a hole, what it is called here, and its colour; a number for each."""

OPEN = 'vv_footage_open_hole_timestamp_seconds{device="$device",dvr=~"$dvr"}'
LATEST = "vv_footage_latest_timestamp_seconds"


def board() -> Board:
    """The dashboard."""
    return Board(
        name="footage",
        title="VV · Footage",
        answers=(
            """Is every camera recorded, and what is missing, since when and why? Is what is recorded signed, can it be
            played, and how far back will it reach?"""
        ),
        variables=(several("dvr", "Camera", LATEST),),
        rows=(_now(), _time()),
    )


def _now() -> Row:
    return Row(
        "Now",
        (
            stat(
                "Cameras without footage now",
                """For which it is too late already. What is missing is gone, unless the DVR records by itself: fetch it
                there.""",
                f"count(count by (dvr) ({OPEN})) or vector(0)",
                steps=colours.bad_from(1),
                size=(6, 4),
            ),
            stat(
                "Longest hole that goes on",
                "How long the camera that is worst off has had none by now.",
                f"time() - min({OPEN})",
                unit="s",
                none="footage comes",
                steps=colours.rising(60, 900),
                size=(6, 4),
            ),
            stat(
                "Worst of the last day",
                "The share of what was expected that is there, of the camera that has the least.",
                'min(vv_footage_day_ratio{device="$device",dvr=~"$dvr"})',
                unit="percentunit",
                none="nothing was expected",
                steps=colours.falling(0.95, 0.999),
                size=(6, 4),
            ),
            stat(
                "Will reach back",
                """What the disk will hold at today's rate, of the camera that it holds the least of. Less than `vv.yml`
                asks for: lower the bit rate, or add a disk.""",
                'min(vv_footage_retention_seconds{device="$device",dvr=~"$dvr"})',
                unit="s",
                none="no files",
                size=(6, 4),
            ),
            table(
                "Each camera",
                "The worst first. `vv footage` and `/footage` show each hole with its cause.",
                {"dvr": "Camera"},
                Column(
                    "There, last day",
                    'max by (dvr) (vv_footage_day_ratio{device="$device",dvr=~"$dvr"})',
                    unit="percentunit",
                    steps=colours.falling(0.95, 0.999),
                    decimals=2,
                ),
                Column(
                    "Missing, last hour",
                    'sum by (dvr) (vv_footage_recent_missing_seconds{device="$device",dvr=~"$dvr"})',
                    unit="s",
                    steps=colours.rising(1, 60),
                ),
                Column(
                    "Latest recording",
                    f'time() - max by (dvr) ({LATEST}{{device="$device",dvr=~"$dvr",step="recorded"}})',
                    unit="s",
                ),
                Column(
                    "Oldest file",
                    'time() - max by (dvr) (vv_footage_oldest_timestamp_seconds{device="$device",dvr=~"$dvr"})',
                    unit="s",
                ),
                sort="There, last day",
                descending=False,
                size=(24, 7),
            ),
        ),
    )


def _time() -> Row:
    return Row(
        "Over time",
        (
            states(
                "What is missing",
                """Whether the footage of each camera goes on, and why not: as it was known then, two minutes late, and
                later still by the length of a recorder's file. `/footage` shows each hole from its true beginning.""",
                Query(_cause_of_now(), "{{dvr}}"),
                words={number: (words, colour) for number, (_, words, colour) in enumerate(STATES)},
                size=(24, 7),
            ),
            lines(
                "Footage missing, by cause",
                """Of the last hour, for each camera. Above the dashed line FootageMissing tells of it, unless another
                alert has told why. `vv footage` shows each hole.""",
                Query(
                    'max by (dvr, cause) (vv_footage_recent_missing_seconds{device="$device",dvr=~"$dvr"})',
                    "{{dvr}} · {{cause}}",
                ),
                limit('max(vv_threshold_footage_missing_seconds{device="$device"})', "told"),
                unit="s",
                size=(8, 7),
                alerts=("FootageMissing",),
            ),
            lines(
                "How far back the footage will reach",
                """The age of the oldest file, and what there is room for. Below the dashed line footage that should be
                kept is lost: lower the bit rate, or add a disk.""",
                Query('max by (dvr) (vv_footage_retention_seconds{device="$device",dvr=~"$dvr"})', "{{dvr}}"),
                limit('max(vv_threshold_footage_retention_seconds{device="$device",dvr=~"$dvr"})', "should"),
                unit="s",
                size=(8, 7),
                alerts=("RetentionShort",),
            ),
            lines(
                "Recorded and not signed in time",
                """Of a day, for each camera of which a time is set. What is not signed is no evidence: see what the
                pipeline is busy with.""",
                Query('max by (dvr) (vv_footage_unsigned_seconds{device="$device",dvr=~"$dvr"})', "{{dvr}}"),
                unit="s",
                size=(8, 7),
                alerts=("FootageUnsigned",),
            ),
            lines(
                "Files that cannot be played",
                """Of the last six hours: the recorder was cut off, or the disk fails. `vv timeline` says which
                files.""",
                Query('max by (dvr) (vv_footage_corrupt_files{device="$device",dvr=~"$dvr"})', "{{dvr}}"),
                unit="short",
                size=(8, 7),
                alerts=("FootageCorrupt",),
            ),
            lines(
                "What became of the footage",
                """Seconds of footage a second, by step: 1 for each camera that is always recorded. A step that lags the
                one before it: that stage is behind, or fails.""",
                Query(
                    'sum by (step) (rate(vv_footage_seconds_total{device="$device",dvr=~"$dvr"}[$__rate_interval]))',
                    "{{step}}",
                ),
                unit="short",
                size=(8, 7),
            ),
            lines(
                "Age of the latest footage",
                """How long ago the latest footage ends, by step. One that only grows: nothing comes any more.""",
                Query(
                    """
                    time() - max by (dvr, step) (vv_footage_latest_timestamp_seconds{device="$device",dvr=~"$dvr"})
                    """,
                    "{{dvr}} · {{step}}",
                ),
                unit="s",
                size=(8, 7),
            ),
        ),
    )


def _cause_of_now() -> str:
    """For each camera the number of what it misses footage for, in `STATES`; 0 where it comes."""
    series = 'vv_footage_open_hole_timestamp_seconds{{device="$device",dvr=~"$dvr",cause="{cause}"}}'
    each = [f"{number} * ({series.format(cause=cause)} > bool 0)" for number, (cause, *_) in enumerate(STATES) if cause]
    comes = f'0 * {LATEST}{{device="$device",dvr=~"$dvr"}}'
    return "max by (dvr) (\n  " + "\n  or ".join([*each, comes]) + "\n)"

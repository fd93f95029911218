"""The boards of a fleet's centre, which ask its store alone: a thousand devices at one look, a cell each, worst first;
the footage of all of them as one table; and for a wall, which strangers see, how many there are and no name.

They are no boards of a device, whose Prometheus has none of these series: they lie in `fleet/grafana/dashboards/`.
"""

from __future__ import annotations

from pathlib import Path

from vv_dashboards import colours
from vv_dashboards.board import Board, Row, uid
from vv_dashboards.panels import Column, Query, Words, cells, lines, stat, table

FOLDER = Path(__file__).resolve().parents[2] / "fleet" / "grafana" / "dashboards"
FILE = FOLDER / "fleet.json"
SOURCE_UID = "vv-prometheus"
"""The store, in `fleet/grafana/datasources/fleet.yml`."""
DEVICE = "var-device=${__value.text:percentencode}&var-datasource=${datasource:percentencode}&${__url_time_range}"
CELL_DEVICE = "var-device=${__field.labels.device:percentencode}&var-datasource=${datasource:percentencode}"
SEEN = "device:vv_fleet_seen:timestamp_seconds"
STATES: Words = {
    4: ("silent", colours.NEUTRAL),
    3: ("critical", colours.BAD),
    2: ("error", colours.WARNING),
    1: ("warning", "#F0E442"),
    0: ("well", colours.GOOD),
}


_BAD = colours.bad_from(1)
HOLES = "count by (device, dvr) (vv_footage_open_hole_timestamp_seconds)"
CAMERAS = "count by (device, dvr) (vv_footage_latest_timestamp_seconds)"


def targets() -> dict[Path, str]:
    """What belongs into which file."""
    return {FOLDER / f"{board.name}.json": board.json() for board in (board_of_all(), wall())}


def worst() -> str:
    """How each device is, as a number of `STATES`: silent before whatever was said last, then by the gravest alert."""
    parts = [f"4 * (time() - max by (device) ({SEEN}) > bool 75)"]
    for value, severity in ((3, "critical"), (2, "error"), (1, "warning")):
        firing = f'ALERTS{{alertstate="firing",severity="{severity}",component!="fleet"}}'
        parts.append(f"0 * count by (device) ({firing}) + {value}")
    marked = " or ".join(f'label_replace({part}, "part", "{number}", "", "")' for number, part in enumerate(parts))
    return f"sort_desc(max by (device) ({marked}))"


def board_of_all() -> Board:
    """The dashboard of whoever looks after the devices."""
    return Board(
        name="fleet",
        title="VV · Fleet",
        answers="Which of all devices needs somebody? All at one look, the worst first; from there to one device.",
        rows=(_look(), _list(), _footage(), _sending()),
    )


def wall() -> Board:
    """The dashboard that may hang where strangers see it, or be shared: numbers alone, no device, site or camera."""
    return Board(
        name="fleet-wall",
        title="VV · Fleet, for a wall",
        answers="How is the fleet, in numbers: no name of a device, a site or a camera is shown or sent.",
        rows=(_wall(),),
        public_source=SOURCE_UID,
    )


def _wall() -> Row:
    states = [
        stat(
            f"Devices: {word}",
            "Each device counts once, by the worst that is known of it.",
            f"count({worst()} == {number}) or vector(0)",
            steps=colours.plain(colour),
            size=(4, 6),
        )
        for number, (word, colour) in STATES.items()
    ]
    return Row(
        "Now",
        (
            *states,
            stat(
                "Devices",
                "All that are known.",
                f"count(count by (device) ({SEEN}))",
                size=(4, 6),
            ),
            stat(
                "Cameras that are recorded",
                "Of which footage comes now.",
                f"count({CAMERAS} unless {HOLES}) or vector(0)",
                size=(8, 6),
            ),
            stat("Cameras without footage now", "For which it is too late.", _holes(), steps=_BAD, size=(8, 6)),
            stat(
                "Footage of the last day",
                "The share of what was expected that is there, all cameras together.",
                "avg(max by (device, dvr) (vv_footage_day_ratio))",
                unit="percentunit",
                steps=colours.falling(0.95, 0.999),
                size=(8, 6),
            ),
            lines(
                "Devices that report",
                "Over time.",
                Query("fleet:vv_fleet_devices_sending:count", "devices"),
                unit="short",
                size=(24, 8),
            ),
        ),
    )


def _look() -> Row:
    return Row(
        "All devices",
        (
            stat("Devices that report", "Heard of within 75 seconds.", "fleet:vv_fleet_devices_sending:count"),
            stat("Cameras without footage now", "For which it is too late already.", _holes(), steps=_BAD),
            stat(
                "Silent",
                "Known, and not heard of: off, or without a link. The list below says since when.",
                f"count(time() - {SEEN} > 75) or vector(0)",
                steps=colours.bad_from(1),
            ),
            stat(
                "With critical alerts",
                "Devices. Their own Alertmanager has told their people.",
                'count(count by (device) (ALERTS{alertstate="firing",severity="critical"})) or vector(0)',
                steps=colours.bad_from(1),
            ),
            stat(
                "Versions",
                "Of vv-exporter. More than one for a day is told.",
                "count(count by (version) (vv_exporter_build_info))",
                steps=colours.bad_from(2, colours.WARNING),
            ),
            cells(
                "Each device",
                "A cell each, the worst first. A click leads to the device.",
                worst(),
                "{{device}}",
                words=STATES,
                link=("Show this device", f"/d/{uid('overview')}?{CELL_DEVICE}"),
                size=(24, 14),
            ),
        ),
    )


def _list() -> Row:
    return Row(
        "List",
        (
            table(
                "Devices",
                """All that are known; silent ones first. A click on a name shows that device. *Configuration* is the
                version of the fleet's that it has, where it pulls one; *It refuses* is 1 where it does not take what
                there is.""",
                {"device": "Device"},
                Column("Last heard", f"time() - max by (device) ({SEEN})", unit="s", steps=colours.bad_from(75)),
                Column("Critical", _alerts("critical"), steps=colours.bad_from(1)),
                Column("Error", _alerts("error"), steps=colours.bad_from(1, colours.WARNING)),
                Column("Disk free", "min by (device) (path:vv_filesystem_free:ratio)", unit="percentunit", decimals=0),
                Column("Streams down", "sum by (device) (vv_dvr_up == bool 0)", steps=colours.bad_from(1)),
                Column("Configuration", "max by (device) (vv_fleet_config_version)", decimals=0),
                Column(
                    "It refuses",
                    'sum by (device) (vv_fleet_config_refused{reason!="unreachable"})',
                    steps=colours.bad_from(1, colours.WARNING),
                ),
                Column("Waiting to be sent", "max by (device) (device:vv_fleet_queue:bytes)", unit="bytes"),
                Column(
                    "Of its limit",
                    "max by (device) (device:vv_fleet_limit_used:ratio)",
                    unit="percentunit",
                    decimals=0,
                    steps=colours.rising(0.8, 1),
                ),
                sort="Last heard",
                links={"Device": ("Show this device", f"/d/{uid('overview')}?{DEVICE}")},
                size=(24, 12),
            ),
        ),
    )


def _footage() -> Row:
    missing = "sum by (device) (increase(vv_footage_missing_seconds_total[1d]))"
    cameras = f"count by (device) ({CAMERAS})"
    return Row(
        "Footage of the last day",
        (
            table(
                "Footage of each device",
                """What each device's statement says of its cameras, those with the least of it first. A click on a name
                shows the cameras.""",
                {"device": "Device"},
                Column("Cameras", cameras),
                Column(
                    "There, of what was expected",
                    "avg by (device) (max by (device, dvr) (vv_footage_day_ratio))",
                    unit="percentunit",
                    decimals=2,
                    steps=colours.falling(0.95, 0.999),
                ),
                Column(
                    "The worst camera",
                    "min by (device) (vv_footage_day_ratio)",
                    unit="percentunit",
                    decimals=2,
                    steps=colours.falling(0.95, 0.999),
                ),
                Column("Missing", f"{missing} or 0 * {cameras}", unit="s", steps=colours.rising(60, 900)),
                Column("Without footage now", f"count by (device) ({HOLES})", steps=_BAD),
                Column("Not signed", "sum by (device) (vv_footage_unsigned_seconds)", unit="s", steps=_BAD),
                Column("Cannot be played", "sum by (device) (vv_footage_corrupt_files)", steps=_BAD),
                Column("Reaches back", "time() - min by (device) (vv_footage_oldest_timestamp_seconds)", unit="s"),
                sort="The worst camera",
                descending=False,
                links={"Device": ("Show its cameras", f"/d/{uid('footage')}?{DEVICE}")},
                size=(24, 12),
            ),
            table(
                "The cameras with the least",
                "A hundred of all devices. Why it is missing is on the device's own board.",
                {"device": "Device", "dvr": "Camera"},
                Column(
                    "There, of what was expected",
                    "bottomk(100, max by (device, dvr) (vv_footage_day_ratio))",
                    unit="percentunit",
                    decimals=2,
                    steps=colours.falling(0.95, 0.999),
                ),
                sort="There, of what was expected",
                descending=False,
                links={"Device": ("Show its cameras", f"/d/{uid('footage')}?{DEVICE}")},
                size=(24, 10),
            ),
        ),
    )


def _holes() -> str:
    return f"count({HOLES}) or vector(0)"


def _alerts(severity: str) -> str:
    firing = f'count by (device) (ALERTS{{alertstate="firing",severity="{severity}",component!="fleet"}})'
    return f"{firing} or 0 * max by (device) ({SEEN})"


def _sending() -> Row:
    return Row(
        "Over time",
        (
            lines(
                "Devices that report",
                "A step down of many at once is a provider, a site, or the centre's own door.",
                Query("fleet:vv_fleet_devices_sending:count", "devices"),
                unit="short",
                size=(12, 8),
            ),
            lines(
                "The same fault on many",
                "Alerts by how many devices have them, the ten most frequent.",
                Query(
                    'topk(10, count by (alertname) (ALERTS{alertstate="firing",severity!="none",component!="fleet"}))',
                    "{{alertname}}",
                ),
                unit="short",
                size=(12, 8),
            ),
        ),
    )

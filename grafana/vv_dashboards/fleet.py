"""The board of a fleet's centre, which asks its store alone: a thousand devices at one look, a cell each, worst first.

It is no board of a device, whose Prometheus has none of these series: it lies in `fleet/grafana/dashboards/`.
"""

from __future__ import annotations

from pathlib import Path

from vv_dashboards import colours
from vv_dashboards.board import Board, Row, uid
from vv_dashboards.panels import Column, Query, Words, cells, lines, stat, table

FILE = Path(__file__).resolve().parents[2] / "fleet" / "grafana" / "dashboards" / "fleet.json"
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


def worst() -> str:
    """How each device is, as a number of `STATES`: silent before whatever was said last, then by the gravest alert."""
    parts = [f"4 * (time() - max by (device) ({SEEN}) > bool 75)"]
    for value, severity in ((3, "critical"), (2, "error"), (1, "warning")):
        firing = f'ALERTS{{alertstate="firing",severity="{severity}",component!="fleet"}}'
        parts.append(f"0 * count by (device) ({firing}) + {value}")
    marked = " or ".join(f'label_replace({part}, "part", "{number}", "", "")' for number, part in enumerate(parts))
    return f"sort_desc(max by (device) ({marked}))"


def board() -> Board:
    """The dashboard."""
    return Board(
        name="fleet",
        title="VV · Fleet",
        answers="Which of all devices needs somebody? All at one look, the worst first; from there to one device.",
        rows=(_look(), _list(), _sending()),
    )


def _look() -> Row:
    return Row(
        "All devices",
        (
            stat("Devices that report", "Heard of within 75 seconds.", "fleet:vv_fleet_devices_sending:count"),
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
                "All that are known; silent ones first. A click on a name shows that device.",
                {"device": "Device"},
                Column("Last heard", f"time() - max by (device) ({SEEN})", unit="s", steps=colours.bad_from(75)),
                Column("Critical", _alerts("critical"), steps=colours.bad_from(1)),
                Column("Error", _alerts("error"), steps=colours.bad_from(1, colours.WARNING)),
                Column("Disk free", "min by (device) (path:vv_filesystem_free:ratio)", unit="percentunit", decimals=0),
                Column("Streams down", "sum by (device) (vv_dvr_up == bool 0)", steps=colours.bad_from(1)),
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

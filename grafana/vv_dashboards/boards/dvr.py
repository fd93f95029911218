"""DVRs, as the agent and the exporter's own probe see them."""

from inspect import cleandoc

from vv_dashboards import colours
from vv_dashboards.board import Board, Row
from vv_dashboards.panels import UP_DOWN, Column, Query, events, limit, lines, stat, states, table
from vv_dashboards.variables import several

RESULTS = {
    "ok": colours.GOOD,
    "refused": colours.WARNING,
    "timeout": colours.NEUTRAL,
    "auth": colours.BAD,
    "no_stream": colours.OTHER,
    "frozen": "#0072B2",
    "dns": "#F0E442",
    "error": colours.QUIET,
}


def board() -> Board:
    """The dashboard."""
    return Board(
        name="dvr",
        title="VV · DVR",
        answers=(
            """Do the DVRs deliver video, since when not, and is it the network, the password, or the stream? What the
            agent sees, and what the exporter's own probe sees."""
        ),
        variables=(several("dvr", "DVR", "vv_dvr_up"),),
        rows=(_now(), _time(), _details()),
    )


def _now() -> Row:
    return Row(
        "Now",
        (
            stat(
                "Streams that are down",
                """Connections, of the agent or of the probe, whose latest attempt got no stream. What is not recorded
                meanwhile is lost.""",
                'sum(vv_dvr_up{device="$device",dvr=~"$dvr"} == bool 0)',
                steps=colours.bad_from(1),
                size=(6, 4),
            ),
            stat(
                "Longest time without a stream",
                "Of all that are down now. After a quarter of an hour somebody is woken.",
                'time() - min(vv_dvr_down_since_timestamp_seconds{device="$device",dvr=~"$dvr"})',
                unit="s",
                none="all are up",
                steps=colours.rising(60, 900),
                size=(6, 4),
            ),
            stat(
                "Oldest latest frame",
                """How long ago the DVR that is worst off sent a frame. More than a minute: its stream is frozen or
                gone.""",
                'time() - min(vv_dvr_last_frame_timestamp_seconds{device="$device",dvr=~"$dvr"})',
                unit="s",
                none="no frame yet",
                steps=colours.rising(30, 60),
                size=(6, 4),
            ),
            stat(
                "Failed attempts",
                """Within the time range, by agent and probe. A few: the network is shaky. Many: see which result they
                had.""",
                'sum(increase(vv_dvr_attempts_total{device="$device",dvr=~"$dvr",result!="ok"}[$__range]))',
                steps=colours.rising(1, 10),
                size=(6, 4),
            ),
            table(
                "Each DVR",
                """One line for the agent's connection, one for the exporter's own probe. Only the agent down: the
                agent is at fault. Both down: the DVR, or the way to it.""",
                {"dvr": "DVR", "source": "Seen by", "result": "Latest result"},
                Column("Stream", _of_each("vv_dvr_up"), unit="none", words=UP_DOWN),
                Column(
                    "Failed in a row",
                    _of_each("vv_dvr_consecutive_failures"),
                    steps=colours.rising(1, 3),
                ),
                Column(
                    "Down for",
                    f"time() - {_of_each('vv_dvr_down_since_timestamp_seconds')}",
                    unit="s",
                    steps=colours.rising(60, 900),
                ),
                sort="Failed in a row",
                size=(24, 6),
            ),
        ),
    )


def _time() -> Row:
    return Row(
        "Over time",
        (
            states(
                "Stream",
                """Whether the latest attempt got a stream, by DVR and by who tried. All of them down at once: the
                network, the switch, or the power.""",
                Query(
                    'min by (dvr, source) (vv_dvr_up{device="$device",dvr=~"$dvr"})',
                    "{{dvr}} · {{source}}",
                ),
                words=UP_DOWN,
            ),
            states(
                "Result of the latest attempt",
                """*auth*: user or password are refused: correct them before the DVR locks the account. *refused*,
                *timeout*, *dns*: the network. *no_stream*, *frozen*: the DVR answers and shows nothing; restart its
                channel.""",
                Query(_latest_result(), "{{dvr}} · {{source}}"),
                words={number: (result, colour) for number, (result, colour) in enumerate(RESULTS.items())},
                alerts=("DvrAuthenticationFailed",),
            ),
            lines(
                "Failed attempts in a row",
                """At the dashed line the DVR counts as unreachable. The agent waits longer after each failure, so the
                line gets flatter although nothing gets better. Ping it, then open the stream with ffprobe.""",
                Query(
                    'max by (dvr, source) (vv_dvr_consecutive_failures{device="$device",dvr=~"$dvr"})',
                    "{{dvr}} · {{source}}",
                ),
                limit('max(vv_threshold_dvr_failures{device="$device"})', "unreachable"),
                unit="short",
                alerts=("DvrUnreachable",),
            ),
            lines(
                "Time without a stream",
                """Since the first of the failed attempts. Beyond the dashed line somebody is woken: what happens
                before the cameras is not being recorded.""",
                Query(
                    """
                    time() - min by (dvr, source) (vv_dvr_down_since_timestamp_seconds{device="$device",dvr=~"$dvr"})
                    """,
                    "{{dvr}} · {{source}}",
                ),
                limit('max(vv_threshold_dvr_down_seconds{device="$device"})', "critical"),
                unit="s",
                alerts=("DvrUnreachableProlonged",),
            ),
            states(
                "Agents",
                """Whether an agent is running. DOWN: it was killed, and no other has taken over: nothing is recorded.
                One that ended by itself is not here.""",
                Query('max by (dvr) (vv_dvr_agent_up{device="$device",dvr=~"$dvr"})', "{{dvr}}"),
                words=UP_DOWN,
                alerts=("DvrAgentGone",),
            ),
            lines(
                "Streams lost",
                """How often there was a stream and then there was none. Many within an hour: the DVR comes and goes;
                its cable, its power, or too many who view it.""",
                Query(
                    """
                    max by (dvr, source) (increase(vv_dvr_lost_total{device="$device",dvr=~"$dvr"}[$__rate_interval]))
                    """,
                    "{{dvr}} · {{source}}",
                ),
                unit="short",
                alerts=("DvrFlapping",),
            ),
            lines(
                "Age of the latest frame",
                """A connected stream brings frames several times a second. Beyond the dashed line it is frozen:
                connected, but without pictures. Restart the agent, then the DVR's channel.""",
                Query(
                    'time() - max by (dvr) (vv_dvr_last_frame_timestamp_seconds{device="$device",dvr=~"$dvr"})',
                    "{{dvr}}",
                ),
                limit('max(vv_threshold_dvr_frozen_seconds{device="$device"})', "frozen"),
                unit="s",
                alerts=("DvrStreamFrozen",),
            ),
            lines(
                "Frames per second",
                """What the agent, or without one the probe, gets. Far under the camera's own rate: the network loses
                packets, or the agent does not keep up. The probe alone takes a few frames each time.""",
                Query(
                    'sum by (dvr) (rate(vv_dvr_frames_total{device="$device",dvr=~"$dvr"}[$__rate_interval]))',
                    "{{dvr}}",
                ),
                unit="short",
            ),
        ),
    )


def _of_each(series: str) -> str:
    """The value of a DVR, as one of the two sees it, with its latest result."""
    return cleandoc(f"""
        max by (dvr, source, result) (
          (vv_dvr_last_result{{device="$device",dvr=~"$dvr"}} == 1)
          * on (device, dvr, source) group_left () max by (device, dvr, source) ({series})
        )
    """)


def _latest_result() -> str:
    """A number for each result, in the order of `RESULTS`."""
    series = 'vv_dvr_last_result{{device="$device",dvr=~"$dvr",result="{result}"}}'
    each = (f"{number} * ({series.format(result=result)} == 1)" for number, result in enumerate(RESULTS))
    return "max by (dvr, source) (\n  " + "\n  or ".join(each) + "\n)"


def _details() -> Row:
    return Row(
        "In detail",
        (
            lines(
                "Duration of the probe, by phase",
                """How long each step of the latest probe took. *connect* long: the network; *describe*, *setup* or
                *first_packet* long: the DVR is overloaded.""",
                Query(
                    'max by (dvr, phase) (vv_dvr_probe_duration_seconds{device="$device",dvr=~"$dvr"})',
                    "{{dvr}} · {{phase}}",
                ),
                unit="s",
                size=(8, 8),
            ),
            events(
                "Failed attempts by DVR",
                "Which DVR fails, and who saw it. One alone: that DVR or its cable. All: what they have in common.",
                Query(
                    """
                    sum by (dvr, source) (
                      increase(vv_dvr_attempts_total{device="$device",dvr=~"$dvr",result!="ok"}[$__rate_interval])
                    )
                    """,
                    "{{dvr}} · {{source}}",
                ),
                size=(8, 8),
            ),
            events(
                "Attempts by result",
                """How often each result came, agent and probe together. Few failures among many attempts: the network
                is shaky. The agent's attempts get rarer while it fails, the probe's do not.""",
                Query(
                    """
                    sum by (result) (increase(vv_dvr_attempts_total{device="$device",dvr=~"$dvr"}[$__rate_interval]))
                    """,
                    "{{result}}",
                ),
                coloured={f"^{result}$": colour for result, colour in RESULTS.items()},
                size=(8, 8),
            ),
        ),
        collapsed=True,
    )

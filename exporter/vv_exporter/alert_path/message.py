"""The words of AlertPathBroken, which no rule can announce: it goes by the direct way."""

from __future__ import annotations

from vv_exporter.alert_path.hops import Hop
from vv_exporter.alert_path.state import PathState
from vv_exporter.common.clock import isoformat
from vv_exporter.language import gettext as _
from vv_exporter.language import translatable
from vv_exporter.messages.message import Message
from vv_exporter.render.commands import Commands
from vv_exporter.settings import Settings

ALERT_PATH_BROKEN = "AlertPathBroken"
EXPLAINED = {
    Hop.SCRAPE: translatable("Prometheus does not scrape the exporter"),
    Hop.STORE: translatable("Prometheus does not store what it scrapes"),
    Hop.EVALUATE: translatable("Prometheus does not evaluate its rules"),
    Hop.SEND: translatable("Prometheus does not get its alerts to Alertmanager"),
    Hop.DELIVER: translatable("Alertmanager does not get its notifications to the exporter"),
}
_COMPONENTS = {Hop.SEND: "alertmanager", Hop.DELIVER: "alertmanager"}
_PROMETHEUS, _ALERTMANAGER = "http://127.0.0.1:9090", "http://127.0.0.1:9093"  # where `Commands` finds them
_PROMETHEUS_STATE = "docker compose ps --all prometheus"
_ALERTMANAGER_STATE = "docker compose ps --all alertmanager"


def component_of(hop: str) -> str:
    """The server that is to be looked at first."""
    return next((name for known, name in _COMPONENTS.items() if known == hop), "prometheus")


def explained(state: PathState) -> str:
    """The hop and the reason, as a sentence without its full stop."""
    what = next(
        (_(text) for hop, text in EXPLAINED.items() if hop == state.hop), _("the Watchdog alert does not come back")
    )
    return f"{what}: {state.reason}" if state.reason else what


def broken(state: PathState, settings: Settings) -> Message:
    """The path is broken."""
    return _build_message(
        state,
        settings,
        title=_("The alert path is broken: {hop}").format(hop=_(state.hop)),
        time=state.since,
        details=_(
            "No Watchdog alert has come back since {since}. {reason}. Until it is fixed, no alert of a rule is "
            "delivered: only alerts of scripts and the worst of what the exporter itself sees are sent, directly, as "
            "this is."
        ).format(since=isoformat(state.since), reason=explained(state)),
        suggested_actions=_suggested_actions_for(state.hop, settings),
    )


def mended(state: PathState, settings: Settings, now: float) -> Message:
    """The path is whole again; `state` is that of the time when it was broken."""
    return _build_message(
        state,
        settings,
        title=_("The alert path works again"),
        time=now,
        details=_(
            "The Watchdog alert comes back again: alerts are delivered. The path was broken ({hop}) since {since}. "
            "What was sent directly is not sent a second time."
        ).format(hop=_(state.hop), since=isoformat(state.since)),
        resolved=True,
    )


def _suggested_actions_for(hop: str, settings: Settings) -> str:
    lines = {
        Hop.SCRAPE: [
            _action_line(_("Ask Prometheus: {command}"), f"curl -sS -i {_PROMETHEUS}/-/ready"),
            _action_line(_("See whether it runs: {command}"), _PROMETHEUS_STATE),
            _action_line(
                _("Read why it does not scrape: {command}"), f"curl -sS '{_PROMETHEUS}/api/v1/targets?state=active'"
            ),
        ],
        Hop.STORE: [
            _action_line(_("See whether the disk of Prometheus is full: {command}"), "df -h; df -i"),
            _action_line(
                _("Read what it says of the scrape: {command}"),
                f"curl -sS '{_PROMETHEUS}/api/v1/targets?state=active'",
            ),
            _action_line(_("See whether it runs: {command}"), _PROMETHEUS_STATE),
        ],
        Hop.EVALUATE: [
            _action_line(_("See which rule fails, and why: {command}"), f"curl -sS '{_PROMETHEUS}/api/v1/rules'"),
            _action_line(
                _("Render the rules again and check them: {command}"),
                "vv config render --out DIR && promtool check config DIR/prometheus.yml",
            ),
            _action_line(_("See whether Prometheus is short of memory or disk: {command}"), "df -h; free -h"),
        ],
        Hop.SEND: [
            _action_line(_("Ask Alertmanager: {command}"), f"curl -sS -i {_ALERTMANAGER}/-/ready"),
            _action_line(_("See whether it runs: {command}"), _ALERTMANAGER_STATE),
            _action_line(
                _("See which Alertmanager Prometheus sends to: {command}"),
                f"curl -sS {_PROMETHEUS}/api/v1/alertmanagers",
            ),
        ],
        Hop.DELIVER: [
            _ask_as_alertmanager(settings),
            _action_line(_("Read what Alertmanager says: {command}"), "docker compose logs --tail 50 alertmanager"),
            _action_line(
                _("Read what fails: {command}"), f"curl -sS {_ALERTMANAGER}/metrics | grep notifications_failed"
            ),
            _action_line(
                _("Render its configuration and token again, and reload it: {command}"), "vv config render --out DIR"
            ),
        ],
    }
    chosen = next((found for known, found in lines.items() if known == hop), lines[Hop.SCRAPE])
    chosen = [*chosen, _action_line(_("See the device's state meanwhile: {command}"), "vv status")]
    return Commands(settings).here("\n".join(f"{number}. {text}" for number, text in enumerate(chosen, 1)))


def _ask_as_alertmanager(settings: Settings) -> str:
    """Whether it reaches the exporter. In a container it calls it by a name that only containers know."""
    if settings.deployment == "compose" and settings.exporter_url.startswith("http://"):
        asked = f"docker compose exec alertmanager wget -qO- {settings.exporter_url}/-/healthy"
        return _action_line(_("See whether Alertmanager reaches the exporter: {command}"), asked)
    return _action_line(_("See whether the exporter answers: {command}"), "vv get /-/healthy")


def _action_line(sentence: str, command: str) -> str:
    return sentence.format(command=f"`{command}`")


def _build_message(
    state: PathState,
    settings: Settings,
    title: str,
    time: float,
    details: str,
    suggested_actions: str = "",
    resolved: bool = False,
) -> Message:
    return Message(
        key=f"{settings.device_id}-{ALERT_PATH_BROKEN}",
        title=title,
        severity="critical",
        device=settings.device_id,
        component=component_of(state.hop),
        time=time,
        alert_id=f"{ALERT_PATH_BROKEN}-{state.since:.0f}",
        alertname=ALERT_PATH_BROKEN,
        details=details,
        suggested_actions=suggested_actions,
        resolved=resolved,
        runbook_url=settings.runbook(ALERT_PATH_BROKEN),
        silence_url=settings.silence_url({"alertname": ALERT_PATH_BROKEN, "device": settings.device_id}),
        status_url=f"{settings.public_url}/",
    )

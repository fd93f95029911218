"""Settings in, the files that Prometheus and Alertmanager run with out.

    OUT/prometheus.yml  OUT/rules/*.yml
    OUT/alertmanager.yml  OUT/templates/*.tmpl
    OUT/agent/*                       with VV_FLEET_URL: for the agent that sends to the centre of a fleet
    OUT/secrets/*                     mode 0600; nothing secret is in any other file
    OUT/.vv-config                    the mark of a folder that is ours, in which anything may be replaced or removed

The committed `prometheus/` and `alertmanager/` are the source. What they say holds, but for what the settings change:
the device, addresses, ports and intervals, and the channels that are not configured, which are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vv_exporter import channels
from vv_exporter.language import speaking
from vv_exporter.render import agent, alertmanager, base, files, prometheus, secrets
from vv_exporter.settings import Settings, SettingsError

FOLDERS = ("secrets", "templates", "rules", "agent")


def render(settings: Settings, out: Path, prometheus_out: Path | None = None) -> None:
    """Write the configuration into the folder `out`, which is made where it is missing.

    What Prometheus reads goes to `prometheus_out` if that is given: it has no business with the channels' secrets.

    Each file is replaced as a whole, the servers' own ones after what they refer to, and what an earlier call left over
    is removed last: a call that is cut short leaves a configuration that runs. The same settings give the same files.
    What people read in them is in the settings' language.

    Raises `SettingsError` where a channel's settings cannot be used, `OSError` where `out` cannot be written, or holds
    files of others.
    """
    with speaking(settings.language):
        _render_all(settings, out, prometheus_out)


def _render_all(settings: Settings, out: Path, prometheus_out: Path | None) -> None:
    problems = list(channels.problems(settings))
    if problems:
        raise SettingsError(problems)
    out, source = out.absolute(), base.folder()
    if prometheus_out is not None:
        files.check_apart(out, prometheus_out)
    for folder in (out, prometheus_out):
        if folder is not None:
            files.claim(folder.absolute(), FOLDERS, _is_written_by_an_older_version)
    for_alertmanager = {
        "secrets": secrets.of_channels(settings),
        "templates": alertmanager.templates(source, settings),
    }
    there = (out if prometheus_out is None else prometheus_out).absolute()
    for_prometheus = {
        "secrets": secrets.of_prometheus(settings),
        "rules": prometheus.rules(source, settings),
    }
    if settings.fleet_url or (there / "agent").is_dir():
        for_prometheus["agent"] = agent.configuration(settings, there / "secrets")
    if prometheus_out is None:
        folders = for_alertmanager | for_prometheus
        folders["secrets"] = for_alertmanager["secrets"] | for_prometheus["secrets"]
        servers = {name: config(source, settings, out) for name, config in _SERVERS.items()}
        _write_all(out, folders, servers)
        return
    _write_all(out, for_alertmanager, {"alertmanager.yml": alertmanager.config(source, settings, out)})
    _write_all(there, for_prometheus, {"prometheus.yml": prometheus.config(source, settings, there)})


_SERVERS = {"alertmanager.yml": alertmanager.config, "prometheus.yml": prometheus.config}


def _write_all(out: Path, folders: Mapping[str, Mapping[str, str]], servers: Mapping[str, str]) -> None:
    for name, contents in folders.items():
        files.add(out / name, contents, private=name == "secrets")
    for name, text in servers.items():
        files.write(out / name, text)
    for name, contents in folders.items():
        files.keep_only(out / name, contents)
    for name in _SERVERS.keys() - servers.keys():  # of the time when both were here
        (out / name).unlink(missing_ok=True)


def _is_written_by_an_older_version(out: Path) -> bool:
    """Whether the servers' files are ours, and nothing else lies beside them: older versions left no marker."""
    names = {path.name for path in out.iterdir()}
    servers = names & _SERVERS.keys()
    if not servers or not names <= {*_SERVERS, *FOLDERS}:
        return False
    return all(files.begins_with(out / name, base.HEADER) for name in servers)

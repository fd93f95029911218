"""Settings in, the files that Prometheus and Alertmanager run with out.

    OUT/prometheus.yml  OUT/rules/*.yml
    OUT/alertmanager.yml  OUT/templates/*.tmpl
    OUT/secrets/*                     mode 0600; nothing secret is in any other file

The committed `prometheus/` and `alertmanager/` are the source. What they say holds, but for what the settings change:
the device, addresses, ports and intervals, and the channels that are not configured, which are left out.
"""

from __future__ import annotations

from pathlib import Path

from vv_exporter.render import alertmanager, base, channels, files, prometheus, secrets
from vv_exporter.settings import Settings, SettingsError


def render(settings: Settings, out: Path) -> None:
    """Write the configuration into the folder `out`, which is made where it is missing.

    Each file is replaced as a whole, the servers' own ones after what they refer to, and what an earlier call left over
    is removed last: a call that is cut short leaves a configuration that runs. The same settings give the same files.

    Raises `SettingsError` where a channel's settings cannot be used, `OSError` where `out` cannot be written.
    """
    problems = list(channels.problems(settings))
    if problems:
        raise SettingsError(problems)
    out = out.absolute()
    source = base.folder()
    folders = {
        "secrets": secrets.contents(settings),
        "templates": alertmanager.templates(source, settings),
        "rules": prometheus.rules(source, settings),
    }
    for name, contents in folders.items():
        files.add(out / name, contents, private=name == "secrets")
    files.write(out / "alertmanager.yml", alertmanager.config(source, settings, out))
    files.write(out / "prometheus.yml", prometheus.config(source, settings, out))
    for name, contents in folders.items():
        files.keep_only(out / name, contents)

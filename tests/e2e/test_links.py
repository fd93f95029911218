"""Every link of a message answers and every command of alerts and runbooks works, on a device that `vv up` runs.

Other ports and another folder than the defaults: without users, and with TLS and users of the exporter's own.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import bcrypt
import pytest
import requests

from tests.e2e.test_stack_up import Up
from tests.support import typed
from tests.support.certificates import make_certificates
from tests.support.device import about
from tests.support.receivers import DeadMan, Slack, Webhook
from tests.support.waiting import wait_until
from vv_exporter.settings import Settings, load
from vv_exporter.settings.environmentfile import parse_environment_file

pytestmark = [pytest.mark.prometheus, pytest.mark.usefixtures("programs"), pytest.mark.timeout(600)]
USER, PASSWORD = "ana", 's3cret & "more" $x'
VV = Path(sys.executable).with_name("vv")
SECURED = pytest.mark.parametrize("device", ["secured"], indirect=True)
"""Where it is hardest; nothing of it is different without."""


class Device(NamedTuple):
    """What runs, how it is told, and how it is asked."""

    up: Up
    settings: Settings
    slack: Slack
    asking: dict[str, Any]

    def get(self, url: str) -> requests.Response:
        return requests.get(url, timeout=20, **self.asking)

    def vv(self, *arguments: str) -> str:
        """What the command line prints, told of this device by the file that `vv up` wrote."""
        file = str(self.settings.state_dir / "stack" / "vv.env")
        done = subprocess.run([VV, "--env-file", file, *arguments], capture_output=True, text=True, env=_bare())
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module", params=["open", "secured"])
def device(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    folder = tmp_path_factory.mktemp("a device's folder")
    with Slack() as slack, DeadMan() as deadman, Webhook() as webhook, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("VV_", "DOCKER_"))]:
            patch.delenv(name)
        (folder / "videos").mkdir()
        environment = {"SLACK_WEBHOOK_URL": slack.url, "VV_DEVICE_ID": "edge-7"}
        environment |= {
            "VIDEO_STORAGE_ROOT": str(folder / "videos"),
            "DEADMAN_URL": deadman.url,
            "WEBHOOK_URL": webhook.url,
        }
        environment |= _secured(folder) if request.param == "secured" else {}
        up = _Told(folder, secured=request.param == "secured", **environment)
        try:
            up.wait_until_running()
            told = parse_environment_file((up.state / "stack" / "vv.env").read_text())
            settings = load(told)
            asking = {"auth": (USER, PASSWORD), "verify": str(folder / "ca.pem")} if request.param == "secured" else {}
            yield Device(up, settings, slack, asking)
        finally:
            up.end()


class _Told(Up):
    """`vv up` that is told its own address; it is known when its port is."""

    def __init__(self, folder: Path, *, secured: bool, **environment: str) -> None:
        self._secured = secured
        super().__init__(folder, **environment)

    def ports_told(self) -> dict[str, str]:
        address = f"{'https' if self._secured else 'http'}://127.0.0.1:{self.ports['EXPORTER']}"
        return super().ports_told() | {"VV_PUBLIC_URL": address, "VV_EXPORTER_URL": address}

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def _secured(folder: Path) -> dict[str, str]:
    made = make_certificates(folder)
    password_hash = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    config = {
        "tls_server_config": {"cert_file": str(made.certificate("server")), "key_file": str(made.key("server"))},
        "basic_auth_users": {USER: password_hash},
    }
    (folder / "web.yml").write_text(json.dumps(config))
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o600)
    return {
        "VV_WEB_CONFIG_FILE": str(folder / "web.yml"),
        "VV_EXPORTER_USERNAME": USER,
        "VV_EXPORTER_PASSWORD_FILE": str(folder / "password"),
        "VV_EXPORTER_CA_FILE": str(made.authority),
    }


def _bare() -> dict[str, str]:
    """The environment of an operator's shell."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def test_prometheus_and_alertmanager_get_through_to_the_exporter(device: Device) -> None:
    """Scrape, rules, webhook: the beat comes round. The event recorder: notifications are accounted for below."""

    def up() -> bool:
        return json.loads(device.vv("get", "/api/v1/status"))["alert_path"]["last_beat"]

    wait_until(up, 120, what="the beat")


def test_every_link_of_a_message_answers(device: Device) -> None:
    device.vv("alert", "ERROR", "A test & <more>", "--details", "of links")
    message = device.slack.wait_for(about("A test"), 120)

    links = set(re.findall(r"https?://[^\s<>|\"\\]+", json.dumps(message.json).replace("&amp;", "&")))
    assert {link for link in links if not link.startswith(f"{device.settings.public_url}/")} == set()
    paths = {link.removeprefix(device.settings.public_url).partition("?")[0] for link in links}
    assert paths >= {"/runbooks/VVEvent", "/silence", "/timeline", "/"}
    assert {link: device.get(link).status_code for link in links} == dict.fromkeys(links, 200)
    assert device.slack.violations == []


def test_the_account_of_that_message_came_by_the_event_recorder(device: Device) -> None:
    taken = re.compile(r'^vv_notifications_total\{channel="slack",result="ok"\} [1-9]', re.MULTILINE)

    wait_until(lambda: taken.search(device.vv("get", "/metrics")), 60, what="the account")


def test_every_alerts_runbook_answers(device: Device) -> None:
    links = {rule["annotations"]["runbook_url"] for rule in typed.alerts(device.settings)}

    assert len(links) > 50
    assert {link: device.get(link).status_code for link in links} == dict.fromkeys(links, 200)


@SECURED
def test_what_a_message_links_to_is_silenced_by_its_form(device: Device) -> None:
    device.vv("alert", "ERROR", "Silence me", "--details", "of links")
    message = device.slack.wait_for(about("Silence me"), 120)
    (link,) = set(re.findall(r"https?://[^\s<>|\"\\]+/silence\?[^\s<>|\"\\]+", json.dumps(message.json)))
    page = device.get(link)
    assert "Silence me" in page.text
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text.partition("h-now")[0]))
    hidden["filter"] = hidden["filter"].replace("&#34;", '"')

    made = requests.post(
        f"{device.settings.public_url}/silence",
        data=hidden | {"do": "add", "for": "1h", "reason": "camera moves"},
        allow_redirects=False,
        timeout=20,
        **device.asking,
    )

    assert made.status_code == 303, made.text
    assert "camera moves" in device.get(device.settings.public_url + made.headers["Location"]).text
    (silence,) = json.loads(device.vv("silence", "list", "--json"))
    assert "title=Silence me" in silence["matchers"]
    assert silence["author"] == (USER if device.asking else "the silence page")
    alerts = requests.get(f"{device.settings.alertmanager}/api/v2/alerts?silenced=true&active=false", timeout=20).json()
    assert [alert["labels"]["title"] for alert in alerts] == ["Silence me"]
    device.vv("silence", "end", silence["id"])
    assert device.vv("silence", "list") == "nothing is silenced\n"


OUR_OWN = re.compile(r"\bvv\b|stack/|127\.0\.0\.1:\d|a device's folder|state/")
CHANGES = re.compile(
    r"\b(?:restart|pkill|kill|rm|mv|release|resume|forget|systemctl|render|FILE|docker|vv alert|vv cron|accept)\b"
    r"|vv\.env'? drill\b|\bdvr login\b|--send|--retire|\.env'? up$"
)
IN_OTHER_STATES = re.compile(r"containers list|/ingest-paused|self-monitor\.log")
"""What there is only where a self-monitor has looked, and while the disk is full."""


@SECURED
def test_every_command_that_only_looks_works(device: Device) -> None:
    """Whatever is of this device alone: its command line, servers, folders. It may find nothing; it may not fail."""
    lines = {
        line
        for _, line in typed.lines(device.settings)
        if " " in line and shutil.which(line.split()[0]) and OUR_OWN.search(line)
        if not CHANGES.search(line) and not IN_OTHER_STATES.search(line)
    }
    assert len(lines) > 60

    with ThreadPoolExecutor(3) as at_once:
        said = dict(zip(sorted(lines), at_once.map(_typed, sorted(lines)), strict=True))
    failed = {line: done for line, done in said.items() if done[0] not in (0, 1) or done[1]}
    assert failed == {}, "\n".join(f"{line}: {why}" for line, why in failed.items())


@SECURED
def test_what_changes_the_servers_configuration_works(device: Device) -> None:
    """Rendered anew by the command of the runbook, checked by promtool and amtool, and read again."""
    lines = {line for _, line in typed.lines(device.settings)}
    rendering = next(line for line in lines if "config render --out" in line and "promtool check" in line)
    checking = next(line for line in lines if "amtool check-config" in line)
    before = (device.settings.state_dir / "stack" / "config" / "prometheus.yml").read_text()
    for line in (rendering, checking):
        subprocess.run(["bash", "-c", line], env=_bare(), cwd="/", check=True, capture_output=True)

    assert (device.settings.state_dir / "stack" / "config" / "prometheus.yml").read_text() == before


@SECURED
def test_no_secret_is_shown(device: Device) -> None:
    shown = [path for path in (device.settings.state_dir / "stack").rglob("*") if path.is_file()]
    readable = [path for path in shown if path.stat().st_mode & 0o044]

    assert [path for path in readable if PASSWORD.encode() in path.read_bytes()] == []
    assert PASSWORD not in (device.settings.state_dir / "stack" / "vv.env").read_text()
    assert PASSWORD not in device.up.output


def _typed(line: str) -> tuple[int, str]:
    """The exit code of a line in an operator's shell, and what it complains of."""
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=_bare(), cwd="/", timeout=120)
    return done.returncode, done.stderr.strip()[:300]

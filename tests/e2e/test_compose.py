"""The deployment for production, as it stands: docker-compose.yml on a real Engine, from nothing to an alert and back.

The images: our own is built by exporter/Dockerfile; Prometheus and Alertmanager are the real programs in images made
here (there is no registry). Grafana alone is a stand-in; see tests/support/images.py.
"""

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import bcrypt
import docker
import pytest
import requests
from pytest_docker.plugin import get_docker_services

from tests.support import images, typed
from tests.support.certificates import make_certificates
from tests.support.device import about
from tests.support.engine import Engine, private_engine_or_skip
from tests.support.ports import free_port
from tests.support.receivers import MailServer, Request, Slack, Webhook
from tests.support.servers import Programs
from tests.support.waiting import wait_until
from tests.support.wayout import proxy_for
from vv_exporter.settings import Settings, load
from vv_exporter.stack import victoria

pytestmark = [pytest.mark.docker, pytest.mark.prometheus, pytest.mark.timeout(900)]

CHECKOUT = Path(__file__).parents[2]
DOCKER_GID, UID = 23750, 19461
PIPELINE = "vv-demo-pipeline-1"
LONG_RUNNING = {"alertmanager", "demo-pipeline", "docker-proxy", "exporter", "grafana", "prometheus", "self-monitor"}
WITH_HEALTH = LONG_RUNNING - {"demo-pipeline"}


@dataclass
class Deployment:
    """The project, up."""

    folder: Path
    engine: Engine
    client: docker.APIClient
    ports: dict[str, int]
    slack: Slack
    webhook: Webhook
    mail: MailServer

    def compose(self, *arguments: str) -> str:
        return images.docker(self.engine, "compose", "--project-directory", self.folder, *arguments)

    def containers(self) -> dict[str, dict[str, Any]]:
        """Every container of the project, inspected, by its service."""
        listed = self.client.containers(all=True, filters={"label": "com.docker.compose.project=vv"})
        return {
            item["Labels"]["com.docker.compose.service"]: self.client.inspect_container(item["Id"]) for item in listed
        }

    def query(self, promql: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self.get("PROMETHEUS", "/api/v1/query", query=promql).json()["data"]["result"]
        return result

    def get(self, server: str, path: str, **parameters: str) -> requests.Response:
        """What a published port answers."""
        url = f"http://127.0.0.1:{self.ports[server]}{path}"
        return self.engine.inside(lambda: requests.get(url, params=parameters, timeout=20))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """An Engine whose socket belongs to a group of its own, as on a real machine."""
    with private_engine_or_skip(f"--group={DOCKER_GID}") as engine:
        yield engine


@pytest.fixture(scope="module")
def built(engine: Engine, programs: Programs) -> None:
    """All images, under the names that docker-compose.yml has."""
    try:
        base = images.base(engine)
    except images.ImageUnavailableError as error:
        pytest.skip(str(error))
    names = _image_names(engine)
    arguments = [f"--build-arg=BASE={base}", *images.pip_arguments(), "--network=host"]
    arguments += ["--file", str(CHECKOUT / "exporter" / "Dockerfile")]
    with proxy_for(engine) as proxy:
        arguments += [f"--build-arg={name}={url}" for name, url in proxy.items()]
        images.docker(engine, "build", *arguments, "--target=demo", f"--tag={names['demo-pipeline']}", CHECKOUT)
        images.docker(engine, "build", *arguments, f"--tag={names['exporter']}", CHECKOUT)
    images.prometheus(engine, programs, names["prometheus"])
    images.alertmanager(engine, programs, names["alertmanager"])
    images.grafana(engine, names["grafana"])


@pytest.fixture(scope="module")
def deployment(engine: Engine, built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The unchanged compose file with an .env of its own, up; torn down by pytest-docker's `down -v`."""
    folder = tmp_path_factory.mktemp("deployment")
    shutil.copy(CHECKOUT / "docker-compose.yml", folder)
    shutil.copytree(CHECKOUT / "grafana", folder / "grafana")
    ports = {name: free_port() for name in ("EXPORTER", "PROMETHEUS", "ALERTMANAGER", "GRAFANA")}
    _prepare_machine(folder)
    (folder / ".env").write_text(_env(folder, engine, ports))
    compose = f"docker compose --project-directory {folder} --profile demo"
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(contextlib.closing(engine.client()))
        stack.enter_context(patch.dict(os.environ, engine.environment))
        # The network comes first, so that receivers can listen where its containers reach the machine.
        images.docker(engine, "compose", "--project-directory", folder, "--profile", "demo", "create", "--quiet-pull")
        (pool,) = client.inspect_network("vv_monitoring")["IPAM"]["Config"]
        slack = stack.enter_context(engine.inside(type("Slack", (Slack,), {"host": pool["Gateway"]})))
        webhook = stack.enter_context(engine.inside(type("Webhook", (Webhook,), {"host": pool["Gateway"]})))
        mail_server = type("Mail", (MailServer,), {"host": pool["Gateway"]})
        mail = engine.inside(lambda: stack.enter_context(mail_server()))
        _write_secret(folder, "slack_webhook_url", slack.url)
        _write_secret(folder, "webhook_url", webhook.url)
        stack.enter_context(
            get_docker_services(
                compose, str(folder / "docker-compose.yml"), "vv", ["up --detach"], ["down --volumes --timeout 5"]
            )
        )
        yield Deployment(folder, engine, client, ports, slack, webhook, mail)
    # Everything is gone, but what is the operator's.
    with contextlib.closing(engine.client()) as client:
        assert client.containers(all=True) == []
        assert client.volumes()["Volumes"] in (None, [])
        assert {network["Name"] for network in client.networks()} <= {"host", "none", "bridge"}
    assert (folder / "state" / "logs" / "app.log").exists()


def _image_names(engine: Engine, folder: Path = CHECKOUT) -> dict[str, str]:
    wanted = {"VV_DEVICE_ID": "x", "VIDEO_STORAGE_ROOT": "/x", "DOCKER_GID": "1"}
    done = subprocess.run(
        [
            "docker",
            "compose",
            "--file",
            folder / "docker-compose.yml",
            "--profile",
            "*",
            "config",
            "--format",
            "json",
        ],
        env=engine.environment | wanted,
        capture_output=True,
        check=True,
    )
    return {name: service["image"] for name, service in json.loads(done.stdout)["services"].items()}


def _prepare_machine(folder: Path) -> None:
    """What docs/deployment.md has an operator do."""
    for name, mode in (
        ("state", 0o2770),
        ("state/journal", 0o3770),
        ("videos", 0o2770),
        ("etc", 0o750),
        ("etc/secrets", 0o700),
    ):
        (folder / name).mkdir()
        os.chown(folder / name, UID, UID)
        (folder / name).chmod(mode)
    (folder / "etc" / "vv.yml").write_text("stages: {scan_video: {limit: 15m}}\n")
    for name, digit in (("grafana_admin_password", "1"), ("demo_hmac_key", "2")):
        _write_secret(folder, name, f"0123456789abcde{digit}" * 4)
    for name in ("slack_webhook_url", "webhook_url"):
        _write_secret(folder, name, "http://192.0.2.1/")


def _write_secret(folder: Path, name: str, value: str) -> None:
    _write_private(folder / "etc" / "secrets" / name, value)


def _write_private(path: Path, value: str) -> None:
    path.write_text(f"{value}\n")
    path.chmod(0o600)
    os.chown(path, UID, UID)


def _env(folder: Path, engine: Engine, ports: dict[str, int]) -> str:
    values = {
        "VV_DEVICE_ID": "edge-7",
        "VV_STATE_DIR": folder / "state",
        "VIDEO_STORAGE_ROOT": folder / "videos",
        "VV_CONFIG_DIR": folder / "etc",
        "DOCKER_GID": DOCKER_GID,
        "DOCKER_SOCKET": engine.host.removeprefix("unix://"),
        "VV_SCRAPE_INTERVAL": "2s",
        "SLACK_WEBHOOK_URL_FILE": "/etc/vv/secrets/slack_webhook_url",
        "WEBHOOK_URL_FILE": "/etc/vv/secrets/webhook_url",
        **{f"VV_{name}_PORT": port for name, port in ports.items()},
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def test_every_health_check_passes(deployment: Deployment) -> None:
    def health() -> dict[str, str]:
        return {
            service: found["State"].get("Health", {}).get("Status", found["State"]["Status"])
            for service, found in deployment.containers().items()
        }

    expected = dict.fromkeys(WITH_HEALTH, "healthy") | {"demo-pipeline": "running", "config": "exited"}
    with contextlib.suppress(AssertionError):  # which does not say what was seen last
        wait_until(lambda: health() == expected, 240)
    assert health() == expected
    assert deployment.containers()["config"]["State"]["ExitCode"] == 0


def test_prometheus_scrapes_everything(deployment: Deployment) -> None:
    wanted = {"alertmanager", "prometheus", "vv-exporter", "vv-exporter-events"}

    def up() -> dict[str, str]:
        return {item["metric"]["job"]: item["value"][1] for item in deployment.query("up")}

    wait_until(lambda: up() == dict.fromkeys(wanted, "1"), 60, what="up")
    wait_until(lambda: _values(deployment, "vv_docker_up") == ["1"], 60, what="the Engine")
    wait_until(lambda: _values(deployment, "vv_collector_success == 0") == [], 60, what="all collectors")


def _values(deployment: Deployment, promql: str) -> list[str]:
    return [item["value"][1] for item in deployment.query(promql)]


def test_the_machine_is_seen_and_not_the_container(deployment: Deployment) -> None:
    (size,) = _values(deployment, 'vv_filesystem_size_bytes{role="system",path="/"}')
    there = os.statvfs("/etc/hostname")
    assert float(size) == there.f_blocks * there.f_frsize
    assert _values(deployment, "vv_filesystem_readonly") == ["0", "0"]
    assert _values(deployment, "vv_filesystem_probe_success") == ["1", "1"]
    (memory,) = _values(deployment, "vv_host_memory_total_bytes")
    assert float(memory) == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_what_containers_use_is_read_from_the_machines_own_files(deployment: Deployment) -> None:
    """Of all of them the memory; the traffic of those with a network."""

    def named(metric: str) -> set[str]:
        return {item["metric"]["name"] for item in deployment.query(f"{metric} > 0")}

    running = {f"vv-{service}-1" for service in LONG_RUNNING}
    wait_until(lambda: running <= named("vv_container_memory_working_set_bytes"), 60, what="memory of every container")
    wait_until(
        lambda: {"vv-exporter-1", "vv-prometheus-1"} <= named("vv_container_network_receive_bytes_total"),
        60,
        what="traffic",
    )


def test_the_pipeline_and_the_self_monitor_report_across_users(deployment: Deployment) -> None:
    wait_until(lambda: deployment.query('vv_stage_duration_seconds_count{stage="scan_video"} > 0'), 90, what="stages")
    wait_until(
        lambda: deployment.query("time() - vv_self_monitor_last_check_timestamp_seconds < 30"),
        60,
        what="the self-monitor",
    )
    assert _values(deployment, "sum(vv_events_rejected_total)") in ([], ["0"])


def test_nothing_has_more_rights_than_it_needs(deployment: Deployment) -> None:
    running = {name: found for name, found in deployment.containers().items() if found["State"]["Running"]}
    assert set(running) == LONG_RUNNING

    for service, found in running.items():
        pid = found["State"]["Pid"]
        fields = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
        )
        rights = {name: int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
        assert set(rights.values()) == {0}, f"{service}: {rights}"
        assert 0 not in [int(uid) for uid in (fields["Uid"] + "\t" + fields["Gid"]).split()], service
        assert 0 not in [int(gid) for gid in fields["Groups"].split()], service
        assert fields["NoNewPrivs"] == "1", service
        root = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
        assert [options[5].split(",")[0] for options in root if options[4] == "/"] == ["ro"], service
        assert found["HostConfig"]["ReadonlyRootfs"], service
        assert not found["HostConfig"]["Privileged"], service
        assert found["HostConfig"]["Memory"] > 0, service
        assert found["HostConfig"]["PidsLimit"] > 0, service
        assert found["HostConfig"]["NanoCpus"] > 0, service
        assert found["HostConfig"]["LogConfig"]["Config"]["max-size"], service


def test_only_the_proxy_has_dockers_socket(deployment: Deployment) -> None:
    socket = Path(deployment.engine.host.removeprefix("unix://"))
    identity = (socket.stat().st_dev, socket.stat().st_ino)
    having = {
        service
        for service, found in deployment.containers().items()
        for mount in found["Mounts"]
        if _holds(Path(mount["Source"]), identity)
    }

    assert having == {"docker-proxy"}
    gids = Path(f"/proc/{deployment.containers()['docker-proxy']['State']['Pid']}/status").read_text()
    assert str(DOCKER_GID) in gids.partition("Groups:")[2].splitlines()[0].split()


def _holds(source: Path, identity: tuple[int, int]) -> bool:
    if source in (Path("/proc"), Path("/sys")):
        return False
    found = [source, *source.rglob("*")] if source.is_dir() else [source]
    return any((path.lstat().st_dev, path.lstat().st_ino) == identity for path in found)


def test_the_exporter_cannot_reach_what_is_the_self_monitors(deployment: Deployment) -> None:
    """Through the machine's /proc it sees other containers' processes; it may not follow them."""
    containers = deployment.containers()
    for service, path in (("docker-proxy", "var/run/docker.sock"), ("self-monitor", "run/vv/act/docker.sock")):
        target = f"/host/proc/{containers[service]['State']['Pid']}/root/{path}"
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({target!r})"
        made = deployment.client.exec_create(containers["exporter"]["Id"], ["python3", "-c", code])
        said = deployment.client.exec_start(made["Id"])
        assert b"PermissionError" in said, said


def test_secrets_are_files_that_others_cannot_read(deployment: Deployment) -> None:
    (volume,) = [
        m["Source"] for m in deployment.containers()["alertmanager"]["Mounts"] if m["Destination"] == "/volumes/config"
    ]
    secret = Path(volume) / "secrets" / "slack-webhook-url"

    assert secret.read_text().strip() == deployment.slack.url
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    assert deployment.slack.url not in json.dumps(list(deployment.containers().values()))
    assert deployment.slack.url not in deployment.compose("logs")


READERS = {
    # What lies in files, and whose containers may read it.
    "the address of Slack": {"exporter", "alertmanager"},
    "the token of Alertmanager": {"exporter", "alertmanager"},
    "the password of Grafana": {"exporter", "grafana"},
    "the demo's key": {"exporter", "demo-pipeline"},
    "the exporter's database": {"exporter"},
    "the self-monitor's database": {"self-monitor"},
}
CONNECTED = {"read": {"exporter", "docker-proxy"}, "act": {"self-monitor", "docker-proxy"}}
OURS = {"demo-pipeline", "docker-proxy", "exporter", "self-monitor"}


def test_each_container_reads_what_it_needs(deployment: Deployment) -> None:
    """Searched in all that it has mounted, by a process in it."""
    secrets, state = deployment.folder / "etc" / "secrets", deployment.folder / "state"
    wanted = {
        "the address of Slack": deployment.slack.url,
        "the token of Alertmanager": (state / "exporter" / "alertmanager-token").read_text().strip(),
        "the password of Grafana": (secrets / "grafana_admin_password").read_text().strip(),
        "the demo's key": (secrets / "demo_hmac_key").read_text().strip(),
    }
    files = {
        "the exporter's database": state / "exporter" / "state.db",
        "the self-monitor's database": state / "self-monitor" / "state.db",
    }
    found: dict[str, set[str]] = {what: set() for what in READERS}
    for service, container in deployment.containers().items():
        if service not in LONG_RUNNING:
            continue
        mounted = {mount["Destination"] for mount in container["Mounts"]} - {"/host/proc", "/host/sys", "/host/disk"}
        for what, value in wanted.items():
            if _run(deployment, container, "python3", "-c", _SEARCH, value, *sorted(mounted)):
                found[what].add(service)
        for what, path in files.items():
            if _run(deployment, container, "python3", "-c", _SEARCH, "SQLite format", str(path)):
                found[what].add(service)

    assert found == READERS


def test_the_state_folder_of_before_is_mended(deployment: Deployment) -> None:
    """An operator made it without the sticky bit, as older documents said."""
    state = deployment.folder / "state"

    assert stat.S_IMODE(state.stat().st_mode) == 0o3770
    assert {stat.S_IMODE(path.stat().st_mode) for path in (state / "exporter").iterdir()} == {0o600}
    assert stat.S_IMODE((state / "exporter").stat().st_mode) == 0o700
    assert _run(deployment, deployment.containers()["exporter"], "vv", "doctor").startswith("ok: ")


def test_each_container_connects_to_what_it_needs(deployment: Deployment) -> None:
    """Its volumes decide, the folders' modes, and the proxy, which asks the kernel who comes."""
    found: dict[str, set[str]] = {name: set() for name in CONNECTED}
    for service, container in deployment.containers().items():
        mounted = {mount["Destination"] for mount in container["Mounts"]}
        for name in CONNECTED:
            if service in OURS:
                path = f"/run/vv/{name}/docker.sock"
                answer = _run(deployment, container, "vv", "health", "docker-proxy", "--socket", path) == "healthy"
                found[name] |= {service} if answer else set()
            else:
                assert f"/run/vv/{name}" not in mounted, service

    assert found == CONNECTED


def test_prometheus_has_nothing_of_alertmanagers(deployment: Deployment) -> None:
    containers = deployment.containers()
    sources = {
        service: {mount["Source"] for mount in containers[service]["Mounts"]}
        for service in ("prometheus", "alertmanager", "grafana")
    }

    assert sources["prometheus"] & sources["alertmanager"] == set()
    assert sources["grafana"] & (sources["prometheus"] | sources["alertmanager"]) == set()


_SEARCH = """
import os, sys
wanted, *places = sys.argv[1:]
for place in places:
    for folder, _, names in [("/", [], [place]), *os.walk(place)]:
        for name in names:
            try:
                with open(os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
                    if wanted.encode() in file.read(1 << 20):
                        print(os.path.join(folder, name))
            except OSError:
                pass
"""
"""Prints the files that hold a text, of those that may be read."""


def _run(deployment: Deployment, container: dict[str, Any], *command: str) -> str:
    """What the command prints in the container."""
    made = deployment.client.exec_create(container["Id"], command, stderr=False)
    return deployment.client.exec_start(made["Id"]).decode(errors="replace").strip()


def test_everything_listens_on_loopback(deployment: Deployment) -> None:
    published = {
        (binding["HostIp"], int(binding["HostPort"]))
        for found in deployment.containers().values()
        for bindings in (found["NetworkSettings"]["Ports"] or {}).values()
        for binding in bindings or ()
    }

    assert published == {("127.0.0.1", port) for port in deployment.ports.values()}
    for name, path in (("EXPORTER", "/"), ("ALERTMANAGER", "/-/ready"), ("GRAFANA", "/api/health")):
        assert deployment.get(name, path).status_code == 200


def test_a_killed_container_is_told_with_links_that_work(deployment: Deployment) -> None:
    wait_until(
        lambda: _values(deployment, f'vv_container_running{{name="{PIPELINE}"}}') == ["1"], 60, what="the pipeline"
    )
    assert deployment.slack.matching(about("ContainerDown")) == []
    deployment.client.kill(PIPELINE)

    def fires(request: Request) -> bool:
        return about(PIPELINE, "is down")(request) and b"resolved" not in request.body.lower()

    slack = deployment.slack.wait_for(lambda request: fires(request) and about("ContainerDown")(request), 180)
    deployment.webhook.wait_for(fires, 180)

    told = json.dumps(slack.json)
    assert not deployment.client.inspect_container(PIPELINE)["State"]["Running"]
    assert f"http://127.0.0.1:{deployment.ports['EXPORTER']}/" in told
    assert f"http://127.0.0.1:{deployment.ports['EXPORTER']}/silence?filter=" in told
    assert deployment.slack.violations + deployment.webhook.violations == []
    deployment.client.start(PIPELINE)


def _settings(deployment: Deployment) -> Settings:
    """As the exporter has them, but for what only its container can read."""
    given = dict(entry.split("=", 1) for entry in deployment.containers()["exporter"]["Config"]["Env"])
    there = {name for name in given if name.endswith("_FILE")} | {"VV_EXPORTER_USERNAME"}
    return load({name: text for name, text in given.items() if name not in there} | {"VV_CONFIG": ""})


def _links(deployment: Deployment, title: str, **asking: Any) -> dict[str, int]:
    """What each link of a message answers, by its path; the message comes by the whole way."""
    deployment.compose("exec", "-T", "exporter", "vv", "alert", "ERROR", title, "--details", "of compose")
    message = deployment.slack.wait_for(about(title), 120)
    links = set(re.findall(r"https?://[^\s<>|\"\\\\]+", json.dumps(message.json).replace("&amp;", "&")))
    address = f"{_settings(deployment).exporter_on_host}/"
    here = {link for link in links if link.startswith(address)}
    # Without VV_PUBLIC_URL the runbook is the published one.
    assert [link for link in links - here if "/VVEvent" not in link] == []
    answers = {
        link: deployment.engine.inside(lambda link=link: requests.get(link, timeout=20, **asking).status_code)
        for link in {*here, f"{address}runbooks/VVEvent"}
    }
    return {urlsplit(link).path: status for link, status in answers.items()}


LINKED = ("/", "/silence", "/timeline", "/runbooks/VVEvent")


def test_every_link_of_a_message_answers(deployment: Deployment) -> None:
    assert _links(deployment, "Look at links") == dict.fromkeys(LINKED, 200)


USER, PASSWORD = "ana", 's3cret & "more" $x'


def test_up_again_takes_up_what_changed(deployment: Deployment) -> None:
    """An operator's way to new settings: `up -d` renders again, and the servers are told. Here also TLS and a user."""
    with (deployment.folder / ".env").open("a") as env:
        env.write("VV_RUNBOOK_BASE_URL=https://runbooks.example.org\n")
        env.writelines(f"{name}={value}\n" for name, value in _secured(deployment.folder / "etc").items())
        env.write(f"SMTP_SMARTHOST={deployment.mail.smarthost}\nSMTP_FROM=vv@example.org\nSMTP_REQUIRE_TLS=false\n")
        env.write("ALERT_EMAIL_TO=ana@example.org\n")
    with (deployment.folder / "etc" / "vv.yml").open("a") as config:
        config.write(f"self_monitor: {{containers: [{PIPELINE}]}}\n")
        config.write(f"dvrs: {{{DVR}: {{url: rtsp://192.0.2.1/stream}}}}\n")
    deployment.compose("--profile", "demo", "up", "--detach")
    deployment.compose("kill", "--signal", "HUP", "prometheus", "alertmanager")

    def rules() -> str:
        return deployment.get("PROMETHEUS", "/api/v1/rules").text

    def routes() -> str:
        return str(deployment.get("ALERTMANAGER", "/api/v2/status").json()["config"]["original"])

    wait_until(lambda: "https://runbooks.example.org/ContainerDown.md" in rules(), 60, what="the new rules")
    # It does not show addresses of webhooks, which are secrets to it: the certificate comes with them.
    wait_until(lambda: "BEGIN CERTIFICATE" in routes(), 60, what="the exporter's new address at Alertmanager")


def _secured(folder: Path) -> dict[str, str]:
    """What docs/web.md has an operator write for TLS and users."""
    made = make_certificates(folder)
    made.make("exporter", holder="DNS:exporter,IP:127.0.0.1")
    config = {
        "tls_server_config": {"cert_file": "/etc/vv/exporter.pem", "key_file": "/etc/vv/exporter.key"},
        "basic_auth_users": {USER: bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()},
    }
    (folder / "web.yml").write_text(json.dumps(config))
    for path in folder.iterdir():
        if path.is_file():
            path.chmod(0o640)
            os.chown(path, UID, UID)
    _write_secret(folder.parent, "exporter_password", PASSWORD)
    return {
        "VV_EXPORTER_SCHEME": "https",
        "VV_WEB_CONFIG_FILE": "/etc/vv/web.yml",
        "VV_EXPORTER_USERNAME": USER,
        "VV_EXPORTER_PASSWORD_FILE": "/etc/vv/secrets/exporter_password",
        "VV_EXPORTER_CA_FILE": "/etc/vv/ca.pem",
    }


def test_with_tls_and_users_everything_knows_them(deployment: Deployment) -> None:
    """The scrape, the webhook that brings the beat back, the event recorder, health checks, the command line."""
    authority, began = str(deployment.folder / "etc" / "ca.pem"), time.time()
    beat = f"vv_alert_path_last_beat_timestamp_seconds > {began:.0f}"
    wait_until(lambda: deployment.query(beat), 120, what="a beat that comes back")
    wait_until(lambda: _values(deployment, 'up{job="vv-exporter"}') == ["1"], 60, what="the scrape")

    assert _links(deployment, "Users look", auth=(USER, PASSWORD), verify=authority) == dict.fromkeys(LINKED, 200)
    assert _links(deployment, "Others look", verify=authority) == dict.fromkeys(LINKED, 401)
    taken = 'vv_notifications_total{channel="slack",result="ok"} > 0'
    wait_until(lambda: deployment.query(taken), 60, what="what the event recorder told")
    assert PASSWORD not in json.dumps(list(deployment.containers().values()))
    assert PASSWORD not in deployment.compose("logs")


CHANGES = re.compile(
    r"\b(?:up|start|restart|kill|render|drill|accept|release|resume|forget|login|FILE)\b(?!.*\|)"
    r"|--send|--retire|notify test"
)
BROKEN = re.compile(
    r"[Nn]o such|not found|not running|[Cc]onnection refused|[Uu]sage:|Traceback|[Uu]nknown (?:flag|command)"
)
OF_THIS_DEPLOYMENT = re.compile(r"docker compose .*(?:exec|logs|ps|start|restart|kill)|127\.0\.0\.1:\d")


def _lines(deployment: Deployment) -> set[str]:
    """Each line of a message or a runbook about a part of this deployment."""
    return {line for _, line in typed.lines(_settings(deployment)) if OF_THIS_DEPLOYMENT.search(line)}


def _typed(deployment: Deployment, line: str) -> tuple[int, str]:
    """The exit code of a line in an operator's terminal, and what it shows. Any folder will do."""
    done = deployment.engine.inside(
        lambda: subprocess.run(
            ["script", "--quiet", "--return", "--command", line, "/dev/null"],
            env=deployment.engine.environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
            check=False,
        )
    )
    return done.returncode, done.stdout + done.stderr


def _piped(code: int, shown: str, into: str) -> tuple[int, str]:
    """The same of a whole pipe, of which the beginning has shown this."""
    if not into:
        return code, shown
    done = subprocess.run(
        ["bash", "-c", into], input=shown, capture_output=True, text=True, errors="replace", timeout=60, check=False
    )
    # What went well has shown data, in which such words may stand.
    return (code if code not in (0, 1) else done.returncode), (shown if code else "") + done.stdout + done.stderr


def test_every_command_that_only_looks_works_as_it_is_typed(deployment: Deployment) -> None:
    """With TLS and users, where it is hardest. It may find nothing. What many lines begin with is typed once."""
    lines = sorted(_with_names(line) for line in _lines(deployment) if not CHANGES.search(line))
    beginnings = sorted({line.partition(" | ")[0] for line in lines})
    assert len(lines) > 50
    assert all(f"127.0.0.1:{port}" not in line for line in lines for port in (9090, 9093, 19461))

    with ThreadPoolExecutor(3) as at_once:
        typed_once = dict(zip(beginnings, at_once.map(lambda line: _typed(deployment, line), beginnings), strict=True))
    said = {line: _piped(*typed_once[line.partition(" | ")[0]], line.partition(" | ")[2]) for line in lines}
    # What logs and timelines quote may be an error: only a command that finds nothing is looked at.
    failed = {line: text for line, (code, text) in said.items() if code not in (0, 1) or (code and BROKEN.search(text))}
    assert failed == {}, "\n".join(f"{line}: {said[line][0]} {text[-300:]}" for line, text in failed.items())


DVR, BROKEN_VIDEO = "gate", "broken.mp4"
NAMED = {
    "--channel": "slack",
    "--head": f"loglines:1:{64 * '0'}",
    "containers forget": "vv-grafana-1",
    "dvr forget": DVR,
    "dvr login": DVR,
    "quarantine release": BROKEN_VIDEO,
    "quarantine show": BROKEN_VIDEO,
    "resume": PIPELINE,
}
"""What stands in the place of a name, by what stands before it."""
QUARANTINE = """
import os, vv_core.quarantine
path = os.path.join(os.environ["VIDEO_STORAGE_ROOT"], "%s")
open(path, "wb").write(b"no video")
vv_core.quarantine.move_to_corrupted(path, "unreadable", "It is no video.", "scan_video")
"""


def _with_names(line: str) -> str:
    for before, name in NAMED.items():
        line = re.sub(rf"(?<!\S){before} (?:NAME|FILE|name|CHAIN:NUMBER:MAC)$", f"{before} {name}", line)
    return line


def test_every_command_that_changes_something_works_as_it_is_typed(deployment: Deployment) -> None:
    """On what is there: the channel of the deployment, its containers. Restarts last."""
    deployment.compose("exec", "demo-pipeline", "python", "-c", QUARANTINE % BROKEN_VIDEO)
    chosen = {_with_names(line) for line in _lines(deployment) if CHANGES.search(line)}
    # `start config` is part of `start config && …`, and `restart exporter` of the restart of two.
    lines = [line for line in chosen if not any(other.startswith(f"{line} ") for other in chosen)]
    assert len(lines) > 12

    order = (" quarantine release", " restart ", " kill ")  # what is given back is no longer there to be shown
    lines.sort(key=lambda line: (*(words in line for words in reversed(order)), line))
    said = {line: _typed(deployment, line) for line in lines}
    failed = {line: text for line, (code, text) in said.items() if code}
    assert failed == {}, "\n".join(f"{line}: {said[line][0]} {text[-500:]}" for line, text in failed.items())


@dataclass
class Centre:
    """The centre of a fleet beside the device, up."""

    folder: Path
    address: str
    deployment: Deployment

    def compose(self, *arguments: str) -> str:
        return images.docker(self.deployment.engine, "compose", "--project-directory", self.folder, *arguments)

    def answers(self, service: str, asks: list[str]) -> bool:
        """Whether a command succeeds in a container. Raises `AssertionError` with what it said if not."""
        return self.compose("exec", "-T", service, *asks) is not None

    def containers(self) -> dict[str, dict[str, Any]]:
        client = self.deployment.client
        listed = client.containers(all=True, filters={"label": "com.docker.compose.project=vv-fleet"})
        return {item["Labels"]["com.docker.compose.service"]: client.inspect_container(item["Id"]) for item in listed}

    def query(self, promql: str) -> list[dict[str, Any]]:
        """What an instant query gives who may read, from outside."""
        token = (self.folder / "config/tokens/grafana").read_text()
        answer = self.deployment.engine.inside(
            lambda: requests.get(
                f"{self.address}/api/v1/query",
                {"query": promql},
                headers={"Authorization": f"Bearer {token}"},
                timeout=20,
            )
        )
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result


@pytest.fixture(scope="module")
def centre(deployment: Deployment, store_program: Path) -> Iterator[Centre]:
    """The unchanged compose file of the centre, prepared as docs/fleet.md has it."""
    engine, folder = deployment.engine, deployment.folder / "fleet"
    shutil.copytree(CHECKOUT / "fleet", folder, ignore=shutil.ignore_patterns("config", "secrets", "inventory.yml"))
    for name in ("config", "secrets"):
        (folder / name).mkdir(mode=0o700)
        os.chown(folder / name, UID, UID)
    (folder / "inventory.yml").write_text("devices: {edge-7: {site: Porto}}\n")
    _write_private(folder / "secrets/grafana_admin_password", "0123456789abcdef")
    names = _image_names(engine, folder)
    programs = {
        "victoria-metrics": store_program,
        "vmauth": victoria.find(victoria.DOOR),
        "vmalert": victoria.find(victoria.RULES),
    }
    for service, program in programs.items():
        assert program is not None, f"{service}: make tools fetches it"
        images.victoria(engine, program, names[service])
    (pool,) = deployment.client.inspect_network("vv_monitoring")["IPAM"]["Config"]
    port, address = free_port(), pool["Gateway"]
    lines = {"VV_BIND_ADDRESS": address, "VV_FLEET_PORT": port, "VV_GRAFANA_PORT": free_port()}
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    centre = Centre(folder, f"http://{address}:{port}", deployment)
    try:
        centre.compose("up", "--detach")
        yield centre
    finally:
        centre.compose("down", "--volumes", "--timeout", "5")


def test_the_centre_of_a_fleet_comes_up_from_nothing(centre: Centre) -> None:
    """Everything runs, as nobody in particular, answers as its health check asks, and was not started again."""
    containers = centre.containers()

    assert containers.pop("config")["State"]["ExitCode"] == 0
    for service, found in containers.items():
        asks = found["Config"]["Healthcheck"]["Test"][1:]
        wait_until(partial(centre.answers, service, asks), 60, what=service)
        assert found["Config"]["User"] == f"{UID}:{UID}", service
    assert {
        service: found["RestartCount"] for service, found in centre.containers().items() if found["RestartCount"]
    } == {}
    published = {service for service, found in containers.items() if any(found["HostConfig"]["PortBindings"].values())}
    assert published == {"vmauth", "grafana"}
    inventory = wait_until(lambda: centre.query("vv_fleet_inventory"), 120, what="what the rules record")
    assert [series["metric"]["device"] for series in inventory] == ["edge-7"]

"""What a device sends to its centre: the agent's configuration, everything for a time, and what is said of it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from vv_exporter.cli import vv
from vv_exporter.fleet import sending
from vv_exporter.fleet.agent import environment, prepare
from vv_exporter.fleet.report import report
from vv_exporter.fleet.status import parse, refused, size
from vv_exporter.render import agent, render
from vv_exporter.settings import Settings, SettingsError, load, variables
from vv_exporter.settings.parsers import LEAST_QUEUE_BYTES
from vv_exporter.stack.servers import agent_command

TOKEN = "t0ken-" + "c0ffee" * 5
FLEET = {
    "VV_FLEET_URL": "https://fleet.example.org",
    "VV_FLEET_TOKEN": TOKEN,
    "VV_SITE": "São João",
    "VV_DEVICE_ID": "n1",
}


def settings(tmp_path: Path, **environ: str) -> Settings:
    return load({"VV_STATE_DIR": str(tmp_path / "state"), "VV_CONFIG": "", **environ})


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_without_a_centre_there_is_no_agent(tmp_path: Path) -> None:
    render(settings(tmp_path, **FLEET), tmp_path / "out")
    assert (tmp_path / "out" / "agent" / "scrape.yml").exists()

    render(settings(tmp_path), tmp_path / "out")
    assert list((tmp_path / "out" / "agent").iterdir()) == []
    assert not (tmp_path / "out" / "secrets" / agent.TOKEN).exists()
    assert "vmagent" not in (tmp_path / "out" / "prometheus.yml").read_text()


def test_the_agent_says_that_the_device_lives_and_sends_what_is_kept(tmp_path: Path) -> None:
    render(settings(tmp_path, **FLEET), tmp_path / "out")
    own, kept, everything = read(tmp_path / "out" / "agent" / "scrape.yml")["scrape_configs"]

    (here,) = own["static_configs"]
    assert here["labels"].items() >= {"device": "n1", "site": "São João"}.items()
    assert own["scrape_interval"] == "20s"
    assert kept["scrape_interval"] == "60s"
    assert everything["scrape_interval"] == "10s"
    assert everything["http_sd_configs"] == [{"url": "http://127.0.0.1:19461/api/v1/fleet/targets"}]
    assert "static_configs" not in everything
    # By these a device is known to live: they come by the first way only.
    for job in (kept, everything):
        assert not any(name in match for match in job["params"]["match[]"] for name in ('job="vmagent"',))
        assert 'up{job!~"prometheus|vmagent"}' in job["params"]["match[]"]


def test_the_first_way_has_no_queue_and_the_second_a_limit(tmp_path: Path) -> None:
    asked = settings(tmp_path, **FLEET, VV_FLEET_BYTES_PER_DAY="86.4MB", VV_FLEET_QUEUE_MAX="2GB")
    command = [str(part) for part in agent_command(Path("vmagent"), tmp_path / "out", tmp_path / "data", asked)]

    assert command.count("-remoteWrite.url=https://fleet.example.org/api/v1/write") == 2
    assert "-remoteWrite.disableOnDiskQueue=true,false" in command
    assert "-remoteWrite.maxDiskUsagePerURL=0,2000000000" in command
    assert "-remoteWrite.rateLimit=0,1000" in command
    relabelled = [part for part in command if "urlRelabelConfig" in part]
    assert [Path(part).name for part in relabelled] == ["beats.yml", "kept.yml"]
    assert TOKEN not in " ".join(command)
    assert all("127.0.0.1:" in part for part in command if "Listen" in part)


def test_a_queue_below_what_vmagent_keeps_to_is_as_large_as_that(tmp_path: Path) -> None:
    """On a device that set the default of before: it starts."""
    assert settings(tmp_path, **FLEET, VV_FLEET_QUEUE_MAX="500MB").fleet_queue_max == LEAST_QUEUE_BYTES


def test_no_limit_is_none(tmp_path: Path) -> None:
    command = agent_command(Path("a"), tmp_path, tmp_path, settings(tmp_path, **FLEET, VV_FLEET_BYTES_PER_DAY="0"))

    assert "-remoteWrite.rateLimit=0,0" in command


def test_the_token_is_in_a_private_file_alone(tmp_path: Path) -> None:
    render(settings(tmp_path, **FLEET), tmp_path / "out")
    holders = [file for file in (tmp_path / "out").rglob("*") if file.is_file() and TOKEN in file.read_text()]

    assert [file.name for file in holders] == [agent.TOKEN]
    assert holders[0].stat().st_mode & 0o777 == 0o600


def test_with_two_folders_the_agent_reads_that_of_prometheus(tmp_path: Path) -> None:
    render(settings(tmp_path, **FLEET), tmp_path / "alertmanager", tmp_path / "prometheus")

    assert (tmp_path / "prometheus" / "secrets" / agent.TOKEN).read_text() == TOKEN
    assert (tmp_path / "prometheus" / "agent" / "kept.yml").exists()
    assert not (tmp_path / "alertmanager" / "secrets" / agent.TOKEN).exists()


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"VV_FLEET_TOKEN": TOKEN}, "VV_FLEET_URL: is not set"),
        ({"VV_FLEET_URL": "https://fleet.example.org"}, "VV_FLEET_TOKEN: is not set"),
        (FLEET | {"VV_FLEET_BYTES_PER_DAY": "much"}, "VV_FLEET_BYTES_PER_DAY"),
        (FLEET | {"VV_FLEET_QUEUE_MAX": "0"}, "VV_FLEET_QUEUE_MAX: '0' would be no limit"),
        (FLEET | {"VV_FLEET_URL": "https://me:hidden@fleet.example.org"}, "VV_FLEET_URL: must not hold a user"),
    ],
)
def test_what_contradicts_itself_is_named(tmp_path: Path, environ: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        settings(tmp_path, **environ)


@pytest.mark.parametrize(("text", "is_one"), [("5f0c63c1a9d24b2d\n", True), ("", False), ("uninitialized\n", True)])
def test_a_machine_is_known_by_a_hash(tmp_path: Path, text: str, is_one: bool) -> None:
    (tmp_path / "machine-id").write_text(text)
    found = agent.machine(tmp_path / "machine-id")

    assert bool(found) is is_one
    assert not text or text.strip() not in found
    assert agent.machine(tmp_path / "missing") == ""


def test_everything_is_sent_until_then_whatever_stands_in_the_file(tmp_path: Path) -> None:
    here = settings(tmp_path)
    (tmp_path / "state").mkdir()
    assert sending.until(here, 1000.0) is None

    sending.request(here, 600.0, now=1000.0)
    assert sending.until(here, 1000.0) == 1600.0
    assert sending.until(here, 1599.0) == 1600.0
    assert sending.until(here, 1600.0) is None
    # Asked for by a clock that was ahead.
    assert sending.until(here, 1600.0 - sending.MAX_SECONDS - 1) is None

    for text in ("", "soon", "nan", "inf", "1e400", "\xff"):
        (tmp_path / "state" / "fleet-send-all-until").write_text(text)
        assert sending.until(here, 1000.0) is None


@pytest.mark.parametrize("now", [1000.0, 1000.5, 1000.6, 1000.999])
def test_an_end_is_one_at_once_at_any_moment_and_whatever_becomes_of_the_clock(tmp_path: Path, now: float) -> None:
    here = settings(tmp_path)
    (tmp_path / "state").mkdir()
    sending.request(here, 600.0, now)
    sending.request(here, 0.0, now)

    assert sending.until(here, now) is None
    assert sending.until(here, now - 300.0) is None


AGENT = """\
# a comment
process_start_time_seconds 1795978250
vmagent_remotewrite_bytes_sent_total{url="1:secret-url"} 99
vmagent_remotewrite_bytes_sent_total{url="2:secret-url"} 12332
vmagent_remotewrite_pending_data_bytes{path="q/1", url="1:secret-url"} 77
vmagent_remotewrite_pending_data_bytes{path="q/2", url="2:secret-url"} 2500000
vmagent_remotewrite_rate_limit{url="2:secret-url"} 578
vmagent_remotewrite_requests_total{url="1:secret-url", status_code="2XX"} 2
vmagent_remotewrite_requests_total{url="2:secret-url", status_code="2XX"} 1
vmagent_remotewrite_requests_total{url="2:secret-url", status_code="401"} 3
vmagent_remotewrite_samples_dropped_total{path="q/2",url="2:secret-url"} 5
vm_persistentqueue_bytes_dropped_total{path="q/2"} 4096
what is this
"""


def test_what_the_agent_says_is_read() -> None:
    found = parse(AGENT)

    assert (found.started_at, found.sent_bytes, found.waiting_bytes) == (1795978250, 12332, 2_500_000)
    assert (found.lost_bytes, found.lost_samples, found.limit_bytes_per_second) == (4096, 5, 578)
    assert found.answered == {"2XX": 3, "401": 3}
    assert refused(found) == {"401": 3}


def test_what_is_shown_of_it() -> None:
    shown = report(parse(AGENT), taken=1000.0, everything_until=None, now=1100.0)

    assert shown.fields["waiting"] == "2.5 MB"
    assert shown.fields["lost"] == "4.1 KB; samples: 5"
    assert shown.fields["refused"] == "3 with 401"
    assert shown.fields["limit"] == "49.9 MB a day"
    assert shown.fields["last_taken"] == "1970-01-01T00:16:40Z"
    assert shown.well


@pytest.mark.parametrize(
    ("text", "taken", "well"),
    [
        ("", 1000.0, True),
        ("", 1000.0 - 81, False),
        ("", None, False),
        (AGENT, None, False),
        ('vmagent_remotewrite_requests_total{url="2:x",status_code="2XX"} 1', None, True),
    ],
)
def test_unknown_is_not_well(text: str, taken: float | None, well: bool) -> None:
    shown = report(parse(text), taken, None, now=1100.0)

    assert shown.well is well
    assert (shown.fields["last_taken"] == "unknown") is (taken is None)


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (2e9, "2.0 GB")])
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text


def test_commands_without_a_centre_or_without_an_answer(tmp_path: Path) -> None:
    environ = {"VV_STATE_DIR": str(tmp_path), "VV_CONFIG": "", "VV_FLEET_URL": "", "VV_FLEET_TOKEN": ""}
    with_centre = environ | FLEET | {"VV_FLEET_AGENT_URL": "http://127.0.0.1:9"}

    assert CliRunner().invoke(vv, ["fleet", "status"], env=environ).exit_code == 2
    assert CliRunner().invoke(vv, ["fleet", "send-all", "--for", "1h"], env=environ).exit_code == 2
    result = CliRunner().invoke(vv, ["fleet", "status"], env=with_centre)
    assert result.exit_code == 1
    assert "Nothing is known" in result.output
    for wrong in (["--for", "25h"], ["--for", "0"], ["--for", "soon"], ["--for", "1h", "--stop"], []):
        assert CliRunner().invoke(vv, ["fleet", "send-all", *wrong], env=with_centre).exit_code == 2
    assert CliRunner().invoke(vv, ["fleet", "send-all", "--for", "1h"], env=with_centre).exit_code == 0
    assert float((tmp_path / "fleet-send-all-until").read_text()) > 0


def test_targets_are_where_everything_is_while_it_is_to_be_sent(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from vv_exporter.web.routes import fleet

    (tmp_path / "state").mkdir()
    here = settings(tmp_path, **FLEET)
    clock = [1000.0]
    context = SimpleNamespace(settings=here, clock=lambda: clock[0])
    (route,) = fleet.build(SimpleNamespace(context=context))  # type: ignore[arg-type]

    assert json.loads(route.handler(None).data) == []
    sending.request(here, 60.0, now=1000.0)
    assert json.loads(route.handler(None).data) == [{"targets": ["127.0.0.1:9090"], "labels": {"device": "n1"}}]
    clock[0] = 1060.0
    assert json.loads(route.handler(None).data) == []


class TestAsAService:
    """`vv fleet agent`, which becomes vmagent."""

    @pytest.fixture(autouse=True)
    def vmagent(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        program = tmp_path / "tools" / "bin" / "vmagent"
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
        monkeypatch.setenv("VV_TOOLS_DIR", str(tmp_path / "tools"))
        return program

    def test_it_has_the_options_and_the_files_of_everywhere_else(self, tmp_path: Path, vmagent: Path) -> None:
        asked = settings(tmp_path, **FLEET, VV_EXPORTER_USERNAME="ana", VV_EXPORTER_PASSWORD="s3cret")
        command = prepare(asked, tmp_path / "data")
        config = tmp_path / "data" / "config"

        assert command == [str(part) for part in agent_command(vmagent, config, tmp_path / "data/queue", asked)]
        assert {path.name for path in (config / "agent").iterdir()} == {"scrape.yml", "beats.yml", "kept.yml"}
        assert (config / "secrets" / "fleet_token").read_text() == TOKEN
        assert {path.name for path in (config / "secrets").iterdir()} == {"fleet_token", "exporter_password"}
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in (config / "secrets").iterdir())
        assert TOKEN not in " ".join(command)

    def test_a_changed_setting_is_taken_up_and_nothing_of_before_stays(self, tmp_path: Path) -> None:
        prepare(settings(tmp_path, **FLEET, VV_EXPORTER_USERNAME="ana", VV_EXPORTER_PASSWORD="s3cret"), tmp_path)
        command = prepare(settings(tmp_path, **FLEET | {"VV_FLEET_TOKEN": "other"}), tmp_path)

        assert {path.name for path in (tmp_path / "config" / "secrets").iterdir()} == {"fleet_token"}
        assert (tmp_path / "config" / "secrets" / "fleet_token").read_text() == "other"
        assert any(FLEET["VV_FLEET_URL"] in option for option in command)

    def test_nothing_of_our_settings_is_in_its_environment(self) -> None:
        ours = dict.fromkeys((variable.name for variable in variables().values()), "x")
        given = ours | {"VV_FLEET_TOKEN_FILE": "x", "PATH": "/bin", "HTTPS_PROXY": "p"}

        assert environment(given) == {"PATH": "/bin", "HTTPS_PROXY": "p"}

    def test_what_is_missing_is_said_in_one_line(
        self, tmp_path: Path, vmagent: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def run(**environ: str) -> tuple[int, str]:
            given = {"VV_CONFIG": "", "VV_STATE_DIR": str(tmp_path), "PATH": str(tmp_path), **environ}
            done = CliRunner().invoke(vv, ["fleet", "agent", "--data", str(tmp_path / "data")], env=given)
            return done.exit_code, done.output

        assert run() == (2, run()[1])
        assert "VV_FLEET_URL is not set" in run()[1]
        vmagent.unlink()
        monkeypatch.delenv("VV_TOOLS_DIR")
        monkeypatch.setenv("VV_TOOLS_DIR", str(tmp_path / "nothing"))
        code, said = run(**FLEET)
        assert code == 1
        assert "vmagent is missing: put it on PATH" in said

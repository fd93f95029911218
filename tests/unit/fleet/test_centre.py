"""The centre's files: who may write as whom, rules of the inventory, routes; secrets in files of their own."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.servers import Programs, check
from vv_exporter.fleet import centre
from vv_exporter.fleet.inventory import Device
from vv_exporter.fleet.servers import Ports, servers
from vv_exporter.render import base
from vv_exporter.render.annotations import TRANSLATED_ANNOTATIONS
from vv_exporter.render.files import FolderNotOursError
from vv_exporter.settings import Settings, load

STORE = "http://store:8428"
SLACK = "https://hooks.slack.com/services/T0/B0/c0ffee"
DEVICES = [Device("north-1", "São João", "5f0c"), Device("north-2"), Device("old-1", retired=True)]


def settings(tmp_path: Path, **environ: str) -> Settings:
    return load({"VV_STATE_DIR": str(tmp_path / "state"), "VV_CONFIG": "", **environ})


def rendered(tmp_path: Path, devices: list[Device] = DEVICES, **environ: str) -> Path:
    out = tmp_path / "out"
    centre.render(devices, settings(tmp_path, **environ), out, STORE)
    return out


def document(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_a_device_may_write_in_its_own_name_and_the_reader_may_ask(tmp_path: Path) -> None:
    out = rendered(tmp_path)
    users = {user["name"]: user for user in document(out / "auth.yml")["users"]}

    assert set(users) == {"north-1", "north-2", "grafana"}
    for name in ("north-1", "north-2"):
        (way,) = users[name]["url_map"]
        assert way == {"src_paths": ["/api/v1/write"], "url_prefix": f"{STORE}/?extra_label=device={name}"}
    (way,) = users["grafana"]["url_map"]
    assert not any("write" in path or "import" in path or "delete" in path for path in way["src_paths"])
    assert len({user["bearer_token"] for user in users.values()}) == 3


def test_nothing_is_written_but_the_folder(tmp_path: Path) -> None:
    """In its container all else is read-only, and there is no state of a device."""
    (tmp_path / "state").touch()
    out = rendered(tmp_path, SLACK_WEBHOOK_URL=SLACK)

    assert (out / "secrets" / "slack-webhook-url").read_text() == SLACK
    assert {path.name for path in tmp_path.iterdir()} == {"state", "out"}


def test_tokens_are_kept_are_private_and_go_with_their_device(tmp_path: Path) -> None:
    out = rendered(tmp_path)
    before = {file.name: file.read_text() for file in (out / "tokens").iterdir()}
    rendered(tmp_path, [Device("north-1"), Device("north-2", retired=True), Device("north-3")])
    after = {file.name: file.read_text() for file in (out / "tokens").iterdir()}

    assert set(after) == {"north-1", "north-3", "grafana"}
    assert after["north-1"] == before["north-1"]
    assert after["grafana"] == before["grafana"]
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in [*(out / "tokens").iterdir(), out / "auth.yml"])
    assert {user["name"] for user in document(out / "auth.yml")["users"]} == set(after)


def test_no_token_stands_in_a_file_that_others_read(tmp_path: Path) -> None:
    out = rendered(tmp_path, SLACK_WEBHOOK_URL=SLACK)
    tokens = [file.read_text() for file in (out / "tokens").iterdir()]

    for file in out.rglob("*"):
        if file.is_file() and file.stat().st_mode & 0o077:
            assert not any(secret in file.read_text() for secret in [*tokens, SLACK])
    assert [file.name for file in (out / "secrets").iterdir()] == ["slack-webhook-url"]


def test_an_empty_token_is_replaced(tmp_path: Path) -> None:
    out = rendered(tmp_path)
    (out / "tokens" / "north-1").write_text("")
    rendered(tmp_path)

    assert len((out / "tokens" / "north-1").read_text()) > 30
    assert all(user["bearer_token"] for user in document(out / "auth.yml")["users"])


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "theirs").touch()

    with pytest.raises(FolderNotOursError):
        rendered(tmp_path)


@pytest.mark.prometheus
def test_the_inventory_is_series(tmp_path: Path, programs: Programs) -> None:
    many = [*DEVICES, *(Device(f"d{number}", "Faro") for number in range(120))]
    (tmp_path / "inventory.yml").write_text(json.dumps(centre.inventory_rules(many)))
    expectations = [
        (
            'vv_fleet_inventory{device=~"north.*"}',
            [
                {"labels": 'vv_fleet_inventory{device="north-1",site="São João",machine="5f0c"}', "value": 1},
                {"labels": 'vv_fleet_inventory{device="north-2"}', "value": 1},
            ],
        ),
        ("count(vv_fleet_inventory)", [{"labels": "{}", "value": 122}]),
        ("vv_fleet_retired", [{"labels": 'vv_fleet_retired{device="old-1"}', "value": 1}]),
    ]
    cases = [{"expr": expr, "eval_time": "1m", "exp_samples": samples} for expr, samples in expectations]
    test = {"interval": "1m", "input_series": [], "promql_expr_test": cases}
    (tmp_path / "proof.yml").write_text(json.dumps({"rule_files": ["inventory.yml"], "tests": [test]}))

    check(programs.promtool, "test", "rules", tmp_path / "proof.yml")
    rules = centre.inventory_rules(many)["groups"][0]["rules"]
    assert max(len(rule["expr"]) for rule in rules) < 16_000


@pytest.mark.prometheus
def test_the_routes_are_those_of_the_channels_that_are_configured(tmp_path: Path, programs: Programs) -> None:
    out = rendered(tmp_path, SLACK_WEBHOOK_URL=SLACK)
    names = [receiver["name"] for receiver in document(out / "alertmanager.yml")["receivers"]]

    assert names == ["nobody", "chat"]
    check(programs.amtool, "check-config", out / "alertmanager.yml")
    for labels, receiver in (
        ("alertname=Watchdog severity=none", "nobody"),
        ("alertname=DeviceMissing severity=error", "chat"),
        ("alertname=SameFaultOnMany severity=warning", "chat"),
        ("alertname=VersionSkew severity=info", "nobody"),
    ):
        command = [programs.amtool, "config", "routes", "test", "--config.file", out / "alertmanager.yml"]
        shown = check(*command, *labels.split())
        assert shown.split() == [receiver]


def test_no_server_listens_outside_or_has_a_secret_among_its_arguments(tmp_path: Path) -> None:
    out = rendered(tmp_path, SLACK_WEBHOOK_URL=SLACK)
    programs = {name: Path(name) for name in ("victoria-metrics", "vmauth", "vmalert", "alertmanager")}
    commands = [server.command for server in servers(programs, out, tmp_path / "data", Ports.following(20_000))]
    text = " ".join(str(part) for command in commands for part in command)

    assert len(commands) == 5
    for token in (out / "tokens").iterdir():
        assert token.read_text() not in text
    listening = [
        part for command in commands for part in map(str, command) if re.search(r"listen-?addr", part, re.IGNORECASE)
    ]
    assert len(listening) == 7
    assert all("127.0.0.1:" in part for part in listening)


@pytest.mark.parametrize("name", ["fleet.yml", "ahead.yml"])
def test_rules_say_the_same_in_the_centres_language(tmp_path: Path, name: str) -> None:
    english = (rendered(tmp_path) / "rules" / name).read_text(encoding="utf-8")
    told = yaml.safe_load((rendered(tmp_path, VV_LANGUAGE="pt-BR") / "rules" / name).read_text(encoding="utf-8"))
    committed = yaml.safe_load(english)

    assert english == (base.folder() / "fleet" / "rules" / name).read_text(encoding="utf-8")
    for group, spoken in zip(committed["groups"], told["groups"], strict=True):
        for rule, other in zip(group["rules"], spoken["rules"], strict=True):
            notes, said = rule.pop("annotations", {}), other.pop("annotations", {})
            assert rule == other
            assert [text for name, text in notes.items() if name in TRANSLATED_ANNOTATIONS and said[name] == text] == []
            assert said.get("runbook_url", "") == notes.get("runbook_url", "").replace("/docs/", "/docs/pt-BR/")
        group.pop("rules"), spoken.pop("rules")
        assert group == spoken


def test_each_runbook_that_a_rule_names_is_there_in_each_language(tmp_path: Path) -> None:
    out = rendered(tmp_path, VV_LANGUAGE="pt-BR")
    named = re.findall(r"/(docs/pt-BR/runbooks/\S+\.md)", (out / "rules" / "fleet.yml").read_text(encoding="utf-8"))

    assert len(named) >= 8
    assert [one for one in named if not (base.folder() / one).is_file()] == []


def test_templates_are_in_the_centres_language(tmp_path: Path) -> None:
    words = (rendered(tmp_path, VV_LANGUAGE="pt-BR") / "templates" / "words.tmpl").read_text(encoding="utf-8")

    assert '{{ define "vv.language" }}pt-BR{{ end }}' in words


@pytest.mark.prometheus
@pytest.mark.parametrize(
    ("language", "site", "title", "lists"),
    [
        ("en", "São João", "JobMissed: 60 devices at São João", ("Devices (60): d00 d01", "d49 and others")),
        ("pt-BR", "São João", "JobMissed: 60 dispositivos em São João", ("Dispositivos (60): d00 d01", "d49 e outros")),
        ("en", "", "JobMissed: 60 devices", ("Over (1): d60",)),
        ("pt-BR", "", "JobMissed: 60 dispositivos", ("Já resolvidos (1): d60",)),
        ("pt-BR", "<b>`*\n" + "x" * 500, "JobMissed: 60 dispositivos em", ()),
    ],
)  # fmt: skip
def test_many_devices_are_told_in_the_centres_language(
    tmp_path: Path, programs: Programs, language: str, site: str, title: str, lists: tuple[str, ...]
) -> None:
    out = rendered(tmp_path, VV_LANGUAGE=language)
    sent = many_devices(site)

    assert filled(programs, out, "fleet.subject", sent).startswith(f"ERROR: {title}")
    for name in ("fleet.slack.title", "fleet.telegram.message"):
        text = filled(programs, out, name, sent)
        assert "<b>`" not in text
        assert f"ERROR: {title}" in text
        assert len(text) < 4096
    plain = filled(programs, out, "fleet.plain", sent)
    assert [one for one in lists if one not in plain] == []
    resolved = filled(programs, out, "fleet.subject", {**sent, "status": "resolved"})
    assert resolved.startswith("RESOLVED: " if language == "en" else "RESOLVIDO: ")


def many_devices(site: str) -> dict[str, Any]:
    """What Alertmanager fills templates with: an alert of 60 devices of a site, and of one more that is over."""
    labels = {"alertname": "JobMissed", "severity": "error", **({"site": site} if site else {})}
    alerts = [
        {
            "status": "resolved" if number == 60 else "firing",
            "labels": {**labels, "device": f"d{number:02}"},
            "annotations": {"summary": "Job", "description": "It is late."},
            "startsAt": "2026-01-31T10:30:00Z",
            "endsAt": "2026-01-31T10:42:00Z",
            "fingerprint": f"{number:016x}",
        }
        for number in range(61)
    ]
    return {
        "receiver": "all",
        "status": "firing",
        "alerts": alerts,
        "groupLabels": {},
        "commonLabels": labels,
        "commonAnnotations": {},
        "externalURL": "http://localhost",
    }


def filled(programs: Programs, out: Path, name: str, data: dict[str, Any]) -> str:
    """A template of the centre, as Alertmanager fills it."""
    (out / "data.json").write_text(json.dumps(data))
    told = [f"--template.glob={out}/templates/*.tmpl", f"--template.data={out}/data.json"]
    command = [programs.amtool, "template", "render", *told, f'--template.text={{{{ template "{name}" . }}}}']
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def test_promtool_takes_the_rules_in_the_centres_language(tmp_path: Path, programs: Programs) -> None:
    out = rendered(tmp_path, VV_LANGUAGE="pt-BR", SLACK_WEBHOOK_URL=SLACK)

    check(programs.promtool, "check", "rules", *sorted((out / "rules").glob("*.yml")))
    check(programs.amtool, "check-config", out / "alertmanager.yml")

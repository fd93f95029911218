"""A whole device: `vv up` as its user runs it, with every channel set to a recording receiver.

with Channels() as channels, Device(tmp_path, channels.environ()) as device:
    device.script("from vv_core.jobs import heartbeat; heartbeat('nightly')")
    channels.slack.wait_for(titled("StageCrashed"), 60)
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import requests

from tests.support.exporter import ROOMY
from tests.support.ports import free_port
from tests.support.receivers import AlertmanagerWebhook, DeadMan, PagerDuty, Request, Slack, Telegram
from tests.support.waiting import wait_until
from vv_exporter.stack.processes import Child


class Channels:
    """Slack, PagerDuty, Telegram, a webhook of Alertmanager's and the dead man's switch, as servers on loopback."""

    def __init__(self) -> None:
        self.slack = Slack()
        self.pagerduty = PagerDuty()
        self.telegram = Telegram()
        self.webhook = AlertmanagerWebhook()
        self.deadman = DeadMan()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        for receiver in (self.slack, self.pagerduty, self.telegram, self.webhook, self.deadman):
            self._stack.enter_context(receiver)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def environ(self) -> dict[str, str]:
        """What makes a device notify them."""
        return {
            "SLACK_WEBHOOK_URL": self.slack.url,
            "PAGERDUTY_ROUTING_KEY": "0123456789abcdef0123456789abcdef",
            "PAGERDUTY_URL": self.pagerduty.url,
            "TELEGRAM_BOT_TOKEN": self.telegram.token,
            "TELEGRAM_CHAT_ID": "-100123",
            "TELEGRAM_API_URL": self.telegram.base_url,
            "ALERTMANAGER_WEBHOOK_URL": self.webhook.url,
            "DEADMAN_URL": self.deadman.url,
        }

    def violations(self) -> list[str]:
        """What any provider would have refused."""
        receivers = (self.slack, self.pagerduty, self.telegram, self.webhook, self.deadman)
        return [violation for receiver in receivers for violation in receiver.violations]


class Device:
    """`vv up` with a state folder and ports of its own."""

    def __init__(self, folder: Path, environ: dict[str, str], config: str = "") -> None:
        self.state = folder / "state"
        self.ports = {name: free_port() for name in ("exporter", "prometheus", "alertmanager")}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "vv.yml").write_text(config or "settings: {}\n")
        self.environ = {
            "VV_STATE_DIR": str(self.state),
            "VV_CONFIG": str(folder / "vv.yml"),
            "VV_DEVICE_ID": "edge-7",
            "VV_SCRAPE_INTERVAL": "1s",
            **ROOMY,
            **{f"VV_{name.upper()}_PORT": str(port) for name, port in self.ports.items()},
            **environ,
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VV_", "DOCKER_"))}
        self.env = {**kept, **self.environ}
        self._child = Child("vv up", [sys.executable, "-m", "vv_exporter", "up"], folder / "up.out", env=self.env)

    def __enter__(self) -> Self:
        self._child.start()
        try:
            wait_until(self._printed_where_to_look, 120, what="the stack")
        except BaseException as error:
            self._child.stop()
            error.add_note(self.output())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.signal(signal.SIGINT)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self._child.exit_code() is not None, 30)
        self._child.stop()
        if error is not None:
            error.add_note(f"vv up said:\n{self.output()}\napp.log ends:\n{self.app_log()[-3000:]}")

    def _printed_where_to_look(self) -> bool:
        assert self._child.exit_code() is None, "vv up ended"
        return "is watched" in self.output()

    def kill(self, server: str) -> None:
        """End one of its servers as the kernel would; `vv up` starts it again."""
        (found,) = [one for one in psutil.Process(self._child.pid).children() if server in " ".join(one.cmdline()[:4])]
        found.kill()
        found.wait()

    def exit_code(self) -> int | None:
        """How `vv up` ended, None while it runs."""
        return self._child.exit_code()

    def output(self) -> str:
        """What `vv up` printed."""
        return self._child.log.read_text(errors="replace")

    def app_log(self) -> str:
        """What stands in app.log."""
        path = self.state / "logs" / "app.log"
        return path.read_text() if path.exists() else ""

    def url(self, server: str) -> str:
        """The address of `exporter`, `prometheus` or `alertmanager`."""
        return f"http://127.0.0.1:{self.ports[server]}"

    def script(self, code: str, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """Start a pipeline script; its standard output and input are pipes."""
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**self.env, **environ},
        )

    def query(self, promql: str) -> list[dict[str, Any]]:
        """An instant query's result."""
        answer = requests.get(f"{self.url('prometheus')}/api/v1/query", params={"query": promql}, timeout=10).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def alerts(self, **labels: str) -> list[dict[str, Any]]:
        """Alertmanager's alerts with these labels."""
        every = requests.get(f"{self.url('alertmanager')}/api/v2/alerts", timeout=10).json()
        return [alert for alert in every if labels.items() <= alert["labels"].items()]


def of_the_machine(alert: dict[str, Any]) -> bool:
    """Whether an alert is about the machine that the tests run on: hot, busy, just started, its own disk full."""
    return alert["labels"]["component"] == "host" or alert["labels"].get("role") == "system"


def about(*words: str) -> Callable[[Request], bool]:
    """Whether a request's body has all these words in it."""
    return lambda request: all(word in request.body.decode() for word in words)

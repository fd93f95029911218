"""`vv notify test`: each channel's answer in a line, and the exit code."""

from click.testing import CliRunner, Result

from tests.support.receivers import Answer
from tests.unit.delivery.test_providers import Receivers, receivers, running
from vv_exporter.cli import vv

__all__ = ["receivers", "running"]  # fixtures


def run(environ: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(vv, ["notify", "test", *arguments], env=environ)


def test_every_channel_is_tried_and_its_answer_shown(receivers: Receivers) -> None:
    result = run(receivers.environ())

    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line.split() for line in result.stdout.splitlines()}
    assert sorted(lines) == ["deadman", "email", "opsgenie", "pagerduty", "slack", "telegram"]
    assert {line[1] for line in lines.values()} == {"ok"}
    assert lines["slack"][4:] == ["200", "ok"]
    assert lines["pagerduty"][4:] == ["202", "Event", "processed"]
    assert all(line[3] == "ms" for line in lines.values())
    assert [secret for secret in receivers.secrets() if secret in result.output] == []
    assert "A test notification" in receivers.slack.received[0].json["attachments"][0]["title"]
    assert [request.json["event_action"] for request in receivers.pagerduty.received] == ["trigger", "resolve"]


def test_one_that_fails_is_named_with_what_it_said(receivers: Receivers) -> None:
    receivers.telegram.outage = 503
    result = run(receivers.environ())

    assert result.exit_code == 1
    assert "telegram" in result.stderr
    assert "1 of 6 channels failed: telegram" in result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("telegram")]
    assert "failed" in line
    assert "answered 503" in line


def test_what_a_provider_says_cannot_command_the_terminal(receivers: Receivers) -> None:
    receivers.slack.handle = lambda request: Answer(403, "\x1b]0;pwned\x07no", "text/plain")  # type: ignore[method-assign]
    try:
        result = run(receivers.environ(), "--channel", "slack")
    finally:
        del receivers.slack.handle  # type: ignore[method-assign]

    assert result.exit_code == 1
    assert "answered 403" in result.stdout
    assert "\x1b" not in result.stdout
    assert "\x07" not in result.stdout


def test_one_channel_alone(receivers: Receivers) -> None:
    result = run(receivers.environ(), "--channel", "slack")

    assert result.exit_code == 0
    assert result.stdout.startswith("slack  ok")
    assert len(receivers.slack.received) == 1
    assert receivers.telegram.received == []


def test_a_channel_that_is_not_configured_is_wrong_use(receivers: Receivers) -> None:
    environ = dict.fromkeys(receivers.environ(), "") | {"SLACK_WEBHOOK_URL": receivers.slack.url}

    result = run(environ, "--channel", "telegram")
    assert result.exit_code == 2
    assert "'telegram' is not a channel that is configured; configured: slack" in result.stderr

    nothing = run(dict.fromkeys(receivers.environ(), ""))
    assert nothing.exit_code == 2
    assert "no channel is configured" in nothing.stderr

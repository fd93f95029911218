"""What a program of the stack printed is shown, and what of it is a secret is not."""

import sys
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from vv_exporter.settings import load
from vv_exporter.settings.values import without_secrets
from vv_exporter.stack import reports, up
from vv_exporter.stack.processes import Child

TOKEN = "123456:secret-token"
ENVIRONMENT = {
    "TELEGRAM_BOT_TOKEN": TOKEN,
    "TELEGRAM_CHAT_ID": "-100",
    "WEBHOOK_URL": "http://hooks.test/secret-path",
    "DVR_URL": "rtsp://10.0.0.9/s",
    "DVR_PASSWORD": "admin:secret-password",
    "SMTP_PASSWORD": "secret",
}


def test_every_secret_is_hidden_also_one_that_is_part_of_another(tmp_path: Path) -> None:
    settings = load({"VV_STATE_DIR": str(tmp_path), **ENVIRONMENT})

    text = f"a bot{TOKEN}/sendMessage b http://hooks.test/secret-path c secret-password d secret e"

    assert without_secrets(text, settings) == ("a bot(hidden)/sendMessage b (hidden) c (hidden) d (hidden) e")
    assert without_secrets(text, load({"VV_STATE_DIR": str(tmp_path)})) == text


@pytest.mark.parametrize("lately", [1, reports.AGAIN_AND_AGAIN])
def test_what_a_server_said_last_is_told_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lately: int
) -> None:
    told: list[str] = []
    monkeypatch.setattr(reports, "send_alert", lambda *args, **_: told.extend(map(str, args)))
    settings = load({"VV_STATE_DIR": str(tmp_path), **ENVIRONMENT})
    code = f"import sys; print('Post https://api.telegram.org/bot{TOKEN}/sendMessage: no route to host'); sys.exit(3)"
    supervised = up._supervise_child(
        Child("alertmanager", [sys.executable, "-c", code], tmp_path / "log"), tmp_path, settings
    )

    for _ in range(lately):
        supervised.child.start()
        wait_until(lambda: supervised.child.exit_code() is not None)
        supervised._note_end("ended with exit code 3")

    shown = capsys.readouterr().out + "\n".join(told)
    assert "no route to host" in shown
    assert TOKEN not in shown

"""Mail, by both ways that the exporter sends it itself: what it trusts, and that no password goes without TLS."""

import email
import email.policy
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.support.certificates import Certificates, make_certificates
from tests.support.mail import PASSWORD, USER, StrictMailServer
from tests.support.ports import free_port
from tests.support.receivers import MailServer
from tests.unit.delivery.test_providers import MESSAGE
from vv_exporter.channels import ProviderError
from vv_exporter.channels import email as rendered
from vv_exporter.channels.email import Email
from vv_exporter.messages import smtp
from vv_exporter.settings import Settings, load

LOGIN = {"SMTP_USERNAME": USER, "SMTP_PASSWORD": PASSWORD}
Send = Callable[[Settings], object]


def _digest(settings: Settings) -> list[str]:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = settings.smtp_from, settings.alert_email_to, "[DIGEST] quiet"
    message.set_content("nothing")
    return smtp.send(message, settings)


def _direct(settings: Settings) -> object:
    return Email(settings).send(MESSAGE)


WAYS = pytest.mark.parametrize("send", [_digest, _direct], ids=["digest", "direct"])
REFUSED = (smtp.MailError, ProviderError)


def settings(smarthost: str, **environ: str) -> Settings:
    return load(
        {
            "SMTP_SMARTHOST": smarthost,
            "SMTP_FROM": "VV <vv@example.org>",
            "ALERT_EMAIL_TO": "ana@example.org, Rui <rui@example.org>",
            **environ,
        }
    )


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of servers: a good one, one of another host, one that has run out."""
    made = make_certificates(tmp_path_factory.mktemp("mail"))
    made.make("elsewhere", holder="DNS:mail.example.org")
    made.make("expired", days=-1)
    return made


@pytest.fixture
def trusted(servers: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority is known on this device."""
    monkeypatch.setenv("SSL_CERT_FILE", str(servers.authority))


@pytest.fixture(params=[False, True], ids=["STARTTLS", "port 465"])
def implicit(request: pytest.FixtureRequest) -> bool:
    """Both ways to TLS."""
    return bool(request.param)


def serving(
    servers: Certificates | None, certificate: str, implicit: bool, monkeypatch: pytest.MonkeyPatch
) -> StrictMailServer:
    """A server; for TLS from the start its port stands for 465, which is not everybody's to listen on."""
    server = StrictMailServer(servers, certificate, implicit=implicit)
    if implicit:
        monkeypatch.setattr(smtp, "IMPLICIT_TLS_PORT", server.port)
    return server


@WAYS
@pytest.mark.parametrize("required", ["true", "false"])
@pytest.mark.usefixtures("trusted")
def test_the_password_is_sent_by_tls_to_a_server_that_is_known(
    send: Send, required: str, implicit: bool, servers: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(servers, "server", implicit, monkeypatch) as server:
        send(settings(server.smarthost, SMTP_REQUIRE_TLS=required, **LOGIN))

    assert server.logins == [(USER.encode(), PASSWORD.encode())]
    assert server.secure == [True]
    message = email.message_from_bytes(server.received[0], policy=email.policy.default)
    assert message["From"] == "VV <vv@example.org>"


@WAYS
@pytest.mark.parametrize(("required", "login"), [("true", LOGIN), ("true", {}), ("false", LOGIN)])
@pytest.mark.parametrize("certificate", ["unknown authority", "elsewhere", "expired"])
def test_a_certificate_that_is_not_good_gets_nothing(
    send: Send,
    required: str,
    login: dict[str, str],
    certificate: str,
    implicit: bool,
    servers: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if certificate == "unknown authority":
        certificate = "server"
    else:
        monkeypatch.setenv("SSL_CERT_FILE", str(servers.authority))
    with serving(servers, certificate, implicit, monkeypatch) as server, pytest.raises(REFUSED, match="certificate"):
        send(settings(server.smarthost, SMTP_REQUIRE_TLS=required, **login))

    assert (server.logins, server.received) == ([], [])


@WAYS
@pytest.mark.parametrize("required", ["true", "false"])
def test_no_password_goes_to_a_server_without_tls(send: Send, required: str) -> None:
    with StrictMailServer() as server, pytest.raises(REFUSED, match=r"STARTTLS.*no password is sent without TLS"):
        send(settings(server.smarthost, SMTP_REQUIRE_TLS=required, **LOGIN))

    assert (server.logins, server.received) == ([], [])


@WAYS
def test_nothing_goes_without_tls_where_it_is_required(send: Send) -> None:
    with MailServer() as server, pytest.raises(REFUSED, match=r"STARTTLS.*SMTP_REQUIRE_TLS"):
        send(settings(server.smarthost))

    assert server.received == []


@WAYS
def test_without_a_password_a_server_without_tls_may_be_allowed(send: Send) -> None:
    with StrictMailServer() as server:
        send(settings(server.smarthost, SMTP_REQUIRE_TLS="false"))

    assert (len(server.received), server.secure) == (1, [False])


def test_alertmanager_is_told_the_same() -> None:
    """Its LOGIN would send the password in clear."""
    for required in ("true", "false"):
        entry = rendered.CHANNEL.adapt({}, settings("mail.example.org:587", SMTP_REQUIRE_TLS=required, **LOGIN))
        assert entry["require_tls"] is True
    assert rendered.CHANNEL.adapt({}, settings("mail.example.org:25", SMTP_REQUIRE_TLS="false"))["require_tls"] is False


@WAYS
@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_is_told_without_it(send: Send, servers: Certificates) -> None:
    with StrictMailServer(servers) as server, pytest.raises(REFUSED) as caught:
        send(settings(server.smarthost, SMTP_USERNAME=USER, SMTP_PASSWORD="wr0ng"))

    assert str(caught.value) == "refused user and password (535)"
    assert caught.value.status == 535
    assert server.received == []


@WAYS
@pytest.mark.parametrize("farewell", ["421 too busy", "500 what?"])
def test_a_mail_that_was_taken_counts_as_sent_whatever_the_server_says_then(send: Send, farewell: str) -> None:
    with StrictMailServer(farewell=farewell) as server:
        send(settings(server.smarthost, SMTP_REQUIRE_TLS="false"))

    assert len(server.received) == 1


def test_one_receiver_that_is_refused_does_not_keep_it_from_the_others() -> None:
    with StrictMailServer(addresses=r"ana@.*") as server:
        some = settings(server.smarthost, SMTP_REQUIRE_TLS="false")
        assert _digest(some) == ["rui@example.org"]
        assert "rui@example.org" in Email(some).send(MESSAGE).text

    assert len(server.received) == 2


@WAYS
def test_a_server_that_refuses_everybody_or_is_not_there_is_told(send: Send) -> None:
    with (
        StrictMailServer(addresses="nobody") as server,
        pytest.raises(REFUSED, match=r"refused ana@example\.org") as one,
    ):
        send(settings(server.smarthost, SMTP_REQUIRE_TLS="false"))
    assert one.value.status == 550
    with pytest.raises(REFUSED, match="Connection refused"):
        send(settings(f"127.0.0.1:{free_port()}"))


@WAYS
def test_a_value_that_mail_does_not_know_is_told(send: Send, tmp_path: Path) -> None:
    with StrictMailServer() as server, pytest.raises(REFUSED, match="SMTP_"):
        send(settings(server.smarthost.replace(":", ":x"), SMTP_REQUIRE_TLS="false"))

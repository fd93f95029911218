"""TLS, client certificates, users, headers."""

import shutil
import socket
import ssl
import time
from collections.abc import Iterable
from pathlib import Path

import bcrypt
import msgspec
import pytest
import requests
from werkzeug import Request, Response

from tests.support.certificates import Certificates
from tests.support.waiting import wait_until
from tests.unit.web.conftest import Serve
from vv_exporter import health
from vv_exporter.web import App, WebConfig
from vv_exporter.web.config import HTTPConfig, TLSConfig
from vv_exporter.web.routes import Route

USERS = {"alice": bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()}
SECURED = WebConfig(basic_auth_users=USERS)


def here(_: Request) -> Response:
    return Response("here\n")


def own_auth(request: Request) -> Response:
    return Response("in\n") if request.headers.get("Authorization") == "Bearer token" else Response(status=403)


ROUTES = [Route("/", here), Route("/hook", own_auth, methods=("POST",), own_auth=True)]


@pytest.fixture
def tls(certificates: Certificates) -> WebConfig:
    return WebConfig(TLSConfig(certificates.certificate("server"), certificates.key("server")))


def test_nobody_gets_anything_without_a_password(serve: Serve) -> None:
    url = serve(App(ROUTES, SECURED)).url

    for path in ("/", "/nothing"):
        answer = requests.get(url + path, timeout=10)
        assert (answer.status_code, answer.text) == (401, "401 Unauthorized\n")
        assert answer.headers["WWW-Authenticate"].lower().startswith("basic realm=")


@pytest.mark.parametrize(
    ("user", "password", "status"),
    [
        ("alice", "secret", 200),
        ("alice", "wrong", 401),
        ("alice", "", 401),
        ("bob", "secret", 401),
        ("", "", 401),
        ("alice", "secret\0", 401),
        ("alice", "s" * 100, 401),
        ("älice", "geheim…", 401),
    ],
)
def test_only_the_right_name_and_password_open(serve: Serve, user: str, password: str, status: int) -> None:
    url = serve(App(ROUTES, SECURED)).url

    for _ in range(2):
        answer = requests.get(url, auth=(user.encode(), password.encode()), timeout=10)
        assert answer.status_code == status


@pytest.mark.parametrize(
    "header", ["Basic", "Basic ###", "Basic YWxpY2U=", "Bearer secret", "Digest username=alice", ""]
)
def test_a_header_that_makes_no_sense_does_not_open(serve: Serve, header: str) -> None:
    url = serve(App(ROUTES, SECURED)).url

    assert requests.get(url, headers={"Authorization": header}, timeout=10).status_code == 401


def test_a_long_password_counts_as_far_as_bcrypt_looks(serve: Serve) -> None:
    users = {"alice": bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()}
    url = serve(App(ROUTES, WebConfig(basic_auth_users=users))).url

    assert requests.get(url, auth=("alice", "x" * 80), timeout=10).status_code == 200


def test_right_passwords_are_compared_once_however_many_wrong_ones_come(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bytes] = []
    original = bcrypt.checkpw

    def counting(password: bytes, hashed: bytes) -> bool:
        compared.append(password)
        return original(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    url = serve(App(ROUTES, SECURED)).url
    with requests.Session() as session:
        for password in ["secret", *(f"wrong {number}" for number in range(150)), "secret", "wrong 149"]:
            session.get(url, auth=("alice", password), timeout=10)

    assert compared.count(b"secret") == 1
    assert compared.count(b"wrong 149") == 1


def test_a_name_that_does_not_exist_is_compared_all_the_same(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda password, hashed: bool(compared.append(hashed)))
    url = serve(App(ROUTES, SECURED)).url

    requests.get(url, auth=("bob", "secret"), timeout=10)

    assert compared == [USERS["alice"].encode()]


def test_a_route_may_check_credentials_itself(serve: Serve) -> None:
    url = serve(App(ROUTES, SECURED)).url

    assert requests.post(f"{url}/hook", headers={"Authorization": "Bearer token"}, timeout=10).text == "in\n"
    assert requests.post(f"{url}/hook", timeout=10).status_code == 403
    assert requests.get(f"{url}/hook", timeout=10).status_code == 401


def test_configured_headers_are_on_every_answer(serve: Serve) -> None:
    headers = {"Strict-Transport-Security": "max-age=60", "X-Frame-Options": "deny"}
    url = serve(App(ROUTES, WebConfig(http_server_config=HTTPConfig(headers=headers)))).url

    for path in ("/", "/nothing"):
        answer = requests.get(url + path, timeout=10)
        assert {name: answer.headers[name] for name in headers} == headers
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_https_is_spoken_with_the_configured_certificate(
    serve: Serve, certificates: Certificates, tls: WebConfig
) -> None:
    server = serve(App(ROUTES, tls), tls)

    assert server.url.startswith("https://127.0.0.1:")
    with requests.Session() as session:  # also on a connection that is kept
        for _ in range(3):
            assert session.get(server.url, verify=str(certificates.authority), timeout=10).text == "here\n"


def test_plain_http_to_the_https_port_is_told_so(serve: Serve, tls: WebConfig) -> None:
    server = serve(App(ROUTES, tls), tls)

    answer = requests.get(f"http://127.0.0.1:{server.port}/", timeout=10)

    assert (answer.status_code, answer.text) == (400, "This server speaks HTTPS only.\n")


@pytest.mark.usefixtures("impatient")
def test_a_client_that_never_shakes_hands_does_not_keep_others_waiting(
    serve: Serve, certificates: Certificates, tls: WebConfig
) -> None:
    server = serve(App(ROUTES, tls), tls)
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10)]
    half = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10)]
    for sock in half:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a client hello

    began = time.monotonic()
    answer = requests.get(server.url, verify=str(certificates.authority), timeout=20)
    took = time.monotonic() - began
    for sock in silent + half:
        sock.close()

    assert answer.text == "here\n"
    assert took < 8


def test_old_versions_of_tls_are_refused(serve: Serve, certificates: Certificates, tls: WebConfig) -> None:
    assert tls.tls_server_config is not None
    only_13 = WebConfig(msgspec.structs.replace(tls.tls_server_config, min_version="TLS13"))
    server = serve(App(ROUTES, only_13), only_13)
    context = ssl.create_default_context(cafile=str(certificates.authority))
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    with socket.create_connection(("127.0.0.1", server.port)) as sock, pytest.raises(ssl.SSLError):
        context.wrap_socket(sock, server_hostname="127.0.0.1")


def test_a_client_needs_a_certificate_of_the_authority(
    serve: Serve, certificates: Certificates, tls: WebConfig
) -> None:
    assert tls.tls_server_config is not None
    mutual = WebConfig(
        msgspec.structs.replace(
            tls.tls_server_config,
            client_auth_type="RequireAndVerifyClientCert",
            client_ca_file=certificates.authority,
        )
    )
    url = serve(App(ROUTES, mutual), mutual).url
    own = (str(certificates.certificate("client")), str(certificates.key("client")))

    assert requests.get(url, verify=str(certificates.authority), cert=own, timeout=10).text == "here\n"
    with pytest.raises(requests.ConnectionError):
        requests.get(url, verify=str(certificates.authority), timeout=10)


@pytest.fixture
def renewable(certificates: Certificates, tmp_path: Path) -> Iterable[Certificates]:
    """A copy whose server certificate the test may replace."""
    shutil.copytree(certificates.folder, tmp_path / "certificates")
    return Certificates(tmp_path / "certificates")


def test_a_renewed_certificate_is_taken_up_and_a_broken_one_is_not(serve: Serve, renewable: Certificates) -> None:
    config = WebConfig(TLSConfig(renewable.certificate("server"), renewable.key("server")))
    server = serve(App(ROUTES, config), config)
    address = ("127.0.0.1", server.port)
    before = ssl.get_server_certificate(address)

    renewable.certificate("server").write_text("half a certificate")
    assert ssl.get_server_certificate(address) == before

    renewable.make("server")
    wait_until(lambda: ssl.get_server_certificate(address) != before)
    assert ssl.get_server_certificate(address) == renewable.certificate("server").read_text()


@pytest.mark.parametrize("client_certificates", [False, True])
def test_a_health_check_takes_an_answer_over_tls_for_life(
    serve: Serve, tls: WebConfig, certificates: Certificates, client_certificates: bool
) -> None:
    if client_certificates:
        wanted = TLSConfig(
            certificates.certificate("server"),
            certificates.key("server"),
            client_ca_file=certificates.authority,
            client_auth_type="RequireAndVerifyClientCert",
        )
        tls = WebConfig(wanted)

    health.exporter(serve(App(ROUTES, tls), tls).port)

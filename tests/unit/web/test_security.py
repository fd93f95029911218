"""TLS, client certificates, users, headers."""

import contextlib
import shutil
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path

import bcrypt
import msgspec
import pytest
import requests
from werkzeug import Request, Response
from werkzeug.exceptions import ServiceUnavailable

from tests.support.certificates import Certificates
from tests.support.waiting import wait_until
from tests.unit.web.conftest import Serve
from vv_exporter import health
from vv_exporter.web import App, WebConfig
from vv_exporter.web.auth import BasicAuth
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
    "header",
    [
        "Basic",
        "Basic ###",
        "Basic YWxpY2U=",
        "Bearer secret",
        "Digest username=alice",
        "",
        "Basic \xff\xfe",
        "Bearer \xe9",
    ],
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


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> "Counted":
    """Comparisons, and how many ran at once at most."""
    found = Counted()
    monkeypatch.setattr(bcrypt, "checkpw", found)
    return found


class Counted:
    def __init__(self) -> None:
        self.compared: list[bytes] = []
        self.running = self.at_once = 0
        self._compare = bcrypt.checkpw
        self._lock = threading.Lock()

    def __call__(self, password: bytes, hashed: bytes) -> bool:
        with self._lock:
            self.compared.append(hashed)
            self.running += 1
            self.at_once = max(self.at_once, self.running)
        try:
            return self._compare(password, hashed)
        finally:
            with self._lock:
                self.running -= 1


@contextlib.contextmanager
def guessing(url: str, clients: int) -> Iterator[list[requests.Response]]:
    """So many clients try passwords, all wrong, one after the other."""
    answers: list[requests.Response] = []
    stopping = threading.Event()

    def guess(client: int) -> None:
        with requests.Session() as session:
            number = 0
            while not stopping.is_set():
                number += 1
                with contextlib.suppress(requests.ConnectionError):
                    answers.append(session.get(url, auth=("alice", f"guess {client} {number}"), timeout=30))

    threads = [threading.Thread(target=guess, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(answers) > clients)
        yield answers
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def test_wrong_passwords_do_not_keep_those_out_who_were_let_in(serve: Serve, counted: Counted) -> None:
    slow = {"alice": bcrypt.hashpw(b"secret", bcrypt.gensalt(12)).decode()}
    url = serve(App(ROUTES, WebConfig(basic_auth_users=slow))).url
    assert requests.get(url, auth=("alice", "secret"), timeout=30).status_code == 200

    with guessing(url, clients=40) as answers:
        began = time.monotonic()
        bcrypt.hashpw(b"secret", bcrypt.gensalt(12))
        comparison = time.monotonic() - began
        for _ in range(20):  # behind all who guess it would wait for forty comparisons
            timeout = max(5.0, 15 * comparison)
            assert requests.get(url, auth=("alice", "secret"), timeout=timeout).status_code == 200

    assert counted.at_once == 1
    assert {answer.status_code for answer in answers} == {401, 503}
    turned_away = [answer for answer in answers if answer.status_code == 503]
    assert {answer.headers["Retry-After"] for answer in turned_away} == {"1"}
    assert {answer.text for answer in turned_away} == {"503 Service Unavailable\n"}


def test_wrong_passwords_do_not_keep_a_client_elsewhere_from_its_first_comparison(counted: Counted) -> None:
    slow = {"alice": bcrypt.hashpw(b"secret", bcrypt.gensalt(10)).decode()}
    auth = BasicAuth(slow)
    stopping = threading.Event()

    def guess(client: int) -> None:
        number = 0
        while not stopping.is_set():
            number += 1
            with contextlib.suppress(ServiceUnavailable):
                assert not auth.allows(asking("192.0.2.66", "alice", f"{client} {number}"))

    threads = [threading.Thread(target=guess, args=(client,)) for client in range(4)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(counted.compared) > 2)
        for host in range(1, 4):
            assert auth.allows(asking(f"198.51.100.{host}", "alice", "secret"))
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert counted.at_once == 1


def asking(address: str, user: str, password: str) -> Request:
    given = b64encode(f"{user}:{password}".encode()).decode()
    return Request({"REMOTE_ADDR": address, "HTTP_AUTHORIZATION": f"Basic {given}"})


def test_names_that_do_not_exist_cost_what_those_do_that_exist(counted: Counted) -> None:
    hashes = [bcrypt.hashpw(b"secret", bcrypt.gensalt(cost)).decode() for cost in (4, 5, 6)]
    auth = BasicAuth({f"user {number}": text for number, text in enumerate(hashes)})

    for name in range(60):
        for password in ("one", "two"):
            assert not auth.allows(asking("192.0.2.1", f"nobody {name}", password))

    firsts, seconds = counted.compared[::2], counted.compared[1::2]
    assert firsts == seconds  # a name always costs the same
    assert {one.decode() for one in firsts} == set(hashes)


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

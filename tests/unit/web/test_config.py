"""The file of --web.config.file."""

import subprocess
from pathlib import Path

import bcrypt
import pytest

from tests.support.certificates import Certificates
from vv_exporter.web import WebConfigError, load_web_config

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
TLS = "tls_server_config: {{cert_file: server.pem, key_file: server.key, {}}}"


def write(folder: Path, text: str) -> Path:
    path = folder / "web.yml"
    path.write_text(text)
    return path


def test_an_empty_file_secures_nothing(tmp_path: Path) -> None:
    config = load_web_config(write(tmp_path, "# nothing\n"))

    assert config.tls_server_config is None
    assert config.basic_auth_users == {}


def test_paths_are_taken_from_the_files_folder(certificates: Certificates) -> None:
    text = TLS.format("client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, min_version: TLS13")
    config = load_web_config(write(certificates.folder, text))

    assert config.tls_server_config is not None
    assert config.tls_server_config.files() == {
        "cert_file": certificates.certificate("server"),
        "key_file": certificates.key("server"),
        "client_ca_file": certificates.authority,
    }


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
def test_users_and_headers_are_read(tmp_path: Path, prefix: str) -> None:
    text = (
        f'basic_auth_users: {{alice: "{prefix}{HASH[4:]}"}}\nhttp_server_config: {{headers: {{X-Frame-Options: deny}}}}'
    )
    config = load_web_config(write(tmp_path, text))

    assert config.basic_auth_users == {"alice": prefix + HASH[4:]}
    assert config.http_server_config.headers == {"X-Frame-Options": "deny"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "is not valid YAML: "),
        ("- 1", "the file: expected `object`, got `array`"),
        ("tls: {}", "tls: is unknown or cannot be honoured by this server; remove it"),
        ("rate_limit: {interval: 1s}", "rate_limit: is unknown or cannot be honoured by this server; remove it"),
        ("tls_server_config: {}", "tls_server_config.cert_file: is missing"),
        ("tls_server_config: {cert_file: server.pem}", "tls_server_config.key_file: is missing"),
        ("tls_server_config: {cert_file: 3, key_file: a}", "tls_server_config.cert_file: expected the path of a file"),
        (TLS.format("cipher_suites: [a]"), "tls_server_config.cipher_suites: is unknown or cannot be honoured"),
        (TLS.format("client_allowed_sans: [a]"), "tls_server_config.client_allowed_sans: is unknown or cannot be"),
        (TLS.format("min_version: TLS10"), "tls_server_config.min_version: 'TLS10' is not supported; choose TLS12 or"),
        (TLS.format("min_version: TLS13, max_version: TLS12"), "tls_server_config.min_version: is above max_version"),
        (TLS.format("client_auth_type: RequireAnyClientCert"), "client_auth_type: 'RequireAnyClientCert' is not supp"),
        (TLS.format("client_auth_type: RequireAndVerifyClientCert"), "tls_server_config.client_ca_file: is missing"),
        (TLS.format("client_ca_file: ca.pem"), "client_auth_type: must be RequireAndVerifyClientCert"),
        (
            TLS.format("client_auth_type: VerifyClientCertIfGiven, client_ca_file: none"),
            "client_ca_file: {}/none cannot",
        ),
        (
            TLS.format("client_auth_type: VerifyClientCertIfGiven, client_ca_file: server.key"),
            "tls_server_config.client_ca_file: holds no usable certificate",
        ),
        (
            "tls_server_config: {cert_file: none.pem, key_file: server.key}",
            "tls_server_config.cert_file: {}/none.pem cannot be read (No such file or directory)",
        ),
        (
            "tls_server_config: {cert_file: server.pem, key_file: client.key}",
            "tls_server_config.cert_file, key_file: cannot be used together (key values mismatch)",
        ),
        ("http_server_config: {http2: true}", "http_server_config.http2: is not spoken by this server"),
        ("http_server_config: {headers: {X-Foo: a}}", "http_server_config.headers.X-Foo: cannot be set; only Content-"),
        ("http_server_config: {headers: {X-Frame-Options: a}}", "headers.X-Frame-Options: must be deny or sameorigin"),
        (
            'http_server_config: {headers: {X-XSS-Protection: "a\\r\\nb"}}',
            "X-XSS-Protection: must be one line of ASCII",
        ),
        ("basic_auth_users:", "basic_auth_users: expected `object`, got `null`"),
        ("basic_auth_users: {alice: 5}", "basic_auth_users[...]: expected `str`, got `int`"),
        ("basic_auth_users: {alice: hunter2}", "basic_auth_users.alice: is no bcrypt hash; make one with htpasswd"),
        (f"basic_auth_users: {{alice: {HASH}}}\nbasic_auth_users: {{}}", "duplicate key basic_auth_users"),
    ],
)
def test_what_cannot_be_honoured_is_refused_in_one_line_that_names_the_key(
    certificates: Certificates, text: str, problem: str
) -> None:
    path = write(certificates.folder, text)

    with pytest.raises(WebConfigError) as caught:
        load_web_config(path)

    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert problem.replace("{}", str(certificates.folder)) in message
    assert "\n" not in message
    assert "hunter2" not in message
    assert HASH not in message


@pytest.mark.parametrize(
    "value", ["*hunter2", "!hunter2 x", "!!int hunter2", "'hunter2", "[hunter2", "\xff", "[" * 2_000]
)
def test_what_is_no_yaml_is_told_in_a_line_without_what_stands_there(tmp_path: Path, value: str) -> None:
    path = tmp_path / "web.yml"
    path.write_bytes(f"basic_auth_users:\n  alice: {value}\n".encode("latin-1"))

    with pytest.raises(WebConfigError) as caught:
        load_web_config(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WebConfigError, match=r"none\.yml: cannot be read"):
        load_web_config(tmp_path / "none.yml")


def test_an_encrypted_key_is_refused_and_nobody_asked_for_its_password(certificates: Certificates) -> None:
    encrypted = certificates.folder / "encrypted.key"
    command = ["openssl", "ec", "-in", certificates.key("server"), "-aes256", "-passout", "pass:x", "-out", encrypted]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)

    with pytest.raises(WebConfigError, match=r"tls_server_config\.key_file: is encrypted"):
        load_web_config(
            write(certificates.folder, "tls_server_config: {cert_file: server.pem, key_file: encrypted.key}")
        )

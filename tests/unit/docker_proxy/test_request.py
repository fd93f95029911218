"""What the proxy understands, and what it refuses to understand."""

from __future__ import annotations

import pytest

from vv_exporter.docker_proxy.request import BadRequestError, parse


def test_a_request_is_taken_apart() -> None:
    request = parse(b"GET /v1.41/containers/json?all=1&filters=%7B%22a%22%3A1%7D HTTP/1.1\r\nHost: x\r\nAccept: */*")

    assert request.method == "GET"
    assert (request.version, request.path) == ("/v1.41", "/containers/json")
    assert request.query == {"all": "1", "filters": '{"a":1}'}
    assert request.length == 0


def test_a_version_is_not_needed() -> None:
    assert parse(b"GET /_ping HTTP/1.1").path == "/_ping"


@pytest.mark.parametrize(
    "target",
    [
        b"/containers/../images/json",
        b"/containers/./json",
        b"/containers/%2e%2e/json",
        b"/containers%2fjson",
        b"/containers//json",
        b"//containers/json",
        b"/containers/json/",
        b"/containers/json#x",
        b"/containers/json;x=1",
        b"/containers\\json",
        b"/v1.41/../v1.41/info",
        b"/v1.23/info",
        b"/v0.99/info",
        b"/v1.41.2/info",
        b"/v99999.1/info",
        b"/v1.41//info",
        b"/",
        b"*",
        b"info",
        b"http://docker/info",
        b"/info?a=1&a=2",
        b"/info?a",
        b"/info?" + b"&".join(b"p%d=1" % number for number in range(11)),
        b"/info?a=%ff",
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_refused(target: bytes) -> None:
    with pytest.raises(BadRequestError):
        parse(b"GET " + target + b" HTTP/1.1\r\nHost: x")


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET",
        b"GET /info",
        b"GET  /info HTTP/1.1",
        b"GET /info HTTP/2.0",
        b"GET /info HTTP/1.1 ",
        b"get /info HTTP/1.1",
        b"CONNECT /info HTTP/1.1",
        b"GET /in\xc3\xadfo HTTP/1.1",
        b"GET /info HTTP/1.1\nHost: x",
        b"GET /info HTTP/1.1\r\nHost: x\nContent-Length: 5",
        b"GET /info HTTP/1.1\r\nHost : x",
        b"GET /info HTTP/1.1\r\n Host: x",
        b"GET /info HTTP/1.1\r\nHost: x\r\n folded: y",
        b"GET /info HTTP/1.1\r\nHost: x\x00",
        b"GET /info HTTP/1.1\r\nHost: a\r\nHost: b",
    ],
)
def test_a_head_that_is_not_plain_is_refused(head: bytes) -> None:
    with pytest.raises(BadRequestError):
        parse(head)


@pytest.mark.parametrize(
    "header",
    [
        b"Transfer-Encoding: chunked",
        b"transfer-encoding : chunked",
        b"Transfer-Encoding: identity",
        b"Content-Length: 3\r\nContent-Length: 4",
        b"Content-Length: 3\r\nTransfer-Encoding: chunked",
        b"Content-Length: +3",
        b"Content-Length: 3,3",
        b"Content-Length: 0x3",
        b"Content-Length: -1",
        b"Content-Length: 99999",
        b"Content-Length: \xb2",
        b"Expect: 100-continue",
        b"Upgrade: tcp",
        b"Connection: keep-alive, Upgrade",
    ],
)
def test_bodies_have_a_plain_length_and_connections_stay_what_they_are(header: bytes) -> None:
    with pytest.raises(BadRequestError):
        parse(b"POST /containers/x/start HTTP/1.1\r\n" + header)


def test_only_a_post_has_a_body() -> None:
    with pytest.raises(BadRequestError, match="POST"):
        parse(b"GET /info HTTP/1.1\r\nContent-Length: 5")
    assert parse(b"POST /x HTTP/1.1\r\nContent-Length: 5").length == 5

"""RTSP at the bounds of what is read: byte by byte, one less and one more."""

from __future__ import annotations

import pytest

from vv_exporter.probes import rtsp_messages
from vv_exporter.probes.rtsp_messages import (
    MAX_BODY,
    MAX_CHALLENGE,
    MAX_HEAD,
    Authorization,
    Challenge,
    Description,
    Packet,
    Parser,
    ProtocolError,
    Response,
    challenges,
    described,
    request,
    rtp_timestamp,
)


def fed(*portions: bytes) -> list[Response | Packet]:
    parser = Parser()
    return [message for portion in portions for message in parser.feed(portion)]


def test_the_bounds_are_those_of_the_documents() -> None:
    assert (MAX_HEAD, MAX_BODY, MAX_CHALLENGE) == (16_384, 65_536, 4_096)


def test_a_packet_is_whole_when_its_length_is_there() -> None:
    assert fed(b"$\x07\x00\x00") == [Packet(7, b"")]
    assert fed(b"$\x07\x00") == []
    assert fed(b"$\x07\x00\x02a") == []
    assert fed(b"$\x07\x00\x02a", b"b$\x01\x01\x00", b"x" * 256) == [Packet(7, b"ab"), Packet(1, b"x" * 256)]


def test_line_ends_before_a_message_are_nothing() -> None:
    assert fed(b"\r\n\n", b"\r\n$\x00\x00\x01z") == [Packet(0, b"z")]
    assert fed(b"\r\n") == []


def head(length: int) -> bytes:
    """An answer whose end begins behind so many bytes."""
    start = b"RTSP/1.0 200 OK\r\nX: "
    return start + b"a" * (length - len(start)) + b"\r\n\r\n"


@pytest.mark.parametrize("length", [MAX_HEAD - 1, MAX_HEAD])
def test_a_head_of_16_kib_is_read(length: int) -> None:
    (answer,) = fed(head(length))
    assert isinstance(answer, Response)
    assert answer.status == 200


def test_a_longer_head_is_refused_though_its_end_is_there() -> None:
    with pytest.raises(ProtocolError, match="without an end in 16384 bytes"):
        fed(head(MAX_HEAD + 1))


@pytest.mark.parametrize(("length", "refused"), [(MAX_HEAD, False), (MAX_HEAD + 1, True)])
def test_without_an_end_it_is_awaited_up_to_there(length: int, refused: bool) -> None:
    data = head(length + 10)[:length]
    if refused:
        with pytest.raises(ProtocolError, match="without an end in 16384 bytes"):
            fed(data)
    else:
        assert fed(data) == []


@pytest.mark.parametrize(("length", "taken"), [(0, True), (MAX_BODY, True), (MAX_BODY + 1, False)])
def test_a_body_of_64_kib_is_read(length: int, taken: bool) -> None:
    data = b"RTSP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % length + b"b" * length
    if taken:
        assert fed(data[:-1] if length else b"", data[-1:] if length else data) == [
            Response(200, (("content-length", str(length)),), b"b" * length)
        ]
    else:
        with pytest.raises(ProtocolError, match="more than 65536 bytes"):
            fed(data)


@pytest.mark.parametrize(("text", "length"), [("-1", 0), ("1e3", 1), ("", 0), ("x", 0), ("+2", 2), ("0002", 2)])
def test_a_length_is_read_as_players_do(text: str, length: int) -> None:
    (answer,) = fed(f"RTSP/1.0 200 OK\r\nContent-Length: {text}\r\n\r\n".encode() + b"x" * length)

    assert isinstance(answer, Response)
    assert answer.body == b"x" * length


@pytest.mark.parametrize("text", ["1234567890", "99999999999999999999"])
def test_a_length_beyond_the_bound_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="more than 65536 bytes"):
        fed(f"RTSP/1.0 200 OK\r\nContent-Length: {text}\r\n\r\n".encode())


def test_answers_follow_each_other_and_requests_are_left_out() -> None:
    data = (
        b"RTSP/1.0 401 No\nA: 1\nno header\nA: 2\nB:\n\n"
        b"GET_PARAMETER rtsp://a RTSP/1.0\r\nContent-Length: 2\r\n\r\nxy"
        b"RTSP/2.1 200\r\n\r\n"
    )

    assert fed(data) == [Response(401, (("a", "1"), ("a", "2"), ("b", ""))), Response(200)]
    assert fed(data)[0] is not None


@pytest.mark.parametrize("line", ["HTTP/1.1 200 OK", "RTSP/1.0 20 OK", "RTSP/1.0 2000 OK", "", "x"])
def test_what_is_no_answer_is_none(line: str) -> None:
    with pytest.raises(ProtocolError, match="does not speak RTSP"):
        fed(f"{line or ':'}\r\n\r\n".encode())


def test_a_header_is_found_by_its_name() -> None:
    answer = Response(200, (("a", "1"), ("b", "2"), ("a", "3")))

    assert (answer.all("a"), answer.first("a"), answer.all("c"), answer.first("c")) == (["1", "3"], "1", [], "")


def test_a_request() -> None:
    assert request("OPTIONS", "rtsp://a", 7, {"Accept": "x"}) == (
        b"OPTIONS rtsp://a RTSP/1.0\r\nCSeq: 7\r\nUser-Agent: vv-exporter\r\nAccept: x\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("packet", "found"),
    [
        (b"\x80\x60\x00\x01\x00\x00\x01\x02ssrc", 258),
        (b"\xbf\x60\x00\x01\xff\xff\xff\xffssrc", 2**32 - 1),
        (b"\x80\x60\x00\x01\x00\x00\x01\x02ssr", None),
        (b"\x40\x60\x00\x01\x00\x00\x01\x02ssrc", None),
        (b"\xc0\x60\x00\x01\x00\x00\x01\x02ssrc", None),
        (b"", None),
    ],
)
def test_the_time_of_a_packet(packet: bytes, found: int | None) -> None:
    assert rtp_timestamp(packet) == found


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", None),
        (b"v=0\na=control:x\n", None),
        (b"m=video 0\n", Description("rtsp://a", "rtsp://a")),
        (b"m=audio 0\na=control:1\nm=video 0\na=control:2\n", Description("rtsp://a/2", "rtsp://a")),
        (b"m=audio 0\na=control:1\nm=text 0\na=control:2\n", Description("rtsp://a/1", "rtsp://a")),
        (b"a=control:w\nm=video 0\na=control:1\nm=video 0\na=control:2\n", Description("rtsp://a/1", "rtsp://a/w")),
        (b"a=control:*\nm=video 0\na=control:RTSP://b/1\n", Description("RTSP://b/1", "rtsp://a")),
        (b"m=video 0\na=control:\na=control: 3 \n", Description("rtsp://a/3", "rtsp://a")),
        (b"m=video 0\na=control:1\na=control:2\n", Description("rtsp://a/2", "rtsp://a")),
    ],
)
def test_a_description(body: bytes, found: Description | None) -> None:
    assert described(body, "rtsp://a") == found


def test_a_base_that_ends_with_a_slash_gets_no_other() -> None:
    assert described(b"m=video 0\na=control:1\n", "rtsp://a/") == Description("rtsp://a/1", "rtsp://a/")


@pytest.mark.parametrize(("length", "taken"), [(2000, True), (2001, False)])
def test_an_address_of_2000_characters_can_be_asked_for(length: int, taken: bool) -> None:
    body = b"m=video 0\na=control:rtsp://" + b"a" * (length - 7)
    if taken:
        assert described(body, "rtsp://a") is not None
    else:
        with pytest.raises(ProtocolError, match="cannot be asked for"):
            described(body, "rtsp://a")


class TestChallenges:
    def test_several_in_one_value_and_in_several(self) -> None:
        found = challenges(['Digest realm="a, b", nonce=n1,Basic realm="c\\"d"', "basic", "Bearer x"])

        assert found == [
            Challenge("digest", {"realm": "a, b", "nonce": "n1"}),
            Challenge("basic", {"realm": 'c"d'}),
            Challenge("basic", {}),
        ]

    @pytest.mark.parametrize(("length", "looked_at"), [(4096, 1), (4097, 0)])
    def test_one_of_4_kib_is_looked_at(self, length: int, looked_at: int) -> None:
        start = 'Basic realm="'
        assert len(challenges([start + "a" * (length - len(start) - 1) + '"'])) == looked_at

    @pytest.mark.parametrize(("text", "stale"), [("true", True), ("TRUE", True), ("false", False), ("", False)])
    def test_a_nonce_that_was_too_old(self, text: str, stale: bool) -> None:
        assert Challenge("digest", {"stale": text}).stale == stale
        assert not Challenge("digest", {}).stale


class TestWhoAnswers:
    @pytest.mark.parametrize(
        ("user", "password", "possible"), [("u", "p", True), ("u", "", True), ("", "p", True), ("", "", False)]
    )
    def test_needs_a_user_or_a_password(self, user: str, password: str, possible: bool) -> None:
        assert Authorization(user, password).possible is possible

    def test_answers_nothing_until_it_was_asked(self) -> None:
        one = Authorization("u", "p")
        assert one.header("OPTIONS", "rtsp://a") == {}
        assert one.take([]) is False
        assert one.take([Challenge("digest", {"algorithm": "SHA-512"})]) is False
        assert one.take([Challenge("digest", {"qop": "auth-conf"})]) is False
        assert one.header("OPTIONS", "rtsp://a") == {}

    @pytest.mark.parametrize("place", [0, 1, 2, 3])
    def test_takes_the_strongest_wherever_it_stands_and_the_first_of_two(self, place: int) -> None:
        others = [
            Challenge("basic", {}), Challenge("digest", {"nonce": "md5"}), Challenge("digest", {"algorithm": "x"})
        ]  # fmt: skip
        sha = Challenge("digest", {"algorithm": "SHA-256", "nonce": "first"})
        offered = [*others[:place], sha, *others[place:], Challenge("digest", {"algorithm": "sha-256", "nonce": "2"})]
        one = Authorization("u", "p", lambda: "c")

        assert one.take(offered)
        assert 'nonce="first"' in one.header("OPTIONS", "rtsp://a")["Authorization"]

    def test_prefers_md5_to_basic(self) -> None:
        one = Authorization("u", "p", lambda: "c")
        one.take([Challenge("basic", {}), Challenge("digest", {"nonce": "n"})])

        assert one.header("OPTIONS", "rtsp://a")["Authorization"].startswith("Digest ")

    def test_counts_the_uses_of_a_nonce_from_one_anew(self) -> None:
        one = Authorization("u", "p", lambda: "c")
        counts = []
        for _ in range(2):
            one.take([Challenge("digest", {"nonce": "n", "qop": "auth-int, Auth"})])
            counts += [one.header("OPTIONS", "rtsp://a")["Authorization"] for _ in range(2)]

        assert [f"nc=0000000{n}," in text for n, text in zip((1, 2, 1, 2), counts, strict=True)] == [True] * 4

    def test_says_only_what_it_was_asked(self) -> None:
        one = Authorization('u"', "p", lambda: "c")
        one.take([Challenge("digest", {"realm": "r", "nonce": "n"})])
        assert one.header("OPTIONS", "rtsp://a")["Authorization"] == (
            f'Digest username="u\\"", realm="r", nonce="n", uri="rtsp://a", response="{_response("u" + chr(34))}"'
        )
        one.take([Challenge("digest", {"realm": "r", "nonce": "n", "algorithm": "MD5", "opaque": "o"})])
        assert one.header("OPTIONS", "rtsp://a")["Authorization"].endswith('algorithm=MD5, opaque="o"')

    def test_makes_a_nonce_of_its_own_of_32_digits(self) -> None:
        one = Authorization("u", "p")
        one.take([Challenge("digest", {"nonce": "n", "qop": "auth"})])
        text = one.header("OPTIONS", "rtsp://a")["Authorization"]

        assert len(text.partition('cnonce="')[2].partition('"')[0]) == 32

    def test_a_session_is_hashed_with_both_nonces(self) -> None:
        found = []
        for algorithm in ("MD5", "MD5-sess", "md5-SESS"):
            one = Authorization("u", "p", lambda: "c")
            assert one.take([Challenge("digest", {"realm": "r", "nonce": "n", "algorithm": algorithm})])
            found.append(one.header("OPTIONS", "rtsp://a")["Authorization"].partition("response=")[2][:34])

        assert found[0] == f'"{_response("u")}"'
        assert found[1] == found[2] == f'"{_response("u", session=True)}"'


def _response(user: str, session: bool = False) -> str:
    """RFC 2617, section 3.2.2, without qop."""
    md5 = rtsp_messages._HASHES["MD5"]
    secret = md5(f"{user}:r:p".encode())
    secret = md5(f"{secret}:n:c".encode()) if session else secret
    return md5(f"{secret}:n:{md5(b'OPTIONS:rtsp://a')}".encode())

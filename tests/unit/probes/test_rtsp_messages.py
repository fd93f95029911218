"""RTSP as bytes: answers, packets, descriptions and challenges, from the RFCs and from nobody's."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vv_exporter.probes.rtsp_messages import (
    MAX_BODY,
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

ANSWER = b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 4\r\nSession: 12;timeout=60\r\n\r\nv=0\n"


def parsed(data: bytes, portion: int = 1 << 20) -> list[Response | Packet]:
    parser = Parser()
    return [message for start in range(0, len(data), portion) for message in parser.feed(data[start : start + portion])]


class TestParser:
    def test_an_answer(self) -> None:
        (answer,) = parsed(ANSWER)

        assert isinstance(answer, Response)
        assert (answer.status, answer.body) == (200, b"v=0\n")
        assert answer.first("session") == "12;timeout=60"
        assert answer.first("nothing") == ""

    def test_packets_between_answers(self) -> None:
        packet = b"$\x00\x00\x05hello"

        assert parsed(packet + ANSWER + packet)[0] == Packet(0, b"hello")
        assert [type(one) for one in parsed(packet + ANSWER + packet)] == [Packet, Response, Packet]

    @given(st.integers(1, 50))
    def test_the_portions_do_not_matter(self, portion: int) -> None:
        data = ANSWER + b"$\x01\x00\x00" + b"\r\n" + ANSWER + b"$\x00\x00\x03abc"

        assert parsed(data, portion) == parsed(data)

    def test_line_ends_of_lesser_servers(self) -> None:
        (answer,) = parsed(b"\n\nRTSP/1.0 401 Unauthorized\nwww-authenticate: Basic realm=x\n\n")

        assert isinstance(answer, Response)
        assert (answer.status, answer.all("www-authenticate")) == (401, ["Basic realm=x"])

    def test_what_the_server_asks_is_passed_over(self) -> None:
        asked = b"GET_PARAMETER rtsp://h/ RTSP/1.0\r\nCSeq: 9\r\nContent-Length: 3\r\n\r\nabc"

        assert parsed(asked + ANSWER) == parsed(ANSWER)

    def test_control_characters_do_not_survive_in_a_header(self) -> None:
        (answer,) = parsed(b"RTSP/1.0 200 OK\r\nSession: a\rX: b\x00\r\n\r\n")

        assert isinstance(answer, Response)
        assert answer.first("session") == "aX: b"

    @pytest.mark.parametrize(
        "data",
        [
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"RTSP/1.0 2000 OK\r\n\r\n",
            b"220 ftp ready\r\n\r\n",
            b"x" * (MAX_HEAD + 1),
            b"RTSP/1.0 200 OK\r\n" + b"A: b\r\n" * MAX_HEAD,
            b"RTSP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1),
            b"RTSP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        ],
    )
    def test_what_is_not_rtsp_or_too_much_is_refused(self, data: bytes) -> None:
        with pytest.raises(ProtocolError):
            parsed(data)

    @pytest.mark.parametrize("length", ["-1", "four", "", "0", "+0"])
    def test_a_length_that_is_none_means_no_body(self, length: str) -> None:
        first, second = parsed(f"RTSP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n".encode() + ANSWER)

        assert isinstance(first, Response)
        assert (first.body, [second]) == (b"", parsed(ANSWER))

    @pytest.mark.parametrize(
        "line",
        [
            "RTSP/1.0 200",
            "RTSP/1.0  200 OK",
            "rtsp/1.0 200 OK",
            "RTSP/2.0 200 OK",
            "RTSP/1.0 200OK",
            "RTSP/1.0 200 \xd6",
        ],
    )
    def test_status_lines_as_players_take_them(self, line: str) -> None:
        (answer,) = parsed(f"{line}\r\nCSeq: 1\r\n\r\n".encode("latin-1"))

        assert isinstance(answer, Response)
        assert answer.status == 200

    @pytest.mark.parametrize(
        "junk",
        [
            b"\0",
            b"\0" * 9,
            b"garbage",
            b"a line\r\nand one\n",
            b"\xff\xfe" * 900,
            b"REC",
            b"RTS",
            b"SETUP is no request\n",
        ],
    )
    @pytest.mark.parametrize("step", [1, 7, 1 << 20])
    def test_what_belongs_to_nothing_is_passed_over_between_messages(self, junk: bytes, step: int) -> None:
        packet = b"$\0\0\x0c" + b"\x80" * 12
        asked = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"
        data = junk.join([ANSWER, packet, ANSWER, packet, b"\r\n" + asked + ANSWER, b""])
        parser = Parser()
        found = [one for start in range(0, len(data), step) for one in parser.feed(data[start : start + step])]

        assert found == [*parsed(ANSWER), *parsed(packet), *parsed(ANSWER), *parsed(packet), *parsed(ANSWER)]

    @settings(max_examples=400, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=300),
                st.sampled_from([ANSWER, b"$", b"$\x00\xff\xff", b"\r\n\r\n", b"RTSP/1.0 ", b"Content-Length: 9\r\n"]),
            ),
            max_size=12,
        )
    )
    def test_whatever_comes_is_messages_or_an_error(self, portions: list[bytes]) -> None:
        parser = Parser()
        try:
            for portion in portions:
                for message in parser.feed(portion):
                    assert isinstance(message, Response | Packet)
        except ProtocolError:
            return


def test_a_request_is_what_the_rfc_says() -> None:
    assert request("SETUP", "rtsp://h/1", 3, {"Session": "x"}) == (
        b"SETUP rtsp://h/1 RTSP/1.0\r\nCSeq: 3\r\nUser-Agent: vv-exporter\r\nSession: x\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("packet", "timestamp"),
    [
        (bytes.fromhex("80e0000100000bb8deadbeef"), 3000),
        (bytes.fromhex("80e0000100000bb8deadbeef") + b"x" * 1400, 3000),
        (bytes.fromhex("40e0000100000bb8deadbeef"), None),
        (bytes.fromhex("80e0000100000bb8deadbe"), None),
        (b"", None),
    ],
)
def test_the_timestamp_of_a_packet(packet: bytes, timestamp: int | None) -> None:
    assert rtp_timestamp(packet) == timestamp


SDP = "v=0\r\ns=x\r\na=control:*\r\nm=audio 0 RTP/AVP 0\r\na=control:track1\r\nm=video 0 RTP/AVP 96\r\na=control:{}\r\n"


class TestDescription:
    @pytest.mark.parametrize(
        ("control", "track"),
        [
            ("track2", "rtsp://h/live/track2"),
            ("rtsp://h/other/2", "rtsp://h/other/2"),
            ("trackID=2?x=y", "rtsp://h/live/trackID=2?x=y"),
            ("*", "rtsp://h/live/"),
        ],
    )
    def test_the_video_track_is_taken(self, control: str, track: str) -> None:
        assert described(SDP.format(control).encode(), "rtsp://h/live/") == Description(track, "rtsp://h/live/")

    def test_a_base_without_a_slash(self) -> None:
        assert described(SDP.format("2").encode(), "rtsp://h/live") == Description("rtsp://h/live/2", "rtsp://h/live")

    def test_any_track_where_there_is_no_video(self) -> None:
        assert described(b"m=application 0 RTP/AVP 107\na=control:1", "rtsp://h") == Description(
            "rtsp://h/1", "rtsp://h"
        )

    def test_the_first_of_several_videos(self) -> None:
        found = described(b"m=video 0 RTP/AVP 96\na=control:1\nm=video 0 RTP/AVP 97\na=control:2", "rtsp://h")

        assert found == Description("rtsp://h/1", "rtsp://h")

    def test_the_whole_may_have_an_address_of_its_own(self) -> None:
        found = described(b"a=control:rtsp://h/all\nm=video 0 RTP/AVP 96", "rtsp://h")

        assert found == Description("rtsp://h", "rtsp://h/all")

    @pytest.mark.parametrize("body", [b"", b"v=0\r\ns=nothing\r\na=control:*\r\n", b"\xff\xfe"])
    def test_none_without_a_track(self, body: bytes) -> None:
        assert described(body, "rtsp://h") is None

    @pytest.mark.parametrize("control", ["x" * 3000, "ü" * 400])
    def test_an_address_that_cannot_be_asked_for_is_refused(self, control: str) -> None:
        with pytest.raises(ProtocolError):
            described(SDP.format(control).encode(), "rtsp://h/")

    @pytest.mark.parametrize(("control", "asked"), [("a b", "a%20b"), ("ü", "%C3%BC"), ("x?y=z%20", "x?y=z%20")])
    def test_what_cannot_stand_in_an_address_is_quoted(self, control: str, asked: str) -> None:
        found = described(SDP.format(control).encode(), "rtsp://h/")

        assert found is not None
        assert found.track == f"rtsp://h/{asked}"

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=500), st.text(max_size=50))
    def test_whatever_is_described_can_be_asked_for(self, body: bytes, base: str) -> None:
        try:
            found = described(b"m=video\na=control:" + body, base)
        except ProtocolError:
            return
        assert found is not None
        assert re.fullmatch(r"[!-~]+", found.track + found.whole)


RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


def answered(challenge: str, user: str, password: str, nonce: str, method: str, address: str) -> dict[str, str]:
    authorization = Authorization(user, password, lambda: nonce)
    assert authorization.take(challenges([challenge]))
    header = authorization.header(method, address)["Authorization"]
    assert header.startswith("Digest ")
    return {name: quoted or token for name, quoted, token in re.findall(r'(\w+)=(?:"([^"]*)"|([^",]+))', header)}


class TestAuthorization:
    @pytest.mark.parametrize(
        ("algorithm", "response"),
        [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ],
    )
    def test_the_example_of_rfc_7616(self, algorithm: str, response: str) -> None:
        nonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
        fields = answered(RFC_7616.format(algorithm), "Mufasa", "Circle of Life", nonce, "GET", "/dir/index.html")

        assert fields["response"] == response
        assert (fields["qop"], fields["nc"], fields["cnonce"]) == ("auth", "00000001", nonce)
        assert (fields["algorithm"], fields["username"], fields["uri"]) == (algorithm, "Mufasa", "/dir/index.html")
        assert fields["opaque"] == "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"

    def test_the_example_of_rfc_2617(self) -> None:
        challenge = (
            'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
            'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
        )
        fields = answered(challenge, "Mufasa", "Circle Of Life", "0a4f113b", "GET", "/dir/index.html")

        assert fields["response"] == "6629fae49393a05397450978507c4ef1"
        assert "algorithm" not in fields

    def test_without_qop_as_most_recorders_have_it(self) -> None:
        # md5(md5("u:r:p") + ":n:" + md5("DESCRIBE:rtsp://h/1"))
        fields = answered('Digest realm="r", nonce="n"', "u", "p", "x", "DESCRIBE", "rtsp://h/1")

        assert fields["response"] == "24bcac63a465de4f02a30a2e3935af8f"
        assert not {"qop", "nc", "cnonce"} & fields.keys()

    def test_a_nonce_is_counted(self) -> None:
        authorization = Authorization("u", "p")
        authorization.take(challenges(['Digest realm="r", nonce="n", qop="auth"']))
        counts = [re.findall(r"nc=(\w+)", authorization.header("PLAY", "x")["Authorization"]) for _ in range(3)]

        assert counts == [["00000001"], ["00000002"], ["00000003"]]

    def test_quotes_do_not_break_out(self) -> None:
        authorization = Authorization('a"b\\c', "p")
        authorization.take([Challenge("digest", {"realm": 'r"x', "nonce": "n"})])

        assert r'username="a\"b\\c", realm="r\"x"' in authorization.header("PLAY", "x")["Authorization"]

    def test_basic(self) -> None:
        authorization = Authorization("Aladdin", "open sesame")
        authorization.take(challenges(['Basic realm="x"']))

        assert authorization.header("PLAY", "x") == {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}

    @pytest.mark.parametrize(
        ("offered", "chosen"),
        [
            (['Basic realm="x"', 'Digest realm="x", nonce="n"'], "MD5"),
            (['Digest realm="x", nonce="n"', 'Digest realm="x", nonce="n", algorithm=SHA-256'], "SHA-256"),
            (['Digest realm="x", nonce="n", algorithm=SHA-512-256, Basic realm="x"'], "Basic"),
            (['Basic realm="x", Digest realm="y", nonce="n", algorithm=md5-sess'], "md5-sess"),
        ],
    )
    def test_the_strongest_is_chosen(self, offered: list[str], chosen: str) -> None:
        authorization = Authorization("u", "p")
        assert authorization.take(challenges(offered))
        header = authorization.header("PLAY", "x")["Authorization"]

        found = re.search(r"algorithm=([\w-]+)", header)
        assert chosen == ("Basic" if header.startswith("Basic") else found[1] if found else "MD5")

    @pytest.mark.parametrize(
        "offered",
        [
            [],
            ["Bearer x"],
            ['Digest realm="x", nonce="n", qop="auth-conf"'],
            ["Digest algorithm=SHA-512-256"],
            ["Digest" * 9000],
        ],
    )
    def test_what_cannot_be_met_is_left(self, offered: list[str]) -> None:
        authorization = Authorization("u", "p")

        assert not authorization.take(challenges(offered))
        assert authorization.header("PLAY", "x") == {}

    def test_stale(self) -> None:
        assert challenges(["Digest realm=x, stale=TRUE, nonce=a"])[0].stale
        assert not challenges(['Digest realm="stale=true", nonce=a'])[0].stale

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=200), max_size=3))
    def test_whatever_is_asked_the_answer_is_one_line(self, values: list[str]) -> None:
        authorization = Authorization("u", "p")
        authorization.take(challenges(["Digest " + value for value in values]))

        assert len("".join(authorization.header("PLAY", "rtsp://h").values()).splitlines()) <= 1

    def test_a_long_challenge_takes_no_time(self) -> None:
        began = time.process_time()
        for hostile in (
            "Digest " + "a" * 16_000,
            "Digest " + "a=" * 8_000,
            "Digest" + "," * 16_000,
            'Digest a="' + "\\" * 16_000,
        ):
            challenges([hostile, hostile[:4000]])

        assert time.process_time() - began < 1

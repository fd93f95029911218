"""Signatures: the standards' vectors, what is refused and why, keys and their rotation, and that no key shows."""

import itertools
import json
import logging
import os
import re
import struct
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.anything import Endless
from vv_core import signing
from vv_core.signing import SignatureError, SigningError, check_signature, sign_payload, verify_signature
from vv_core.stages import stage
from vv_core.testing import captured

PAGE = Path(__file__).parents[3] / "docs" / "signing.md"
SECRET = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
LINE = {"camera": "front", "count": 3, "score": 0.5}


def write_key(folder: Path, name: str, content: str | bytes = SECRET + "\n", mode: int = 0o600) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    file.chmod(mode)
    return file


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the key that signs."""
    folder = tmp_path / "keys"
    monkeypatch.setenv("VV_HMAC_KEY_FILE", str(write_key(folder, "2026-01.key")))
    monkeypatch.setenv("VV_HMAC_KEYS_DIR", str(folder))
    monkeypatch.setattr(signing, "_warned", set())
    return folder


def reason(payload: object, signature: object = None, **options: Any) -> str:
    with pytest.raises(SignatureError) as caught:
        check_signature(payload, signature, **options)
    assert not verify_signature(payload, signature, **options)
    return caught.value.reason


class TestVectors:
    @pytest.mark.parametrize(
        ("key", "data", "mac"),
        [
            (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (
                bytes(range(1, 26)),
                b"\xcd" * 50,
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            ),
            (
                b"\xaa" * 131,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                b"\xaa" * 131,
                b"This is a test using a larger than block-size key and a larger than block-size data. "
                b"The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ],
        ids=["1", "2", "3", "4", "6", "7"],  # the fifth is of a truncated MAC
    )
    def test_rfc_4231(self, key: bytes, data: bytes, mac: str) -> None:
        assert signing._compute_mac(key, data).hex() == mac

    @pytest.mark.parametrize(
        ("bits", "text"),
        [
            ("0000000000000000", "0"),
            ("8000000000000000", "0"),
            ("0000000000000001", "5e-324"),
            ("8000000000000001", "-5e-324"),
            ("7fefffffffffffff", "1.7976931348623157e+308"),
            ("ffefffffffffffff", "-1.7976931348623157e+308"),
            ("4340000000000000", "9007199254740992"),
            ("c340000000000000", "-9007199254740992"),
            ("4430000000000000", "295147905179352830000"),
            ("44b52d02c7e14af5", "9.999999999999997e+22"),
            ("44b52d02c7e14af6", "1e+23"),
            ("44b52d02c7e14af7", "1.0000000000000001e+23"),
            ("444b1ae4d6e2ef4e", "999999999999999700000"),
            ("444b1ae4d6e2ef4f", "999999999999999900000"),
            ("444b1ae4d6e2ef50", "1e+21"),
            ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
            ("3eb0c6f7a0b5ed8d", "0.000001"),
            ("41b3de4355555553", "333333333.3333332"),
            ("41b3de4355555554", "333333333.33333325"),
            ("41b3de4355555555", "333333333.3333333"),
            ("41b3de4355555556", "333333333.3333334"),
            ("41b3de4355555557", "333333333.33333343"),
            ("becbf647612f3696", "-0.0000033333333333333333"),
            ("43143ff3c1cb0959", "1424953923781206.2"),
        ],
    )
    def test_rfc_8785_numbers(self, bits: str, text: str) -> None:
        (number,) = struct.unpack(">d", bytes.fromhex(bits))

        assert canonical({"n": number}) == f'{{"n":{text}}}'

    @pytest.mark.parametrize("bits", ["7fffffffffffffff", "7ff0000000000000"])
    def test_rfc_8785_refused_numbers(self, bits: str) -> None:
        (number,) = struct.unpack(">d", bytes.fromhex(bits))

        with pytest.raises(SigningError, match="FloatDomainError"):
            sign_payload({"n": number})

    def test_rfc_8785_sample_of_section_3_2_2(self) -> None:
        text = r"""{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"""

        assert canonical(json.loads(text)) == (
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            r'"string":"€$\u000f\nA' + "'" + r'B\"\\\\\"/"}'
        )

    def test_rfc_8785_sorting_of_section_3_2_3(self) -> None:
        data = {
            "\u20ac": "Euro Sign",
            "\r": "Carriage Return",
            "\ufb33": "Hebrew Letter Dalet With Dagesh",
            "1": "One",
            "\U0001f600": "Emoji: Grinning Face",
            "\u0080": "Control",
            "\u00f6": "Latin Small Letter O With Diaeresis",
        }

        assert list(json.loads(canonical(data)).values()) == [
            "Carriage Return",
            "One",
            "Control",
            "Latin Small Letter O With Diaeresis",
            "Euro Sign",
            "Emoji: Grinning Face",
            "Hebrew Letter Dalet With Dagesh",
        ]

    def test_our_own_as_documented(self) -> None:
        rows = re.findall(r"^\| `(bytes|jcs)` \| `(.+)` \| `([0-9a-f]{64})` \|$", PAGE.read_text(), re.MULTILINE)
        signatures = {
            "bytes": lambda message: sign_payload(message.encode()),
            "jcs": lambda message: sign_payload(json.loads(message))["signature"],
        }

        assert SECRET in PAGE.read_text()
        assert [form for form, *_ in rows] == ["bytes", "jcs"]
        for form, message, mac in rows:
            assert signatures[form](message) == {
                "alg": "HMAC-SHA256",
                "form": form,
                "key_id": "2026-01",
                "mac": mac,
                "v": 1,
            }


def canonical(data: dict[str, Any]) -> str:
    form, message = signing._message_of(data)
    assert form == "jcs"
    return message.decode()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    # a larger float may be written as an integer, and such integers are refused
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not 2**53 <= abs(number) < 1e21)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(st.text().filter(lambda name: name != "signature"), JSON, max_size=5)
MANY = settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))


def ecmascript(number: float) -> str:
    """Number::toString of ECMA-262 (section 6.1.6.1.20), from the digits of Python's shortest representation."""
    if number == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    assert isinstance(exponent, int)
    text, k = "".join(map(str, digits)), len(digits)
    n = k + exponent
    if k <= n <= 21:
        shown = text + "0" * (n - k)
    elif 0 < n <= 21:
        shown = f"{text[:n]}.{text[n:]}"
    elif -6 < n <= 0:
        shown = f"0.{'0' * -n}{text}"
    else:
        shown = f"{text[0]}{'.' + text[1:] if k > 1 else ''}e{n - 1:+d}"
    return "-" * sign + shown


class TestCanonicalJson:
    @MANY
    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_numbers_are_written_as_ecmascript_does(self, number: float) -> None:
        assert rfc8785.dumps(number).decode() == ecmascript(number)

    @MANY
    @given(OBJECTS)
    def test_it_says_the_same_and_has_one_form(self, data: dict[str, Any]) -> None:
        text = canonical(data)

        assert json.loads(text) == data
        assert canonical(json.loads(text)) == text
        assert canonical(dict(reversed(data.items()))) == text

    @MANY
    @given(OBJECTS)
    def test_names_are_in_the_order_of_their_utf_16_code_units(self, data: dict[str, Any]) -> None:
        names = list(json.loads(canonical(data)))

        assert names == sorted(names, key=lambda name: name.encode("utf-16-be"))


class TestSignAndVerify:
    @MANY
    @given(OBJECTS)
    def test_a_signed_object_verifies_after_any_writing_and_reading(self, data: dict[str, Any]) -> None:
        signed = sign_payload(data)

        assert {name: value for name, value in signed.items() if name != "signature"} == data
        assert verify_signature(json.loads(json.dumps(signed, indent=1)))
        assert verify_signature(data, signed["signature"])

    @MANY
    @given(st.binary())
    def test_signed_bytes_verify(self, data: bytes) -> None:
        signature = sign_payload(data)

        assert verify_signature(data, json.loads(json.dumps(signature)))
        assert verify_signature(memoryview(data), signature)
        assert reason(data + b"\n", signature) == "mismatch"

    @MANY
    @given(OBJECTS, OBJECTS)
    def test_no_other_object_has_the_same_signature(self, one: dict[str, Any], other: dict[str, Any]) -> None:
        assert verify_signature(other, sign_payload(one)["signature"]) == (canonical(one) == canonical(other))

    @MANY
    @given(st.recursive(st.none() | st.text() | st.binary() | st.integers() | st.floats(), st.lists), st.data())
    def test_any_signature_is_refused_and_none_brings_it_down(self, junk: Any, data: st.DataObject) -> None:
        good = sign_payload(b"x")
        name = data.draw(st.sampled_from([*good, "more"]))
        one_field_off = {**good, name: junk}

        assert not verify_signature(b"x", junk)
        assert not verify_signature(junk)
        assert verify_signature(b"x", one_field_off) == (one_field_off == good)

    def test_signing_again_replaces_the_signature_and_leaves_the_original_alone(self) -> None:
        original = {**LINE, "signature": "old"}

        assert sign_payload(original) == sign_payload(LINE)
        assert original["signature"] == "old"

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"mac": "0" * 64}, "mismatch"),
            ({"form": "bytes"}, "mismatch"),
            ({"key_id": "other"}, "mismatch"),
            ({"key_id": "gone"}, "unknown_key"),
            ({"key_id": "../keys/2026-01"}, "malformed"),
            ({"key_id": ".hidden"}, "malformed"),
            ({"key_id": ""}, "malformed"),
            ({"key_id": 7}, "malformed"),
            ({"mac": "A" * 64}, "malformed"),
            ({"mac": "é" * 64}, "malformed"),
            ({"mac": "ab"}, "malformed"),
            ({"alg": "none"}, "malformed"),
            ({"form": "jwt"}, "malformed"),
            ({"v": 2}, "version"),
            ({"v": True}, "version"),
            ({"v": "1"}, "version"),
            ({"more": 1}, "malformed"),
        ],
    )
    def test_a_changed_signature_is_refused_and_says_why(self, keys: Path, change: Any, expected: str) -> None:
        write_key(keys, "other.key", "another key, which is long enough\n")
        signed = sign_payload(LINE)

        assert reason(LINE, {**signed["signature"], **change}) == expected

    def test_key_id_form_and_version_are_signed_too(self, keys: Path) -> None:
        write_key(keys, "copy.key")  # the same secret under another id
        signature = sign_payload(rfc8785.dumps(LINE))

        assert reason(rfc8785.dumps(LINE), {**signature, "key_id": "copy"}) == "mismatch"
        assert reason(LINE, {**signature, "form": "jcs"}) == "mismatch"

    def test_without_a_signature_it_is_unsigned(self) -> None:
        assert [reason(payload) for payload in (LINE, b"x", {"signature": None}, None)] == ["unsigned"] * 4

    @pytest.mark.parametrize(
        ("payload", "message"),
        [
            ("text", "bytes or a JSON object can be signed, not str"),
            ([1], "bytes or a JSON object can be signed, not list"),
            (None, "bytes or a JSON object can be signed, not NoneType"),
            ({"n": 2**53}, "no canonical JSON (RFC 8785): IntegerDomainError"),
            ({"n": float("nan")}, "no canonical JSON (RFC 8785): FloatDomainError"),
            ({1: 2}, "no canonical JSON"),
            ({"n": {1}}, "no canonical JSON"),
            ({"n": "\ud800"}, "no canonical JSON"),
            ({"\ud800": 1}, "no canonical JSON"),
        ],
    )
    def test_what_has_no_canonical_form_cannot_be_signed(self, payload: Any, message: str) -> None:
        with pytest.raises(SigningError, match=re.escape(message)) as caught:
            sign_payload(payload)

        assert caught.value.reason == "payload"
        assert reason(payload, sign_payload(b"x")) == "payload"

    def test_a_cycle_cannot_be_signed(self) -> None:
        cycle: dict[str, Any] = {}
        cycle["self"] = cycle

        with pytest.raises(SigningError, match="RecursionError"):
            sign_payload(cycle)

    def test_many_threads_sign_and_verify_at_once(self, keys: Path) -> None:
        results: list[bool] = []

        def work(number: int) -> None:
            file = write_key(keys, f"k{number}.key", f"{number:040}")
            for _ in range(50):
                results.append(verify_signature(b"x", sign_payload(b"x", key_file=file)))

        threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert results == [True] * 400


class TestKeys:
    def test_rotation(self, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        old = sign_payload(LINE)
        monkeypatch.setenv("VV_HMAC_KEY_FILE", str(write_key(keys, "2026-02.key", "b" * 64)))
        new = sign_payload(LINE)
        both = [check_signature(old), check_signature(new)]
        (keys / "2026-01.key").unlink()

        assert both == ["2026-01", "2026-02"]
        assert reason(old) == "unknown_key"
        assert verify_signature(new)

    def test_a_new_content_of_the_file_counts_at_once(self, keys: Path) -> None:
        old = sign_payload(LINE)
        write_key(keys, "2026-01.key", "c" * 50)

        assert reason(old) == "mismatch"
        assert verify_signature(sign_payload(LINE))

    def test_the_key_that_signs_verifies_without_a_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("VV_HMAC_KEYS_DIR")

        assert verify_signature(sign_payload(LINE))
        assert reason(LINE, {**sign_payload(LINE)["signature"], "key_id": "other"}) == "unknown_key"

    def test_a_folder_verifies_without_a_key_that_signs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        signed = sign_payload(LINE)
        monkeypatch.delenv("VV_HMAC_KEY_FILE")

        assert verify_signature(signed)
        with pytest.raises(SigningError, match="let VV_HMAC_KEY_FILE name its file"):
            sign_payload(LINE)

    def test_without_any_key_nothing_verifies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        signed = sign_payload(LINE)
        monkeypatch.delenv("VV_HMAC_KEY_FILE")
        monkeypatch.delenv("VV_HMAC_KEYS_DIR")

        assert reason(signed) == "key"

    def test_arguments_win_over_the_environment(self, tmp_path: Path) -> None:
        other = write_key(tmp_path / "others", "7.key", "d" * 64)
        signed = sign_payload(LINE, key_file=other)

        assert signed["signature"]["key_id"] == "7"
        assert verify_signature(signed, key_file=other)
        assert verify_signature(signed, keys_dir=other.parent)
        assert reason(signed) == "unknown_key"

    @pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
    def test_one_line_break_at_the_end_is_not_part_of_it(self, tmp_path: Path, ending: str) -> None:
        file = write_key(tmp_path / "others", "2026-01.key", SECRET + ending)

        assert sign_payload(LINE, key_file=file) == sign_payload(LINE)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("k.key", "", "holds 0 bytes; a key has 16 to 4096"),
            ("k.key", "x" * 15 + "\n", "holds 15 bytes; a key has 16 to 4096"),
            ("k.key", "x" * 5000, "holds 4096 bytes"),
            ("a b.key", SECRET, "its name is no key id"),
            ("é.key", SECRET, "its name is no key id"),
            (".key", SECRET, "its name is no key id"),
            ("x" * 65 + ".key", SECRET, "its name is no key id"),
        ],
    )
    def test_a_file_that_holds_no_key_is_refused(self, keys: Path, name: str, content: str, message: str) -> None:
        file = write_key(keys, name, content)

        with pytest.raises(SigningError, match=message) as caught:
            sign_payload(LINE, key_file=file)

        assert caught.value.reason == "key"

    @pytest.mark.parametrize(("name", "why"), [("gone.key", "No such file"), ("folder.key", "it is no file")])
    def test_a_key_that_cannot_be_read_is_told(self, keys: Path, name: str, why: str) -> None:
        (keys / "folder.key").mkdir()

        with pytest.raises(SigningError, match=f"{name} cannot be read: {why}"):
            sign_payload(LINE, key_file=keys / name)

    def test_a_pipe_in_place_of_a_key_holds_nobody_up(self, keys: Path) -> None:
        os.mkfifo(keys / "pipe.key")

        assert reason(LINE, {**sign_payload(LINE)["signature"], "key_id": "pipe"}) == "key"

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
    def test_a_key_that_others_can_read_or_change_is_warned_of_once(
        self, keys: Path, caplog: pytest.LogCaptureFixture, mode: int
    ) -> None:
        file = write_key(keys, "open.key", mode=mode)
        for _ in range(3):
            sign_payload(LINE, key_file=file)

        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "open.key can be read by others" in record.getMessage()

    def test_a_short_key_is_warned_of(self, keys: Path, caplog: pytest.LogCaptureFixture) -> None:
        sign_payload(LINE, key_file=write_key(keys, "short.key", "x" * 31))
        sign_payload(LINE, key_file=write_key(keys, "long.key", "x" * 32))

        assert [record.getMessage().partition("holds ")[2] for record in caplog.records] == [
            "a short key: 31 bytes; 32 are better"
        ]


class TestTelling:
    def test_each_use_is_counted(self) -> None:
        with captured() as events:
            verify_signature(sign_payload(LINE, component="a.py"), component="b.py")

        assert events == [
            {
                "v": 1,
                "type": "hmac",
                "component": component,
                "operation": operation,
                "result": "ok",
                "key_id": "2026-01",
            }
            for component, operation in (("a.py", "sign"), ("b.py", "verify"))
        ]

    def test_a_failure_tells_why_and_what_it_was_about(self, caplog: pytest.LogCaptureFixture) -> None:
        with captured() as events, stage("verify", video="a.mp4", component="logline_verifier.py") as run:
            run.note(video_sha256="ab")
            verify_signature({**sign_payload(LINE), "count": 4})

        assert events.of("hmac")[1] == {
            "v": 1,
            "type": "hmac",
            "component": "logline_verifier.py",
            "operation": "verify",
            "result": "failed",
            "reason": "mismatch",
            "key_id": "2026-01",
            "error": "the signature does not fit: the data was changed, or the key is another",
            "video": "a.mp4",
            "video_sha256": "ab",
        }
        (record,) = caplog.records
        assert record.levelno == logging.CRITICAL
        assert "hmac verify failed: mismatch: " in record.getMessage()
        assert "a.mp4" in record.getMessage()

    def test_a_signing_error_is_counted_and_not_as_an_exception_too(self) -> None:
        with captured() as events, pytest.raises(SigningError), stage("logline_generator", component="l.py"):
            sign_payload({"n": 2**60}, video="b.mp4")

        (event,) = events.of("hmac")
        assert (event["operation"], event["reason"], event["video"]) == ("sign", "payload", "b.mp4")
        assert "exception" not in events.of("stage.finished")[0]

    def test_neither_key_nor_data_show_anywhere(
        self, keys: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level(logging.DEBUG)
        file = write_key(keys, "open.key", f"{SECRET}-open", mode=0o644)
        with captured() as events:
            told = [repr(signing._load_key(str(file))), repr(sign_payload(LINE, key_file=file))]
            for payload in ({"private": "data", "n": 2**60}, {**sign_payload(LINE), "count": 9}):
                with pytest.raises(SignatureError) as caught:
                    check_signature(payload, sign_payload(b"x"))
                told += [repr(caught.value), str(caught.value), repr(caught.value.__dict__)]
        told += [caplog.text, json.dumps(events), *capfd.readouterr()]

        assert not [text for text in told if SECRET[:20] in text or "private" in text]


class EndlessDict(dict[str, Any]):
    def items(self) -> Any:
        return ((f"k{number}", 1) for number in itertools.count())


class EndlessList(list[Any]):
    def __iter__(self) -> Any:
        return itertools.repeat(1)


@pytest.mark.parametrize(
    "payload",
    [Endless(), EndlessDict(), {"a": EndlessDict()}, {"a": [EndlessList()]}, {"a": ({"b": EndlessList()},)}],
    ids=["mapping", "dict", "dict within", "list within", "tuple within"],
)
def test_what_has_no_end_is_refused(payload: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "MAX_VALUES", 1000)
    with pytest.raises(SigningError, match="more than 1,000 values"):
        sign_payload(payload)
    assert not verify_signature(payload, {"v": 1})
    signature = sign_payload({"a": 1})["signature"]
    assert not verify_signature(payload, signature)

"""One HTTP request to a provider. Neither errors nor answers show the address or any secret."""

from __future__ import annotations

import email.utils
import json
import logging
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from vv_exporter.channels import Answer, ProviderError
from vv_exporter.state.timeline import shortened

if TYPE_CHECKING:
    import requests

logging.getLogger("urllib3").setLevel(logging.INFO)  # below that it logs addresses

TIMEOUT = (5.0, 10.0)  # seconds to connect, and between bytes of the answer
MAX_ANSWER = 4096  # bytes of it that are read
MAX_TEXT = 200
LONGEST_PAUSE = 600.0  # seconds that a provider may ask for


def post(
    url: str,
    document: Any = None,
    *,
    secrets: Iterable[str],
    headers: Mapping[str, str] | None = None,
    good: Iterable[int] = (200, 201, 202, 204),
) -> Answer:
    """Post JSON. Raises `ProviderError` for any other answer than a good one."""
    import requests  # takes 60 ms, and is needed when something is sent

    try:
        with requests.post(
            url, json=document, headers=headers, timeout=TIMEOUT, allow_redirects=False, stream=True
        ) as answer:
            body = read_beginning(answer)
            status, retry_after = answer.status_code, answer.headers.get("Retry-After", "")
            now = seconds_of_date(answer.headers.get("Date", "")) or math.inf
    except requests.RequestException as error:
        raise ProviderError(reason_of(error, TIMEOUT)) from None  # its text and its causes hold the address
    except Exception as error:  # urllib3's own, while reading the answer
        raise ProviderError(f"no good answer ({type(error).__name__})") from None
    text = hidden(words_of(body), secrets)
    said = _answer_document(body)
    if status in good and not (isinstance(said, dict) and said.get("ok") is False):
        return Answer(status, text, said)
    raise ProviderError(
        f"answered {status}: {text}" if text else f"answered {status}",
        status,
        _pause_seconds(retry_after, now, body),
        moved_to=_new_chat(body),
    )


def hidden(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, in one short line."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "(hidden)")
    return shortened(" ".join(text.split()), MAX_TEXT)


def reason_of(error: Exception, timeout: tuple[float, float]) -> str:
    """Why there was no answer: the innermost cause says it best, e.g. `Connection refused`."""
    import requests

    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {timeout[0]:g} s"
    if isinstance(error, requests.Timeout):
        return f"no answer within {timeout[1]:g} s"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, requests.RequestException):
            return f"no connection ({cause.strerror})"
        reason = getattr(cause, "reason", None)
        inner = [one for one in (*cause.args, reason) if isinstance(one, BaseException)]
        cause = inner[0] if inner else cause.__cause__ or cause.__context__
    return f"no connection ({type(error).__name__})"


def words_of(body: str) -> str:
    """What the provider says in words: the field that they use for it, or all."""
    document = _answer_document(body)
    if not isinstance(document, dict):
        return body
    words = [str(document[key]) for key in ("description", "message", "result") if isinstance(document.get(key), str)]
    errors = document.get("errors")
    words += [", ".join(map(str, errors))] if isinstance(errors, list) else []
    return ": ".join(words) or ("ok" if document.get("ok") is True else body)


def seconds_asked(retry_after: str, now: float) -> float:
    """What a header `Retry-After` asks to wait from `now` (Unix seconds): a number, or a date (RFC 9110, 10.2.3)."""
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = seconds_of_date(retry_after) - now
    return seconds if 0 < seconds < math.inf else 0.0  # NaN is neither


def seconds_of_date(text: str) -> float:
    """A date of HTTP as Unix seconds; 0 for what is none."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def read_beginning(answer: requests.Response) -> str:
    """The first `MAX_ANSWER` bytes of an answer's body, as text."""
    return answer.raw.read(MAX_ANSWER, decode_content=True).decode(errors="replace")


def _pause_seconds(retry_after: str, now: float, body: str) -> float:
    """What the provider asks to wait: the header, by its own clock, or Telegram's parameter, in seconds."""
    try:
        asked = retry_after or str(_answer_document(body)["parameters"]["retry_after"])
    except (KeyError, TypeError):
        return 0.0
    return min(seconds_asked(asked, now), LONGEST_PAUSE)


def _new_chat(body: str) -> str:
    """The id of the supergroup that a group has become: https://core.telegram.org/bots/api#responseparameters."""
    try:
        id_ = _answer_document(body)["parameters"]["migrate_to_chat_id"]
    except (KeyError, TypeError):
        return ""
    return str(id_) if type(id_) is int else ""


def _answer_document(body: str) -> Any:
    """The answer as JSON, None if it is none, or too deep."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None

"""JSON that others wrote."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")


def decode_untrusted(decoder: msgspec.json.Decoder[T], document: bytes | memoryview | msgspec.Raw) -> T:
    """What the decoder makes of it. Raises `msgspec.MsgspecError` and nothing else, also for what is too deep."""
    try:
        return decoder.decode(document)
    except (RecursionError, UnicodeDecodeError) as error:
        raise msgspec.DecodeError(str(error)) from None

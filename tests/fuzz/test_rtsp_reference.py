"""What ffmpeg plays is up, and what is up and not played is explained: a slice of `tests.fuzz.rtsp_reference`."""

from __future__ import annotations

from tests.fuzz.cameras import Camera, recorded
from tests.fuzz.rtsp_reference import PATIENT_SECONDS, ask, compare, explanation

DIALOGUES, SEED = 150, 12


def test_the_dialogue_as_it_was_recorded_is_played_by_both() -> None:
    with Camera() as camera:
        seen = ask(camera, recorded(), PATIENT_SECONDS)

    assert (seen.ours.result, seen.plays) == ("ok", True), str(seen)


def test_no_difference_is_without_a_reason() -> None:
    found = list(compare(SEED, DIALOGUES))

    assert [str(seen) for seen in found if seen.differs and not explanation(seen)] == []
    assert sum(seen.plays for seen in found) > DIALOGUES / 4, "the dialogues are bent until nobody plays them"

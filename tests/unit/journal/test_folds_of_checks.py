"""Validations, signatures and unhandled exceptions, seen through the journal as a script would write it."""

from tests.unit.journal.conftest import Journal
from vv_core.testing import captured
from vv_exporter.metrics.exceptions import EXCEPTIONS_UNHANDLED
from vv_exporter.metrics.pipeline import EXCEPTIONS
from vv_exporter.metrics.security import HMAC_OPERATIONS, SCHEMA_VALIDATIONS
from vv_exporter.state.failures import FAILURES, MAX_ERROR, Failure


def only_failure(journal: Journal) -> Failure:
    (failure,) = journal.store.docs(FAILURES).values()
    return failure


class TestSchemas:
    def test_results_are_counted_and_begin_at_0(self, journal: Journal) -> None:
        writer = journal.writer()
        for _ in range(3):
            writer.event("schema.validated", schema="analytic", result="valid")
        journal.read()

        assert journal.values(SCHEMA_VALIDATIONS) == {
            ("analytic", "test.py", "valid"): 3,
            ("analytic", "test.py", "invalid"): 0,
        }
        assert journal.store.docs(FAILURES) == {}

    def test_a_failure_is_remembered_with_path_message_and_excerpt(self, journal: Journal) -> None:
        journal.writer().event(
            "schema.validated",
            schema="analytic",
            result="invalid",
            component="scan_video.py",
            path="/boxes/0/x",
            error="-1 is less than the minimum of 0",
            excerpt="-1",
            video="a.mp4",
            video_sha256="ab" * 32,
            ts=1_699_999_000.0,
        )
        journal.read()

        assert journal.value(SCHEMA_VALIDATIONS, "analytic", "scan_video.py", "invalid") == 1
        assert only_failure(journal) == Failure(
            component="scan_video.py",
            kind="schema:analytic",
            time=1_699_999_000.0,
            video="a.mp4",
            video_sha256="ab" * 32,
            error="/boxes/0/x: -1 is less than the minimum of 0; it begins: -1",
        )

    def test_a_result_that_is_unknown_is_no_success(self, journal: Journal) -> None:
        journal.writer().event("schema.validated", schema="s", result="perhaps")
        journal.read()

        assert journal.value(SCHEMA_VALIDATIONS, "s", "test.py", "invalid") == 1


class TestSignatures:
    def test_operations_are_counted_and_begin_at_0(self, journal: Journal) -> None:
        writer = journal.writer()
        writer.event("hmac", operation="sign", result="ok", key_id="k")
        writer.event("hmac", operation="verify", result="ok", key_id="k")
        journal.read()

        assert journal.values(HMAC_OPERATIONS) == {
            (operation, "test.py", result): float(result == "ok")
            for operation in ("sign", "verify")
            for result in ("ok", "failed")
        }
        assert journal.store.docs(FAILURES) == {}

    def test_a_failure_is_remembered_with_reason_and_key(self, journal: Journal) -> None:
        journal.writer().event(
            "hmac", operation="verify", result="failed", reason="mismatch", key_id="k", error="no fit", video="a.mp4"
        )
        journal.read()

        failure = only_failure(journal)
        assert journal.value(HMAC_OPERATIONS, "verify", "test.py", "failed") == 1
        assert (failure.kind, failure.video, failure.error) == ("hmac:verify", "a.mp4", "mismatch (key k): no fit")

    def test_what_is_unknown_is_no_success(self, journal: Journal) -> None:
        journal.writer().event("hmac", operation="decrypt", result="perhaps")
        journal.read()

        assert journal.value(HMAC_OPERATIONS, "verify", "test.py", "failed") == 1
        assert only_failure(journal).error == "failed:"


class TestExceptions:
    FIELDS = {"exception": "ValueError", "error": "no frames", "traceback": 'File "x.py", line 3\n  scan(video)'}

    def test_one_is_counted_and_remembered_with_where_it_came_from(self, journal: Journal) -> None:
        journal.writer().event("exception", **self.FIELDS, video="a.mp4")
        journal.read()

        failure = only_failure(journal)
        assert journal.value(EXCEPTIONS, "test.py", "ValueError") == 1
        assert journal.value(EXCEPTIONS_UNHANDLED, "test.py", "ValueError") == 1
        assert (failure.kind, failure.video) == ("exception:ValueError", "a.mp4")
        assert failure.error == 'ValueError: no frames | File "x.py", line 3 scan(video)'

    def test_of_a_long_one_the_beginning_of_the_message_and_the_end_of_the_traceback_are_kept(
        self, journal: Journal
    ) -> None:
        journal.writer().event("exception", exception="E", error="m" * 900, traceback="t" * 900 + " raise E")
        journal.read()

        error = only_failure(journal).error
        assert len(error) == MAX_ERROR
        assert error.startswith("E: mmm")
        assert error.endswith("ttt raise E")

    def test_one_without_a_traceback(self, journal: Journal) -> None:
        journal.writer().event("exception", exception="E", error="m")
        journal.read()

        assert only_failure(journal).error == "E: m"

    def test_one_that_a_stage_failed_with_is_counted_once_and_is_not_unhandled(self, journal: Journal) -> None:
        from vv_core.guard import guard
        from vv_core.stages import stage

        with captured() as events, guard(component="test.py", then="continue"), stage("scan", component="test.py"):
            raise ValueError("no frames")
        writer = journal.writer()
        for event in events:
            writer.event(event["type"], **{name: value for name, value in event.items() if name not in ("v", "type")})
        journal.read()

        assert journal.values(EXCEPTIONS) == {("test.py", "ValueError"): 1}
        assert journal.values(EXCEPTIONS_UNHANDLED) == {}

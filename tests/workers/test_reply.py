"""What a result back-end stored, read into values."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ailf.errors import RemoteTaskFailedError, RemoteTaskRevokedError
from ailf.workers.failure import failure
from ailf.workers.reply import NOTHING, Place, Reply, Stage, read_reply


@pytest.mark.parametrize(
    ("meta", "reply"),
    [
        (None, NOTHING),
        ({"status": "PENDING", "result": None}, NOTHING),
        ({"status": "SUCCESS", "result": {"a": 1}}, Reply(Stage.SUCCEEDED, value={"a": 1})),
        (
            {"status": "STARTED", "result": {"pid": 7, "hostname": "celery@box"}},
            Reply(Stage.UNDER_WAY, place=Place("box", 7, "celery@box")),
        ),
        ({"status": "PROGRESS", "result": {"progress": 40, "message": "m"}}, Reply(Stage.UNDER_WAY, None, 40, "m")),
        ({"status": "PROGRESS", "result": {"current": 1, "total": 4}}, Reply(Stage.UNDER_WAY, None, 25)),
        ({"status": "PROGRESS", "result": {"current": 1, "total": 0}}, Reply(Stage.UNDER_WAY)),
        ({"status": "PROGRESS", "result": {"progress": 400}}, Reply(Stage.UNDER_WAY, None, 100)),
        ({"status": "PROGRESS", "result": {"progress": float("nan")}}, Reply(Stage.UNDER_WAY)),
        ({"status": "PROGRESS", "result": {"progress": "half"}}, Reply(Stage.UNDER_WAY)),
        ({"status": "PROGRESS", "result": "half"}, Reply(Stage.UNDER_WAY)),
        ({"status": "RETRY", "result": {"exc_type": "X"}}, Reply(Stage.UNDER_WAY)),
        ({"status": "A STATE OF ITS OWN", "result": None}, Reply(Stage.UNDER_WAY)),
        (
            {
                "status": "FAILURE",
                "result": {"exc_type": "E", "exc_module": "m", "exc_message": ["x"]},
                "traceback": "t",
            },
            Reply(Stage.FAILED, error="x", error_type="m.E", traceback="t"),
        ),
        (
            {"status": "FAILURE", "result": {"exc_type": "KeyError", "exc_module": "builtins", "exc_message": []}},
            Reply(Stage.FAILED, error="KeyError", error_type="KeyError"),
        ),
        (
            {"status": "FAILURE", "result": {"exc_type": "E", "exc_module": "m", "exc_message": [1, "b"]}},
            Reply(Stage.FAILED, error="1, b", error_type="m.E"),
        ),
        ({"status": "FAILURE", "result": None}, Reply(Stage.FAILED, error="Exception", error_type="Exception")),
        (
            {"status": "REVOKED", "result": {"exc_type": "TaskRevokedError", "exc_message": ["terminated"]}},
            Reply(Stage.REVOKED, error="terminated", error_type="TaskRevokedError"),
        ),
    ],
)
def test_what_is_stored_is_read(meta: dict[str, Any] | None, reply: Reply) -> None:
    """States of Celery's and of a task's own."""
    assert read_reply(meta) == reply


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["progress", "pid", "exc_type"]), inner)
    ),
    max_leaves=5,
)


@given(st.sampled_from(["STARTED", "PROGRESS", "FAILURE", "REVOKED", "odd"]), JSON, JSON)
def test_nothing_that_is_stored_breaks_the_reading(status: str, stored: object, traceback: object) -> None:
    """A back-end may hold what other programs wrote; every failure can be raised."""
    reply = read_reply({"status": status, "result": stored, "traceback": traceback})
    if reply.stage in {Stage.FAILED, Stage.REVOKED}:
        assert str(failure(reply, "id"))


@pytest.mark.parametrize(
    ("error_type", "known"),
    [
        ("KeyError", KeyError),
        ("OSError", OSError),
        ("UnicodeDecodeError", UnicodeDecodeError),
        ("StopIteration", Exception),
        ("ailf.errors.DocumentTooLargeError", LookupError),
        ("asyncio.exceptions.TimeoutError", TimeoutError),
        ("os.system", Exception),
        ("nowhere.at.all.Error", Exception),
        ("SystemExit", Exception),
    ],
)
def test_a_failure_is_of_ours_and_of_its_own_type(error_type: str, known: type[Exception]) -> None:
    """Where that is known here, and an exception; nothing is imported or called for it."""
    error = failure(Reply(Stage.FAILED, error="why", error_type=error_type, traceback="tb"), "id")
    assert isinstance(error, RemoteTaskFailedError)
    assert known is LookupError or isinstance(error, known)
    assert (str(error), error.error_type, error.celery_id, error.remote_traceback) == ("why", error_type, "id", "tb")
    assert type(error).__qualname__ == error_type.rpartition(".")[2]
    assert "tb" in str(error.__cause__)


def test_a_revocation_is_told_apart() -> None:
    """It is no failure of the task's."""
    error = failure(Reply(Stage.REVOKED, error="terminated"), "id")
    assert isinstance(error, RemoteTaskRevokedError)
    assert "terminated" in str(error)

"""Tasks in the words of the protocol, whatever state they are in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ailf.async_tasks import Reason, TaskInfo, TaskStatus
from ailf.mcp.wire import Known, Terms, created, detailed

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
INFO = TaskInfo(
    id="t1",
    name="slow",
    status=TaskStatus.PENDING,
    reason=None,
    progress=0,
    progress_message=None,
    created_at=NOW,
    started_at=None,
    completed_at=None,
    timeout=None,
    metadata={},
    result=None,
    result_format=None,
    error=None,
    error_type=None,
    traceback=None,
    owner_id="o1",
)
TERMS = Terms({"completed": 3600.0, "failed": 60.0}, 1000)
NOTHING = Known(NOW, None)


def told(changes: dict[str, Any], known: Known = NOTHING, terms: Terms = TERMS) -> dict[str, Any]:
    """A task, changed so, as it is told ten seconds after its submission."""
    return detailed(replace(INFO, **changes), known, terms, NOW + timedelta(seconds=10))


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({}, "working", "Waits for its turn."),
        ({"status": TaskStatus.RUNNING}, "working", None),
        ({"status": TaskStatus.RUNNING, "progress": 12.5}, "working", "12.5 %"),
        ({"status": TaskStatus.RUNNING, "progress_message": "reads\x1b[2J"}, "working", r"reads\x1b[2J"),
        ({"status": TaskStatus.RUNNING, "progress": 40, "progress_message": "half"}, "working", "40 %: half"),
        ({"status": TaskStatus.COMPLETED, "result": {"content": []}}, "completed", None),
        ({"status": TaskStatus.FAILED, "reason": Reason.ERROR, "error": "no"}, "completed", None),
        ({"status": TaskStatus.FAILED, "reason": Reason.TIMEOUT, "error": "too long"}, "failed", "too long"),
        ({"status": TaskStatus.FAILED, "reason": Reason.PROCESS_DIED, "error": "died"}, "failed", "died"),
        ({"status": TaskStatus.CANCELLED, "reason": Reason.CANCELLED}, "cancelled", "It was cancelled."),
        ({"status": TaskStatus.CANCELLED, "reason": Reason.SHUTDOWN}, "cancelled", "The server stopped."),
    ],
)
def test_each_state_has_its_status(changes: dict[str, Any], status: str, message: str | None) -> None:
    """With a message, and a result or an error exactly where the status has one."""
    has_ended = "status" in changes and changes["status"].is_ended
    task = told(changes | {"completed_at": NOW if has_ended else None})
    assert (task["resultType"], task["status"], task.get("statusMessage")) == ("complete", status, message)
    assert ("result" in task, "error" in task) == (status == "completed", status == "failed")


def test_a_handle_is_a_task_without_its_outcome() -> None:
    """Even of one that has ended already."""
    done = replace(INFO, status=TaskStatus.COMPLETED, result={"content": []}, completed_at=NOW)
    handle = created(done, NOTHING, TERMS, NOW)
    assert handle["resultType"] == "task"
    assert "result" not in handle


def test_it_is_kept_for_what_the_retention_says() -> None:
    """From its submission to its end and on; unfinished, for the least of all from now on; or for ever."""
    later: dict[str, Any] = {"completed_at": NOW + timedelta(seconds=5)}
    assert told(later | {"status": TaskStatus.COMPLETED})["ttlMs"] == 3_605_000
    assert told(later | {"status": TaskStatus.FAILED, "reason": Reason.ERROR})["ttlMs"] == 65_000
    assert told(later | {"status": TaskStatus.CANCELLED})["ttlMs"] is None
    assert told({})["ttlMs"] == 70_000
    assert told({}, terms=Terms({}, 1000))["ttlMs"] is None


def test_what_a_tool_raised_is_told_as_its_answer_says() -> None:
    """Its text where the answer is lost; of what is no answer, nothing but that it failed."""
    failed: dict[str, Any] = {
        "status": TaskStatus.FAILED,
        "reason": Reason.ERROR,
        "error": "secret",
        "completed_at": NOW,
    }
    answer = {"content": [{"type": "text", "text": "as it was"}], "isError": True}
    assert told(failed, Known(NOW, {"result": answer}))["result"] == answer
    lost = told(failed | {"error_type": "LookupError"})["result"]
    assert lost["isError"]
    assert lost["content"] == [{"type": "text", "text": "Error executing tool slow"}]
    own = told(failed | {"error_type": "ailf.errors.ToolCallError"})["result"]
    assert own["content"] == [{"type": "text", "text": "secret"}]
    assert told(failed, Known(NOW, {"result": "cut ..."}))["result"]["isError"]
    error = {"code": -32050, "message": "teapot"}
    task = told(failed, Known(NOW, {"error": error}))
    assert (task["status"], task["error"]) == ("failed", error)

"""OpenTelemetry: a span a task, linked to its submitter's, and metrics; with the real SDK."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ailf.async_tasks import TaskManager
from ailf.telemetry import instrument


class Told:
    """What the SDK was told."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])

    def spans(self) -> dict[str, ReadableSpan]:
        """The finished spans by name."""
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def metrics(self) -> dict[str, list[Any]]:
        """The data points of each metric."""
        data: Any = self.reader.get_metrics_data()
        [resource] = data.resource_metrics
        return {
            metric.name: list(metric.data.data_points) for scope in resource.scope_metrics for metric in scope.metrics
        }


@pytest.fixture
def told() -> Told:
    """An SDK of the test's own."""
    return Told()


@pytest.fixture
async def instrumented(journal: Path, told: Told) -> AsyncIterator[TaskManager]:
    """A manager whose tasks are traced and counted."""
    manager = TaskManager(journal, max_concurrency=2)
    instrument(manager, tracer_provider=told.tracers, meter_provider=told.meters)
    async with manager:
        yield manager


async def test_a_span_a_task(instrumented: TaskManager, told: Told) -> None:
    """With its id, name and state, in a trace of its own that is linked to the submitter's span."""

    async def work() -> int:
        return trace.get_current_span().get_span_context().span_id

    with told.tracers.get_tracer("test").start_as_current_span("request") as request:
        task_id = await instrumented.submit(work, name="work")
    inside = await instrumented.result(task_id)
    span = told.spans()["work"]
    assert span.attributes == {
        "ailf.task.id": task_id,
        "ailf.task.name": "work",
        "ailf.task.status": "completed",
    }
    assert span.context is not None
    assert inside == span.context.span_id
    assert span.parent is None
    assert span.context.trace_id != request.get_span_context().trace_id
    assert [link.context for link in span.links] == [request.get_span_context()]
    assert span.status.is_unset


async def test_a_failure_has_its_error(instrumented: TaskManager, told: Told) -> None:
    """As the status of the span and as an exception event."""

    async def broken() -> None:
        raise ValueError("no")

    await instrumented.wait_for_task(await instrumented.submit(broken, name="broken"))
    span = told.spans()["broken"]
    assert span.attributes is not None
    assert (span.status.status_code, span.status.description) == (trace.StatusCode.ERROR, "no")
    assert (span.attributes["ailf.task.status"], span.attributes["ailf.task.reason"]) == ("failed", "error")
    [event] = span.events
    assert event.attributes is not None
    assert (event.attributes["exception.type"], event.attributes["exception.message"]) == ("ValueError", "no")
    assert "Traceback" in str(event.attributes["exception.stacktrace"])
    assert span.links == ()


async def test_a_task_that_never_started_has_a_span_too(instrumented: TaskManager, told: Told) -> None:
    """It says that it was cancelled, and is in no histogram."""
    for name in ("one", "two", "waits"):
        await instrumented.submit(partial(asyncio.sleep, 3600), task_id=name, name=name)
    assert await instrumented.cancel_task("waits")
    span = told.spans()["waits"]
    assert span.attributes is not None
    assert span.attributes["ailf.task.status"] == "cancelled"
    assert "ailf.task.duration" not in told.metrics()


async def test_tasks_are_counted_and_timed(instrumented: TaskManager, told: Told) -> None:
    """Submissions, ends by state, what is active, and a histogram of seconds."""
    ids = [await instrumented.submit(asyncio.sleep(0)) for _ in range(3)]
    ids.append(await instrumented.submit(lambda: 1 / 0))
    for task_id in ids:
        await instrumented.wait_for_task(task_id)
    await instrumented.submit(partial(asyncio.sleep, 3600))
    metrics = told.metrics()
    assert [point.value for point in metrics["ailf.tasks.submitted"]] == [5]
    assert [point.value for point in metrics["ailf.tasks.active"]] == [1]
    ended = {point.attributes["ailf.task.status"]: point.value for point in metrics["ailf.tasks.ended"]}
    assert ended == {"completed": 3, "failed": 1}
    durations = {point.attributes["ailf.task.status"]: point.count for point in metrics["ailf.task.duration"]}
    assert durations == ended


def test_the_error_where_opentelemetry_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the extra."""
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "ailf.telemetry")
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'ailf\[otel\]'"):
        import ailf.telemetry  # noqa: F401

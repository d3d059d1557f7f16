"""OpenTelemetry for tasks (extra ``otel``): a span a task, counters, and a histogram of durations.

::

    from ailf.telemetry import instrument

    manager = TaskManager()
    instrument(manager)

The span of a task is a trace of its own, since a task outlives whoever submitted it; it is linked to the
span in which it was submitted. It is the current span inside of the task.
"""

import time
from dataclasses import dataclass

from ailf.async_tasks import Observer, Outcome, TaskManager, TaskStatus

try:
    from opentelemetry import context, metrics, trace
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"ailf.telemetry needs {error.name}, which is not installed: pip install 'ailf[otel]'", name=error.name
    ) from error

__all__ = ["instrument"]

SCOPE = "ailf.async_tasks"


def instrument(
    manager: TaskManager,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
) -> None:
    """Have a manager's tasks traced and counted from now on.

    Spans have the attributes ``ailf.task.id``, ``ailf.task.name``, ``ailf.task.status`` and
    ``ailf.task.reason``; a failed task's have the error as their status and as an exception event. Metrics:
    ``ailf.tasks.submitted`` and ``ailf.tasks.ended`` count, ``ailf.tasks.active`` goes up and down, and
    ``ailf.task.duration`` is a histogram of seconds from start to end; what ended says in which state.

    Args:
        manager: the manager, started or not.
        tracer_provider: where spans go; None is the global one.
        meter_provider: where metrics go; None is the global one.
    """
    tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
    meter = metrics.get_meter(SCOPE, meter_provider=meter_provider)
    manager.add_observer(_Telemetry(tracer, meter))


@dataclass(slots=True)
class _Observed:
    """What is kept of a task between its submission and its end."""

    submitter: trace.SpanContext
    span: trace.Span | None = None
    started: float = 0.0

    def submitted_by(self) -> list[trace.Link]:
        """The link to the span in which it was submitted, if there was one."""
        return [trace.Link(self.submitter)] if self.submitter.is_valid else []


class _Telemetry(Observer):
    def __init__(self, tracer: trace.Tracer, meter: metrics.Meter) -> None:
        self._tracer = tracer
        self._tasks: dict[str, _Observed] = {}
        self._submitted = meter.create_counter("ailf.tasks.submitted", "{task}", "Tasks that were submitted")
        self._ended = meter.create_counter("ailf.tasks.ended", "{task}", "Tasks that ended")
        self._active = meter.create_up_down_counter("ailf.tasks.active", "{task}", "Tasks that have not ended")
        self._duration = meter.create_histogram("ailf.task.duration", "s", "From the start of a task to its end")

    def submitted(self, task_id: str, name: str) -> None:  # noqa: ARG002 - as an observer is called
        self._tasks[task_id] = _Observed(trace.get_current_span().get_span_context())
        self._submitted.add(1)
        self._active.add(1)

    def started(self, task_id: str, name: str) -> None:
        observed = self._tasks.get(task_id)
        if observed is None:
            return
        observed.started = time.perf_counter()
        observed.span = self._begin(task_id, name, observed.submitted_by())
        # In the task's own context, which ends with it.
        context.attach(trace.set_span_in_context(observed.span))

    def ended(self, task_id: str, name: str, outcome: Outcome) -> None:
        observed = self._tasks.pop(task_id, None)
        if observed is None:
            return
        attributes = {"ailf.task.status": str(outcome.status)}
        if outcome.reason is not None:
            attributes["ailf.task.reason"] = str(outcome.reason)
        self._ended.add(1, attributes)
        self._active.add(-1)
        if observed.span is None:
            # It never ran: its span has no length.
            span = self._begin(task_id, name, observed.submitted_by())
        else:
            span = observed.span
            self._duration.record(time.perf_counter() - observed.started, attributes)
        span.set_attributes(attributes)
        if outcome.status is TaskStatus.FAILED:
            told = {
                "exception.type": outcome.error_type,
                "exception.message": outcome.error,
                "exception.stacktrace": outcome.traceback,
            }
            span.add_event("exception", {key: value for key, value in told.items() if value is not None})
            span.set_status(trace.StatusCode.ERROR, outcome.error)
        span.end()

    def _begin(self, task_id: str, name: str, links: list[trace.Link]) -> trace.Span:
        attributes = {"ailf.task.id": task_id, "ailf.task.name": name}
        return self._tracer.start_span(name, context=context.Context(), attributes=attributes, links=links)

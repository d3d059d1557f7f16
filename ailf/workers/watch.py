"""One Celery task, from its sending to its end."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ailf.errors import AilfError, BrokerError, ResultExpiredError, WorkerLostError
from ailf.workers.address import shown_url
from ailf.workers.checks import check_backend
from ailf.workers.failure import failure
from ailf.workers.inquiry import Question, Report, inquirer_of
from ailf.workers.liveness import Signs, Verdict, judge
from ailf.workers.reply import Place, Reply, Stage
from ailf.workers.sending import Sent, freeze, run_here, send
from ailf.workers.sources import Source, open_source, own_backend
from ailf.workers.threads import begin, in_thread, wait_for

Progress = Callable[[float, str | None], object]
"""What is told of a task's progress: 0 to 100, and a message."""

SEND_LIMIT = 20.0
"""Seconds that sending a task may take; Celery tries a few times within them."""
REVOKE_LIMIT = 5.0
"""Seconds that revoking a task may take, when its waiter is cancelled."""
QUIET = 1.0
"""Seconds without news after which the result and the signs of life on this machine are looked at."""
INQUIRY_INTERVAL = 5.0
"""Seconds without news after which the workers are asked, and again."""
CERTAIN = 2
"""How many times in a row a task must be found missing to be lost: once, it may be on its way from the queue."""


class Watch:
    """The sending of one task and the wait for its end.

    Args:
        signature: what to run; a copy of it gets the id.
        celery_id: the id.
        progress: what is told of the task's progress.
        worker_timeout: seconds without a sign of life after which the task counts as lost.
    """

    def __init__(self, signature: Any, celery_id: str, progress: Progress, worker_timeout: float) -> None:
        self._signature = signature
        self._app = signature.app
        self._id = celery_id
        self._progress = progress
        self._worker_timeout = worker_timeout
        self._sending: tuple[asyncio.Future[Sent], asyncio.Event] | None = None
        self._sent: Sent | None = None
        self._asking: asyncio.Task[Report] | None = None
        self._trouble: BrokerError | None = None
        self._last: Reply | None = None
        self._place: Place | None = None
        self._heard_at = 0.0
        self._asked_at = 0.0
        self._missing = 0
        self._vanished = False

    async def run(self) -> Any:
        """Send the task and wait.

        Returns:
            What it returned.

        Raises:
            RemoteTaskError: it ended otherwise, or will not end.
            BrokerError: the broker or the result back-end cannot be reached.
            InvalidArgumentError: the signature is a group, or nobody can read its result.
        """
        if self._app.conf.task_always_eager:
            return self._ended_here(await in_thread(self._run_here))
        self._signature, backend = await self._prepare()
        try:
            async with open_source(self._app, backend, self._id) as source:
                self._sent = await self._send()
                self._heard()
                return await self._wait(source)
        finally:
            if self._asking is not None:
                self._asking.cancel()

    async def revoke(self) -> None:
        """Have the task never run, or stop it: best effort, within bounds."""
        with suppress(Exception):
            async with asyncio.timeout(REVOKE_LIMIT):
                if self._sending is not None:
                    sending, begun = self._sending
                    if not begun.is_set() and sending.cancel():
                        return
                    # What is still being sent would arrive after its own revocation.
                    await asyncio.wait([sending])
                ids = sorted(self._sent.ids) if self._sent is not None else [self._id]
                await in_thread(lambda: self._app.control.revoke(ids, terminate=True))

    def _run_here(self) -> Reply:
        # A chord would listen for the results of its header at a server that nobody needs here.
        with suppress(Exception):
            own_backend(self._app)
        return run_here(freeze(self._signature, self._id))

    def _ended_here(self, reply: Reply) -> Any:
        if reply.stage is Stage.UNKNOWN:
            raise self._without_result("it ran in this process, and ended without a result")
        self._is_over(reply)
        return reply.value

    async def _prepare(self) -> tuple[Any, Any]:
        """Give the signature its id, and the back-end its connection: with a database that takes a while."""
        try:
            return await wait_for(*begin(self._prepared), SEND_LIMIT)
        except AilfError:
            raise
        except TimeoutError as error:
            reason = f"it did not answer within {SEND_LIMIT:g} s"
            raise self._unusable(reason) from error
        except Exception as error:
            raise self._unusable(str(error) or type(error).__name__) from error

    def _unusable(self, reason: str) -> BrokerError:
        return BrokerError(
            f"The Celery result back-end at {shown_url(self._app.conf.result_backend)} cannot be used: {reason}. Check "
            "$CELERY_RESULT_BACKEND and the server that it names."
        )

    def _prepared(self) -> tuple[Any, Any]:
        backend = own_backend(self._app)
        check_backend(backend)
        return freeze(self._signature, self._id), backend

    async def _send(self) -> Sent:
        self._sending = sending, begun = begin(self._apply)
        # Whoever gives up waiting for it still gets to know how it ended.
        sending.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        try:
            return await wait_for(sending, begun, SEND_LIMIT)
        except TimeoutError as error:
            raise BrokerError(
                f"The Celery task {self._signature.task} could not be sent to the broker at "
                f"{shown_url(self._app.conf.broker_url)}: it did not answer within {SEND_LIMIT:g} s. Check that it is "
                "the right address ($CELERY_BROKER_URL), and that the broker is not overloaded."
            ) from error

    def _apply(self) -> Sent:
        own_backend(self._app)
        return send(self._signature)

    async def _wait(self, source: Source) -> Any:
        while True:
            reply = await source.news(QUIET)
            if reply is not None and self._is_over(reply):
                return reply.value
            report = self._report()
            if report is not None:
                verdict = judge(self._signs(report))
                # It may have ended while the workers were asked: what is stored goes before what they say.
                reply = await self._look(source)
                if reply is not None and self._is_over(reply):
                    return reply.value
                self._weigh(verdict, report)
            if self._asking is None and self._has_to_ask():
                self._asked_at = _now()
                self._asking = asyncio.create_task(inquirer_of(self._app).ask(self._question()))

    def _is_over(self, reply: Reply) -> bool:
        """Take note of a reply: True where the task succeeded; any other end is raised."""
        if reply.stage is Stage.SUCCEEDED:
            return True
        if reply.stage in {Stage.FAILED, Stage.REVOKED}:
            raise failure(reply, self._id)
        if reply.stage is Stage.UNKNOWN:
            # Something was stored, and is no more; the task may run on all the same.
            self._vanished = self._last is not None
        elif reply != self._last:
            self._heard()
            self._vanished = False
            self._place = reply.place or self._place
            if reply.progress is not None:
                self._progress(reply.progress, reply.message)
            self._last = reply
        return False

    def _heard(self) -> None:
        self._heard_at = self._asked_at = _now()
        self._missing = 0

    def _has_to_ask(self) -> bool:
        # A process that is gone is a reason to ask at once.
        urgent = _is_alive(self._place) is False
        return _now() - self._asked_at >= (QUIET if urgent else INQUIRY_INTERVAL)

    def _question(self) -> Question:
        assert self._sent is not None  # noqa: S101  nothing is asked before
        return Question(self._sent.ids, self._sent.queues, self._sent.names)

    def _report(self) -> Report | None:
        """Give what was answered, once it is there."""
        if self._asking is None or not self._asking.done():
            return None
        asking, self._asking = self._asking, None
        self._trouble = None
        try:
            return asking.result()
        except BrokerError as error:
            # A broker that is away says nothing of its workers.
            self._trouble = error
            return Report()

    def _signs(self, report: Report) -> Signs:
        assert self._sent is not None  # noqa: S101  nothing is asked before
        # What is tried again, replaced or goes on may wait in another queue than it was sent to.
        everywhere = self._sent.anywhere or self._last is not None
        queues = self._sent.queues | (frozenset(report.consumed) if everywhere else frozenset())
        crowded = report.crowded(queues, self._sent.ids)
        node = "" if self._place is None else self._place.node
        process_alive = _is_alive(self._place)
        known = report.bound | ({node} if node else frozenset())
        dead = {node} if process_alive is False else frozenset()
        return Signs(
            answered=bool(report.answered),
            silent=bool(known - report.answered - dead) or report.is_short(queues),
            held=bool(self._sent.ids & report.held) or bool(self._sent.names & report.limited),
            waiting=bool(crowded),
            taken=any(report.consumed.get(queue) for queue in crowded),
            process_alive=process_alive,
            owner_answered=node in report.answered,
        )

    async def _look(self, source: Source) -> Reply | None:
        try:
            return await source.look()
        except AilfError:
            raise
        except Exception:  # noqa: BLE001  a back-end raises what its driver raises; the source bounds such trouble
            return None

    def _weigh(self, verdict: Verdict, report: Report) -> None:
        if verdict is Verdict.ALIVE:
            self._heard()
        elif verdict is Verdict.MISSING:
            self._missing += 1
        else:
            self._missing = 0
        answered = self._place is not None and self._place.node in report.answered
        lives_on = answered and _is_alive(self._place) is not False
        if self._missing >= CERTAIN:
            if self._vanished or lives_on:
                raise self._without_result("it is not stored, and no worker has the task any more")
            raise self._lost("no worker has it, and it is not in its queue")
        if _now() - self._heard_at > self._worker_timeout:
            if self._trouble is not None:
                raise self._trouble
            raise self._lost(f"no worker gave a sign of life for {self._worker_timeout:g} s", lives_on=lives_on)

    def _without_result(self, finding: str) -> ResultExpiredError:
        return ResultExpiredError(
            f"The Celery task {self._id} ran, but there is no result of it: {finding}. It expired (the setting "
            "result_expires says how long results are kept), the back-end was emptied, or the task stored none, as "
            "after raise Ignore().",
            celery_id=self._id,
        )

    def _lost(self, finding: str, *, lives_on: bool = False) -> WorkerLostError:
        if self._place is not None and lives_on:
            story = f"its worker (process {self._place.pid} on {self._place.host}) answers, and has it no more"
        elif self._place is not None:
            story = f"its worker (process {self._place.pid} on {self._place.host}) died with it"
        elif self._last is not None:
            story = "its worker died with it"
        else:
            story = "no worker has begun it, and one that is started now may still find it in its queue"
        queues = ", ".join(sorted(self._sent.queues)) if self._sent is not None else ""
        return WorkerLostError(
            f"The Celery task {self._id} is lost: {story}; {finding}. Start a worker "
            f"(celery -A ailf.workers.celery_app worker, with the same broker{queues and ' and -Q ' + queues}) "
            "and send it again.",
            celery_id=self._id,
        )


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_alive(place: Place | None) -> bool | None:
    """Whether the process is alive; None where it is on another machine, or nowhere yet."""
    if place is None or place.host != socket.gethostname():
        return None
    try:
        os.kill(place.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True

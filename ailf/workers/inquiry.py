"""Asking the workers what they have, and the broker what waits: once for all the tasks that are waited for."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from ailf.errors import BrokerError
from ailf.workers.address import shown_url
from ailf.workers.batch import Batch

ANSWER_TIME = 1.0
"""Seconds that the workers have for each answer."""
INQUIRY_LIMIT = 15.0
"""Seconds that an inquiry may take; the broker counts as out of reach then."""
LEGIBLE = 1000
"""How many messages of a queue are read to see whose they are; a longer queue may hold any task."""
FIND = "ailf_find"
"""The command of :mod:`ailf.workers.control`, which workers of other applications do not know."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be found out about one task."""

    ids: frozenset[str]
    """Its id, and those of its parts."""
    queues: frozenset[str]
    """The queues that it was sent to."""
    names: frozenset[str]
    """What it and its parts are called."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the workers and the broker say."""

    held: frozenset[str] = frozenset()
    """The ids that some worker has."""
    answered: frozenset[str] = frozenset()
    """The names of the workers that answered."""
    bound: frozenset[str] = frozenset()
    """The names of those that the broker has on its list."""
    consumed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The queues that workers take from, and which workers."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """How many messages wait in each queue."""
    waiting: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The ids asked for that wait in a queue, where its messages can be read."""
    consumers: Mapping[str, int] = field(default_factory=dict)
    """How many consumers each queue has, where the broker counts them."""
    limited: frozenset[str] = frozenset()
    """The names of tasks that workers of other applications may hold back by a rate limit."""

    def crowded(self, queues: Iterable[str], ids: frozenset[str]) -> frozenset[str]:
        """Give those of the queues in which one of the ids waits, or may wait."""
        return frozenset(queue for queue in queues if self.sizes.get(queue) and self.waiting.get(queue, ids) & ids)

    def is_short(self, queues: Iterable[str]) -> bool:
        """Whether one of the queues has more consumers than workers that answered."""
        return any(self.consumers.get(queue, 0) > len(self.consumed.get(queue, ())) for queue in queues)


def inquire(app: Any, questions: Iterable[Question]) -> Report:
    """Ask, and wait for the answers.

    Args:
        app: the Celery application.
        questions: what is to be found out.

    Returns:
        The answers to all of them.

    Raises:
        Exception: whatever the broker's driver raises where it cannot be reached.
    """
    asked = list(questions)
    ids = sorted(frozenset().union(*(question.ids for question in asked)))
    replies = _ask(app, "query_task", ids=ids)
    answered = frozenset(name for name, _reply in replies)
    held = _found(replies, ids)
    if all(question.ids & held for question in asked):
        return Report(held=held, answered=answered)
    # From here on it is known how many answers there will be.
    most = len(replies)
    found = _ask(app, FIND, most, ids=ids) if most else []
    held |= _found(found, ids)
    consumed = _consumed(_ask(app, "active_queues", most) if most else [])
    queues = set(consumed).union(*(question.queues for question in asked))
    with app.connection_for_write() as connection:
        counted = {queue: _counted(connection, queue) for queue in queues}
        waiting = {queue: _waiting(connection, queue, ids) for queue, (messages, _) in counted.items() if messages}
        bound = _bound(app, connection)
    strangers = answered - {name for name, reply in found if isinstance(reply, list)}
    return Report(
        held=held,
        answered=answered,
        bound=bound,
        consumed=consumed,
        sizes={queue: messages for queue, (messages, _consumers) in counted.items()},
        waiting={queue: found for queue, found in waiting.items() if found is not None},
        consumers={queue: consumers for queue, (_messages, consumers) in counted.items()},
        limited=_limited(app, most) if strangers else frozenset(),
    )


def _ask(app: Any, command: str, most: int | None = None, **arguments: Any) -> list[tuple[str, Any]]:
    """Give each answer, ``most`` of them at most, with the name of its worker.

    Not as Celery does, for which two workers of one name are one.
    """
    # A connection of its own each time: one that has been used knows of a reply queue that an emptied broker has not,
    # and may still hand the next answer to who asked before.
    with app.connection_for_write() as connection:
        replies = app.control.broadcast(
            command, arguments=arguments, connection=connection, reply=True, timeout=ANSWER_TIME, limit=most
        )
    return [(str(name), reply) for answer in replies or () for name, reply in answer.items()]


def _found(replies: Iterable[tuple[str, Any]], ids: Iterable[str]) -> frozenset[str]:
    """Give the ids that are in some answer; an error in the place of an answer is none."""
    return frozenset(
        known for _name, reply in replies if isinstance(reply, list | Mapping) for known in ids if known in reply
    )


def _consumed(replies: Iterable[tuple[str, Any]]) -> dict[str, frozenset[str]]:
    consumed: dict[str, set[str]] = {}
    for name, reply in replies:
        for queue in reply if isinstance(reply, list) else ():
            consumed.setdefault(str(queue["name"]), set()).add(name)
    return {queue: frozenset(names) for queue, names in consumed.items()}


def _counted(connection: Any, queue: str) -> tuple[int, int]:
    """Count the messages that wait in a queue, and its consumers."""
    # A channel of its own: a queue that is not there costs the channel.
    with closing(connection.channel()) as channel:
        try:
            declared = channel.queue_declare(queue=queue, passive=True)
        except connection.channel_errors:
            # Redis keeps no queue that is empty.
            return 0, 0
        return int(declared.message_count), int(declared.consumer_count)


def _waiting(connection: Any, queue: str, ids: Iterable[str]) -> frozenset[str] | None:
    """Give the ids that are in the messages of a queue; None where those cannot be read, or are too many."""
    channel = connection.default_channel
    if hasattr(channel, "peek"):
        messages: list[bytes] = channel.peek(queue, LEGIBLE + 1)
    elif hasattr(channel, "_q_for_pri"):
        with channel.conn_or_acquire() as client:
            lists = [channel._q_for_pri(queue, step) for step in channel.priority_steps]  # noqa: SLF001  Redis's lists
            messages = [message for name in lists for message in client.lrange(name, 0, LEGIBLE)]
    else:
        return None
    if len(messages) > LEGIBLE:
        return None
    whole = b"\n".join(messages)
    return frozenset(known for known in ids if known.encode() in whole)


def _bound(app: Any, connection: Any) -> frozenset[str]:
    """Give the workers that listen for commands, where the broker has a list of them, as those of kombu's own have."""
    exchange = app.control.mailbox.exchange.name
    table = getattr(connection.default_channel, "get_table", None)
    rows = table(exchange) if table is not None else ()
    return frozenset(str(row[-1]).removesuffix(f".{exchange}") for row in rows)


def _limited(app: Any, most: int) -> frozenset[str]:
    replies = _ask(app, "registered", most, taskinfoitems=["rate_limit"])
    return frozenset(
        str(task).partition(" ")[0]
        for _name, reply in replies
        for task in (reply if isinstance(reply, list) else ())
        if "[rate_limit=" in str(task)
    )


class Inquirer:
    """Asks on behalf of everybody who waits for tasks of one application in one event loop."""

    def __init__(self, app: Any) -> None:
        self._app = app
        # Not the threads that tasks are sent in: a burst of those must not keep the workers from being asked.
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ailf-celery-ask")
        self._batch: Batch[Question, Report] = Batch(self._fetch)

    async def ask(self, question: Question) -> Report:
        """Ask, together with whoever else asks now.

        Raises:
            BrokerError: the broker cannot be asked.
        """
        return await self._batch.get(question)

    async def _fetch(self, questions: Sequence[Question]) -> Sequence[Report | Exception]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(INQUIRY_LIMIT):
                report = await loop.run_in_executor(self._threads, inquire, self._app, questions)
        except TimeoutError:
            reason = f"it did not answer within {INQUIRY_LIMIT:g} s"
        except Exception as error:  # noqa: BLE001  a broker raises what its driver raises
            reason = str(error) or type(error).__name__
        else:
            return [report] * len(questions)
        address = shown_url(self._app.conf.broker_url)
        return [
            BrokerError(
                f"The Celery broker at {address} cannot be asked for its workers: {reason}. Start the broker, or set "
                "$CELERY_BROKER_URL to where it is."
            )
            for _question in questions
        ]


_inquirers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, Inquirer]] = WeakKeyDictionary()


def inquirer_of(app: Any) -> Inquirer:
    """Give the inquirer of an application for the running event loop, which everybody there shares."""
    inquirers = _inquirers.setdefault(asyncio.get_running_loop(), {})
    found = inquirers.get(id(app))
    if found is None:
        found = inquirers[id(app)] = Inquirer(app)
    return found

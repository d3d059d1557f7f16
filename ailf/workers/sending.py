"""Sending a task: where it went, what was wrong with the call, and what happens where nothing is sent at all."""

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from traceback import format_exception
from typing import Any

from celery.exceptions import ImproperlyConfigured
from celery.result import EagerResult
from celery.signals import before_task_publish
from kombu.exceptions import EncodeError, OperationalError, SerializerNotInstalled

from ailf.errors import AilfError, BrokerError, InvalidArgumentError, InvalidTypeError, WorkerError
from ailf.workers.address import shown_url
from ailf.workers.raised import read_raised
from ailf.workers.reply import NOTHING, Reply, Stage, read_reply

MOST_STUMBLES = 3
"""How often a task is sent again because kombu stumbled over a connection that was lost."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a message is sent to."""

    exchange: str
    """The exchange's name; "" for that which gives a message to the queue called like its routing key."""
    routing_key: str
    declared: Mapping[str, str]
    """The queues that are declared with it, and by which routing key the exchange gives messages to each."""


_published: ContextVar[list[Address] | None] = ContextVar("ailf_published", default=None)
"""Where the messages of the task went that is being sent."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A task that is on its way."""

    ids: frozenset[str]
    """Its id, and those of its parts."""
    names: frozenset[str]
    """What it and its parts are called."""
    queues: frozenset[str]
    """The queues that its messages went to."""
    anywhere: bool
    """Whether messages of it may be in other queues as well."""


@before_task_publish.connect(weak=False)  # type: ignore[untyped-decorator]  # celery has no types
def _note_queue(exchange: Any = None, routing_key: str | None = None, declare: Any = None, **_signal: Any) -> None:
    """Take note of where a message goes, after all that Celery and its user have had to say on that."""
    published = _published.get()
    if published is None:
        return
    declared = {str(queue.name): str(queue.routing_key) for queue in declare or () if hasattr(queue, "name")}
    published.append(Address(str(getattr(exchange, "name", exchange) or ""), str(routing_key or ""), declared))


def queues_of(address: Address, configured: Mapping[str, str]) -> tuple[frozenset[str], bool]:
    """Say in which queues a message may be.

    Args:
        address: what it was sent to.
        configured: the queues that the application knows, and the exchange of each.

    Returns:
        Those that are known, and whether it may be in others as well: an exchange gives it to whichever queues are
        bound there, by other programs too, and the queue that is declared with it need not be one of them.
    """
    if not address.exchange:
        return frozenset({address.routing_key}), not address.routing_key
    exact = frozenset(name for name, key in address.declared.items() if key == address.routing_key)
    if exact:
        return exact, False
    bound = frozenset(name for name, exchange in configured.items() if exchange == address.exchange)
    return bound | frozenset(address.declared), True


def freeze(signature: Any, celery_id: str) -> Any:
    """Give a copy of the signature an id.

    Args:
        signature: a task, a chain or a chord.
        celery_id: the id of its result.

    Returns:
        The copy.

    Raises:
        InvalidArgumentError: it is a group.
    """
    frozen = signature.clone()
    frozen.options.pop("task_id", None)
    # The results of several tasks can be joined, the result of one cannot.
    if hasattr(frozen.freeze(celery_id), "join"):
        raise InvalidArgumentError(
            "A group has a result for each of its tasks: run them one by one with asyncio.gather, or make it a "
            "chord, with a task that takes all the results."
        )
    return frozen


def send(signature: Any) -> Sent:
    """Send a task; blocks.

    Args:
        signature: the task, a chain or a chord, with its ids.

    Returns:
        Where it went.

    Raises:
        InvalidTypeError: the task does not take these arguments, or a message cannot hold them.
        InvalidArgumentError: there is no such queue, or an option has a value that Celery does not take.
        BrokerError: the broker cannot be reached.
        WorkerError: it could not be sent for another reason.
    """
    published: list[Address] = []
    token = _published.set(published)
    try:
        result = _applied(signature, published)
    except Exception as error:
        raise named(error, signature) from error
    finally:
        _published.reset(token)
    ids = frozenset(_ids(result))
    configured = {str(queue.name): str(queue.exchange.name) for queue in signature.app.amqp.queues.values()}
    reached = [queues_of(address, configured) for address in published]
    return Sent(
        ids=ids,
        names=frozenset(_names(signature)),
        queues=frozenset().union(*(queues for queues, _anywhere in reached)),
        anywhere=len(ids) > 1 or not reached or any(anywhere for _queues, anywhere in reached),
    )


def _applied(signature: Any, published: list[Address]) -> Any:
    for _attempt in range(MOST_STUMBLES):
        try:
            return signature.apply_async()
        except AttributeError as error:
            # What has several messages may have sent some of them.
            if not _is_a_stumble(error) or len(published) > 1:
                raise
            published.clear()
    return signature.apply_async()


def run_here(signature: Any) -> Reply:
    """Run a task in this process, as ``task_always_eager`` asks for; blocks.

    Raises:
        InvalidTypeError: the task does not take these arguments, or a message could not hold them.
        InvalidArgumentError: the task is not one of this process.
    """
    app = signature.app
    missing = sorted(name for name in _names(signature) if name not in app.tasks)
    if missing:
        raise InvalidArgumentError(
            f"task_always_eager runs tasks of this process alone: {', '.join(missing)} is none. Import the module that "
            "has it, or turn task_always_eager off."
        )
    try:
        result = signature.apply_async()
    except Exception as error:
        if not _came_from_the_task(error):
            raise named(error, signature) from error
        return _raised(error, "".join(format_exception(error)))
    if not isinstance(result, EagerResult):
        return NOTHING
    if result.state == "SUCCESS":
        return Reply(Stage.SUCCEEDED, value=result.result)
    if isinstance(result.result, BaseException) and result.state != "IGNORED":
        stored = {"status": result.state, "result": result.result, "traceback": result.traceback}
        reply = read_reply(stored)
        return reply if reply.stage in {Stage.FAILED, Stage.REVOKED} else _raised(result.result, result.traceback)
    return NOTHING


def named(error: Exception, signature: Any) -> AilfError:
    """Say what kept a task from being sent."""
    task = signature.task
    if isinstance(error, AilfError):
        return error
    if isinstance(error, EncodeError):
        return InvalidTypeError(
            f"The Celery task {task} cannot be sent with these arguments: {error}. Give it what its serializer "
            f"({signature.app.conf.task_serializer}) can hold."
        )
    if _is_of_the_call(error):
        return InvalidArgumentError(f"The Celery task {task} cannot be sent like that: {error}.")
    if _is_of_the_broker(error, signature.app):
        return BrokerError(
            f"The Celery task {task} could not be sent to the broker at {shown_url(signature.app.conf.broker_url)}: "
            f"{str(error) or type(error).__name__}. Start the broker, or set $CELERY_BROKER_URL to where it is."
        )
    if isinstance(error, TypeError):
        return InvalidTypeError(f"The Celery task {task} cannot be called like that: {error}.")
    return WorkerError(f"The Celery task {task} could not be sent: {type(error).__qualname__}: {error}.")


def _is_of_the_call(error: Exception) -> bool:
    """Whether an option has a value that is none, such as an unknown serializer."""
    # A name that is looked up in vain is among what kombu takes for a broken connection to Redis.
    cause = error.__cause__ if isinstance(error, OperationalError) else None
    if isinstance(cause, KeyError) and cause.args and isinstance(cause.args[0], str):
        return True
    kinds = (ValueError, LookupError, ImproperlyConfigured, SerializerNotInstalled)
    return isinstance(error, kinds) and not isinstance(error, OSError)


def _is_of_the_broker(error: Exception, app: Any) -> bool:
    if _is_a_stumble(error):
        return True
    connection = app.connection_for_write()
    return isinstance(error, (OperationalError, OSError, *connection.connection_errors, *connection.channel_errors))


def _is_a_stumble(error: Exception) -> bool:
    """Whether kombu went on with a channel whose connection was lost, which has nothing any more."""
    frame = error.__traceback__
    module = ""
    while frame is not None:
        module = str(frame.tb_frame.f_globals.get("__name__"))
        frame = frame.tb_next
    return isinstance(error, AttributeError) and module.startswith("kombu.transport.")


def _came_from_the_task(error: BaseException) -> bool:
    """Whether it was raised while the task ran, not while it was called."""
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_globals.get("__name__") == "celery.app.trace":
            return True
        frame = frame.tb_next
    return False


def _raised(error: BaseException, traceback: str | None) -> Reply:
    error_type, text = read_raised(error, traceback)
    return Reply(Stage.FAILED, error=text, error_type=error_type, traceback=traceback, raised=error)


def _ids(result: Any) -> Iterator[str]:
    """Give the ids of a result, of those in it, and of those before it."""
    while result is not None:
        yield str(result.id)
        for inner in getattr(result, "results", None) or ():
            yield from _ids(inner)
        result = getattr(result, "parent", None)


def _names(signature: Any) -> Iterator[str]:
    """Give the names of the tasks in a signature."""
    parts = getattr(signature, "tasks", None) or []
    # The header of a chord is a list of tasks, or the one group that they make up.
    parts = [parts] if isinstance(parts, Mapping) else list(parts)
    if getattr(signature, "body", None) is not None:
        parts.append(signature.body)
    if not parts:
        yield str(signature["task"])
    for part in parts:
        yield from _names(part)

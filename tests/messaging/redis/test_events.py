"""The events of a journal, over a real server to another subscriber."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from ailf.async_tasks import EventKind, TaskEvent, TaskManager, current_task
from ailf.errors import InvalidArgumentError, ManagerError
from ailf.messaging.redis import AsyncRedisClient, EventGap, RedisPubSub, TaskEventPublisher, TaskEventSubscriber
from ailf.messaging.redis.events import Envelope, from_json, gap_between, to_json
from tests.conftest import until
from tests.redis_server import PrivateServer


async def work() -> str:
    """Report something, and end."""
    current_task().update_progress(50, "half")
    return "done"


@pytest.fixture
async def far_pubsub(redis_url: str) -> AsyncIterator[RedisPubSub]:
    """The pub/sub of another process, as far as Redis is concerned."""
    async with AsyncRedisClient(redis_url) as client, RedisPubSub(client) as opened:
        yield opened


async def take(subscriber: TaskEventSubscriber, count: int) -> list[TaskEvent]:
    """Take so many events."""
    events: list[TaskEvent] = []
    async with asyncio.timeout(30):
        async for event in subscriber:
            events.append(event)
            if len(events) == count:
                break
    return events


async def test_events_arrive_as_the_journal_has_them(
    manager: TaskManager, pubsub: RedisPubSub, far_pubsub: RedisPubSub, channel: str
) -> None:
    """Every one, in order, equal to what the journal gives."""
    async with TaskEventSubscriber(far_pubsub, channel) as events, TaskEventPublisher(manager, pubsub, channel):
        ids = [await manager.submit(work()) for _ in range(5)]
        for task_id in ids:
            await manager.result(task_id)
        received = await take(events, 20)
    journaled = [event for task_id in ids for event in manager.get_task_events(task_id)]
    assert received == sorted(journaled, key=lambda event: event.seq)
    assert events.gaps == 0


async def test_the_journal_is_replayed_from_where_one_stopped(
    manager: TaskManager, pubsub: RedisPubSub, far_pubsub: RedisPubSub, channel: str
) -> None:
    """A publisher that follows another goes on after the last event of that."""
    async with TaskEventSubscriber(far_pubsub, channel) as events:
        async with TaskEventPublisher(manager, pubsub, channel, after=0) as first:
            await manager.result(await manager.submit(work()))
            early = await take(events, 4)
        await manager.result(await manager.submit(work()))
        async with TaskEventPublisher(manager, pubsub, channel, after=first.last_seq):
            late = await take(events, 4)
    assert [event.seq for event in early + late] == list(range(1, 9))
    assert events.gaps == 0


async def test_events_wait_for_a_server_that_is_away(manager: TaskManager, private_server: PrivateServer) -> None:
    """Nothing that happened meanwhile is left out, and no task is disturbed."""
    url = private_server.url
    async with (
        AsyncRedisClient(url) as client,
        RedisPubSub(client) as pubsub,
        TaskEventPublisher(manager, pubsub, after=0) as publisher,
    ):
        await manager.result(await manager.submit(work()))
        await until(lambda: publisher.last_seq == 4)
        private_server.stop()
        task_id = await manager.submit(work())
        assert await manager.result(task_id) == "done"
        private_server.start()
        async with AsyncRedisClient(url) as far, TaskEventSubscriber(RedisPubSub(far)) as events:
            await manager.result(await manager.submit(work()))
            await until(lambda: publisher.last_seq == 12)
            # The publisher may have sent some before this subscriber was there; after that none is missing.
            received = [await anext(events)]
            while received[-1].seq < 12:
                received.append(await anext(events))
    assert [event.seq for event in received] == list(range(received[0].seq, 13))


async def test_what_was_missed_is_told(pubsub: RedisPubSub, channel: str) -> None:
    """By a gap between the numbers that belongs to no event sent; a repeated one is yielded once."""
    told: list[EventGap] = []
    async with TaskEventSubscriber(pubsub, channel, on_gap=told.append) as events:
        for seq, previous in [(3, None), (4, 3), (4, 3), (9, 4), (12, 11), (13, 12)]:
            await pubsub.publish(channel, to_json(Envelope(event_of(seq), previous)))
        received = await take(events, 5)
    assert [event.seq for event in received] == [3, 4, 9, 12, 13]
    assert told == [EventGap(after=9, before=12)]
    assert events.gaps == 1


async def test_other_messages_on_the_channel_are_passed_over(
    pubsub: RedisPubSub, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And logged, so that a mistaken channel shows."""
    async with TaskEventSubscriber(pubsub, channel) as events:
        await pubsub.publish(channel, "no event")
        await pubsub.publish(channel, to_json(Envelope(event_of(1), None)))
        assert [event.seq for event in await take(events, 1)] == [1]
    assert "is no event of a task" in caplog.text


async def test_the_iteration_ends_with_the_subscription(pubsub: RedisPubSub, channel: str) -> None:
    """What waits is still yielded; one that was never entered says so."""
    subscriber = TaskEventSubscriber(pubsub, channel)
    with pytest.raises(ManagerError, match="async with TaskEventSubscriber"):
        await anext(subscriber)
    async with subscriber as events:
        await pubsub.publish(channel, to_json(Envelope(event_of(1), None)))
        await until(lambda: pubsub.subscriptions()[0].handled)
    assert [event.seq async for event in events] == [1]


async def test_a_publisher_that_cannot_go_on_says_so(
    pubsub: RedisPubSub, channel: str, caplog: pytest.LogCaptureFixture, manager: TaskManager
) -> None:
    """A manager that was never started has nothing to watch: the log has the reason."""
    async with TaskEventPublisher(TaskManager(), pubsub, channel):
        await until(lambda: "publisher of task events stopped" in caplog.text)


def event_of(seq: int) -> TaskEvent:
    """An event with this number."""
    return TaskEvent(seq, "t", datetime(2026, 11, 24, 3, 0, tzinfo=UTC), EventKind.PROGRESS, 50, "half")


@given(
    st.builds(
        TaskEvent,
        seq=st.integers(min_value=1),
        task_id=st.text(min_size=1),
        at=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=2))])),
        kind=st.sampled_from(EventKind),
        progress=st.none() | st.floats(min_value=0, max_value=100),
        message=st.none() | st.text(),
    ),
    st.none() | st.integers(min_value=0),
)
def test_an_event_survives_the_wire(event: TaskEvent, previous: int | None) -> None:
    """Whatever its texts are made of."""
    assert from_json(to_json(Envelope(event, previous))) == Envelope(event, previous)


@given(st.text() | st.dictionaries(st.sampled_from(["seq", "task_id", "at", "kind"]), st.integers()).map(json.dumps))
def test_what_is_no_event_is_refused(text: str) -> None:
    """With an error of ours, whatever it is."""
    with pytest.raises(InvalidArgumentError):
        from_json(text)


@pytest.mark.parametrize(
    ("last", "seq", "previous", "gap"),
    [
        (None, 5, None, None),
        (None, 5, 4, None),
        (4, 5, 4, None),
        (4, 7, 4, None),  # 5 and 6 were deleted before they were sent
        (4, 7, 6, EventGap(4, 7)),
        (4, 5, None, None),
        (4, 6, None, EventGap(4, 6)),
        (4, 4, 3, None),
        (4, 3, 2, None),
    ],
)
def test_a_gap_is_what_was_sent_and_not_received(
    last: int | None, seq: int, previous: int | None, gap: EventGap | None
) -> None:
    """Numbers that nobody sent are none."""
    assert gap_between(last, Envelope(event_of(seq), previous)) == gap


async def test_a_server_that_is_busy_or_forbids_is_waited_for(
    manager: TaskManager, private_server: PrivateServer, caplog: pytest.LogCaptureFixture
) -> None:
    """That is said, once, and nothing is left out when it has passed."""
    admin = redis.Redis.from_url(private_server.url)
    acl = partial(admin.execute_command, "ACL", "SETUSER", "bob")
    acl("on", ">pw", "~*", "&*", "+@all")
    async with (
        AsyncRedisClient(private_server.url.replace("//", "//bob:pw@")) as client,
        RedisPubSub(client) as pubsub,
        TaskEventPublisher(manager, pubsub) as publisher,
        AsyncRedisClient(private_server.url) as far,
        TaskEventSubscriber(RedisPubSub(far)) as events,
    ):
        await manager.result(await manager.submit(work()))
        await until(lambda: publisher.last_seq == 4 and publisher.is_publishing)
        acl("-publish")
        await manager.result(await manager.submit(work()))
        await until(lambda: publisher.trouble and not publisher.is_publishing)
        assert "ACL" in str(publisher.trouble)
        acl("+publish")
        await until(lambda: publisher.last_seq == 8 and publisher.is_publishing)
        assert [event.seq for event in await take(events, 8)] == list(range(1, 9))
        assert events.gaps == 0
    assert caplog.text.count("Events wait for a trouble to pass") == 1


async def test_a_text_that_is_too_long_is_cut_short_and_said(
    manager: TaskManager, private_server: PrivateServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The event is there, and so are those after it."""
    redis.Redis.from_url(private_server.url).config_set("proto-max-bulk-len", 1024 * 1024)
    async with (
        AsyncRedisClient(private_server.url) as client,
        RedisPubSub(client) as pubsub,
        TaskEventSubscriber(pubsub) as events,
        TaskEventPublisher(manager, pubsub),
    ):

        async def verbose() -> None:
            raise ValueError("é" * 900_000)

        await manager.wait_for_task(await manager.submit(verbose()))
        await manager.wait_for_task(await manager.submit(asyncio.sleep(0)))
        received = await take(events, 6)
    assert [event.seq for event in received] == [1, 2, 3, 4, 5, 6]
    assert "characters more in the journal" in str(received[2].message)
    assert "Event 3 was too long for Redis" in caplog.text


async def test_a_publisher_that_ended_begins_again(
    pubsub: RedisPubSub, far_pubsub: RedisPubSub, channel: str, journal: Path
) -> None:
    """With its manager, after the last event that was sent."""
    manager = TaskManager(journal)
    async with TaskEventSubscriber(far_pubsub, channel) as events:
        publisher = TaskEventPublisher(manager, pubsub, channel)
        await publisher.start()
        await until(lambda: publisher.trouble)
        assert not publisher.is_publishing
        async with manager:
            await publisher.start()
            await manager.result(await manager.submit(work()))
            assert [event.seq for event in await take(events, 4)] == [1, 2, 3, 4]
            await until(lambda: publisher.is_publishing)
            await publisher.stop()
            await until(lambda: not publisher.is_publishing)
            await manager.result(await manager.submit(work()))
            await publisher.start()
            assert [event.seq for event in await take(events, 4)] == [5, 6, 7, 8]
            await publisher.stop()

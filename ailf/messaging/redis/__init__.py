"""Redis messaging for asyncio: a client, publish/subscribe that outlives its connection, and events of tasks.

Needs the extra ``redis``: ``pip install "ailf[redis]"``.
"""

from ailf.errors import MissingExtraError

try:
    import redis.asyncio as _redis  # noqa: F401  asked for here to say what is missing
except ModuleNotFoundError as missing:
    raise MissingExtraError(
        'ailf.messaging.redis needs the package redis: install it with pip install "ailf[redis]".',
        name=missing.name,
    ) from missing

from ailf.messaging.redis.client import AsyncRedisClient
from ailf.messaging.redis.delivery import SubscriptionInfo
from ailf.messaging.redis.events import EventGap
from ailf.messaging.redis.listener import Reconnection
from ailf.messaging.redis.publisher import TaskEventPublisher
from ailf.messaging.redis.pubsub import RedisPubSub
from ailf.messaging.redis.subscriber import TaskEventSubscriber

__all__ = [
    "AsyncRedisClient",
    "EventGap",
    "Reconnection",
    "RedisPubSub",
    "SubscriptionInfo",
    "TaskEventPublisher",
    "TaskEventSubscriber",
]

"""Short variants of the campaigns."""

from pathlib import Path

from tests.campaigns import outage, pubsub_rate
from tests.redis_server import PrivateServer


async def test_delivery_is_in_order_bounded_and_not_slow(redis_url: str) -> None:
    """Beside redis-py's own loop, with a handler on the channel that cannot keep up."""
    found = await pubsub_rate.campaign(redis_url, 15_000)
    assert found.in_order
    assert found.slow_in_order
    assert found.slow.handled + found.slow.waiting + found.slow.dropped == 15_000
    assert found.slow.dropped > 0
    assert found.most_waiting <= 2 * pubsub_rate.BACKLOG
    assert found.rate >= 0.5 * found.plain_rate


async def test_an_agent_outlives_its_server(private_server: PrivateServer, journal: Path) -> None:
    """Every task that was under way ends as it would have, and the next request is served."""
    found = await outage.campaign(private_server, journal, 1.0)
    assert [info.status for info in found.tasks] == ["completed"] * 4
    assert all(info.result["status"] == "completed" for info in found.tasks)

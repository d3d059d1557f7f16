"""huey on SQLite, its consumer in the same process."""

import logging
import time

from common import POLL_SECONDS, arguments, measure, say, variant
from huey import SqliteHuey
from huey.consumer import Consumer


def main() -> None:
    """Run it."""
    folder, tasks, samples = arguments()
    logging.disable(logging.CRITICAL)
    huey = SqliteHuey(filename=str(folder / "huey.db"), fsync=None if variant() == "full" else False)

    @huey.task()
    def noop() -> int:
        """Give a result: huey keeps none of None."""
        return 1

    consumer = Consumer(
        huey, workers=1, periodic=False, initial_delay=POLL_SECONDS, max_delay=POLL_SECONDS, check_worker_health=False
    )
    consumer.start()
    seconds, latencies = measure(
        noop, lambda result: result.get(blocking=True, backoff=1.0, max_delay=POLL_SECONDS), tasks, samples
    )
    consumer.stop(graceful=True)
    time.sleep(0.1)
    say(seconds, latencies, None)


if __name__ == "__main__":
    main()

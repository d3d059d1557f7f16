"""dura, its worker in a thread."""

import threading

from common import POLL_SECONDS, arguments, measure, poll, say
from dura import DurableEngine, run_worker


def main() -> None:
    """Run it."""
    folder, tasks, samples = arguments()
    engine = DurableEngine(folder / "engine.db")
    stop = threading.Event()
    worker = threading.Thread(
        target=run_worker,
        args=(engine,),
        kwargs={
            "handlers": {"noop": lambda _engine, _task: None},
            "worker_id": "worker",
            "stop_event": stop,
            "poll_interval": POLL_SECONDS,
        },
    )
    worker.start()
    seconds, latencies = measure(
        lambda: engine.spawn_task(name="noop", params={}),
        lambda task: poll(lambda: engine.get_task(task.task_id).state == "completed"),
        tasks,
        samples,
    )
    stop.set()
    worker.join()
    # It counts tasks by state and lists failures; completed tasks it does not list.
    say(seconds, latencies, None)


if __name__ == "__main__":
    main()

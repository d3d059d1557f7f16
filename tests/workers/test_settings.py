"""How the environment chooses the broker and the results."""

import sqlite3
import stat
from pathlib import Path

import pytest

from ailf.errors import InvalidArgumentError
from ailf.workers.address import shown_url
from ailf.workers.settings import TIME_LIMIT, settings


def test_nothing_needs_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Queue and results are in a folder of the working directory, for its owner alone, made when needed."""
    monkeypatch.chdir(tmp_path)
    chosen = settings({})
    assert chosen["broker_url"].startswith("spool://")
    assert chosen["broker_transport_options"]["folder"] == str(tmp_path / "ailf_celery")
    assert chosen["result_backend"] == f"db+sqlite:///{tmp_path}/ailf_celery/results.db"
    assert list(tmp_path.iterdir()) == []
    connection: sqlite3.Connection = chosen["database_engine_options"]["creator"]()
    connection.close()
    assert stat.S_IMODE((tmp_path / "ailf_celery").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "ailf_celery" / "results.db").stat().st_mode) == 0o600


def test_one_line_switches_to_redis() -> None:
    """It is the result back-end as well, and gives a task away only when it cannot be running any more."""
    chosen = settings({"CELERY_BROKER_URL": "redis://queue:6379/1"})
    assert chosen["broker_url"] == chosen["result_backend"] == "redis://queue:6379/1"
    assert chosen["broker_transport_options"]["visibility_timeout"] > TIME_LIMIT


def test_another_broker_needs_a_result_back_end() -> None:
    """The error says which there are."""
    with pytest.raises(InvalidArgumentError, match=r"\$CELERY_RESULT_BACKEND as well"):
        settings({"CELERY_BROKER_URL": "amqp://queue"})
    chosen = settings({"CELERY_BROKER_URL": "amqp://queue", "CELERY_RESULT_BACKEND": "redis://results"})
    assert (chosen["broker_url"], chosen["result_backend"]) == ("amqp://queue", "redis://results")


def test_a_result_back_end_alone_is_taken(tmp_path: Path) -> None:
    """With the queue still in the folder."""
    chosen = settings({"AILF_CELERY_FOLDER": str(tmp_path), "CELERY_RESULT_BACKEND": "redis://results"})
    assert chosen["broker_url"].startswith("spool://")
    assert chosen["result_backend"] == "redis://results"
    assert chosen["database_engine_options"] == {}


def test_what_every_application_of_ours_has() -> None:
    """JSON alone, UTC, late acknowledgement, limits, expiry."""
    chosen = settings({})
    assert chosen["accept_content"] == chosen["result_accept_content"] == ["json"]
    assert chosen["task_serializer"] == chosen["result_serializer"] == "json"
    assert chosen["timezone"] == "UTC"
    assert chosen["task_acks_late"] is chosen["task_reject_on_worker_lost"] is True
    assert 0 < chosen["task_soft_time_limit"] < chosen["task_time_limit"]
    assert chosen["result_expires"] > 0


def test_a_server_that_is_away_for_a_moment_costs_no_work() -> None:
    """What runs is not stopped, what ended is stored later, and what is given out again is not run again."""
    chosen = settings({})
    assert chosen["worker_cancel_long_running_tasks_on_connection_loss"] is False
    assert chosen["worker_deduplicate_successful_tasks"] is True
    assert chosen["result_backend_always_retry"] is True


@pytest.mark.parametrize(
    ("given", "spelled"), [("none", "CERT_NONE"), ("CERT_NONE", "CERT_NONE"), ("required", "CERT_REQUIRED")]
)
def test_both_spellings_of_a_tls_option_are_taken(given: str, spelled: str) -> None:
    """Redis-py's, and Celery's; a certificate is verified where nothing is said."""
    url = f"rediss://:p%23w@queue:6379/1?ssl_cert_reqs={given}&ssl_ca_certs=%2Fca.pem"
    chosen = settings({"CELERY_BROKER_URL": url})["broker_url"]
    assert chosen == f"rediss://:p%23w@queue:6379/1?ssl_cert_reqs={spelled}&ssl_ca_certs=%2Fca.pem"
    plain = settings({"CELERY_BROKER_URL": "rediss://queue"})["result_backend"]
    assert plain == "rediss://queue?ssl_cert_reqs=CERT_REQUIRED"
    with pytest.raises(InvalidArgumentError, match="CERT_OPTIONAL"):
        settings({"CELERY_BROKER_URL": "rediss://queue?ssl_cert_reqs=perhaps"})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://bob:pw@queue:6379/0", "redis://bob:***@queue:6379/0"),
        ("amqp://bob:p%23w@queue//;amqp://bob:pw@other//", "amqp://bob:***@queue//;amqp://bob:***@other//"),
        (["redis://:pw@a", "redis://:pw@b"], "redis://:***@a;redis://:***@b"),
        ("redis://bob:p#w@queue", "***"),
        ("redis://bob:12/3@queue", "***"),
        ("redis://queue/0?password=pw", "redis://queue/0"),
        (None, "nowhere"),
    ],
)
def test_an_address_is_shown_without_its_passwords(url: object, shown: str) -> None:
    """Not at all where it does not parse."""
    assert shown_url(url) == shown

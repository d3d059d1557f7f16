"""Short variants of the campaigns."""

import shutil

import pytest

from tests.campaigns import rabbitmq, soak


async def test_a_short_soak_leaves_nothing_untold() -> None:
    """Whatever goes wrong: every loss is told, nothing hangs, and no connection or task is left behind."""
    found = await soak.campaign(5, 3)
    assert sum(found.faults.values()) >= 1
    assert found.outcomes["result"] > 0
    assert (found.untold, found.wrong, found.connections, found.tasks) == ([], [], [], [])


def test_without_a_rabbitmq_its_campaign_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And does nothing."""
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    rabbitmq.main()
    assert "apt install rabbitmq-server" in capsys.readouterr().out

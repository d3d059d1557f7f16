"""Whether a task can still end."""

import itertools
from typing import Any

import pytest

from ailf.workers.liveness import Signs, Verdict, judge

NOTHING: dict[str, Any] = {
    "answered": True,
    "silent": False,
    "held": False,
    "waiting": False,
    "taken": False,
    "process_alive": None,
    "owner_answered": False,
}


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({}, Verdict.MISSING),
        ({"held": True}, Verdict.ALIVE),
        ({"waiting": True, "taken": True}, Verdict.ALIVE),
        ({"waiting": True}, Verdict.UNCERTAIN),
        ({"silent": True}, Verdict.UNCERTAIN),
        ({"process_alive": False}, Verdict.MISSING),
        ({"process_alive": True}, Verdict.ALIVE),
        ({"process_alive": True, "owner_answered": True}, Verdict.MISSING),
        ({"answered": False, "waiting": True}, Verdict.UNCERTAIN),
        ({"answered": False}, Verdict.UNCERTAIN),
        ({"answered": False, "process_alive": False}, Verdict.MISSING),
        ({"answered": False, "process_alive": False, "waiting": True}, Verdict.UNCERTAIN),
        ({"answered": False, "process_alive": True}, Verdict.ALIVE),
    ],
)
def test_the_signs_are_weighed(changed: dict[str, bool], verdict: Verdict) -> None:
    """Who answers, who does not, who has it, what waits, whether its process lives."""
    assert judge(Signs(**{**NOTHING, **changed})) is verdict


def test_a_task_that_somebody_has_is_never_given_up() -> None:
    """Whatever else is seen; and one that a worker may have, which has not answered, is not given up at once."""
    for answered, waiting, taken, alive in itertools.product((False, True), (False, True), (False, True), (None, True)):
        signs = {**NOTHING, "answered": answered, "waiting": waiting, "taken": taken, "process_alive": alive}
        assert judge(Signs(**{**signs, "held": True})) is Verdict.ALIVE
        assert judge(Signs(**{**signs, "silent": True})) is not Verdict.MISSING

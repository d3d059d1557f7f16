"""Whether a task can still end."""

import itertools

import pytest

from ailf.workers.liveness import Signs, Verdict, is_held, judge


@pytest.mark.parametrize(
    ("signs", "verdict"),
    [
        (Signs(workers=1, held=True, queued=0, process_alive=None), Verdict.ALIVE),
        (Signs(workers=1, held=False, queued=2, process_alive=None), Verdict.ALIVE),
        (Signs(workers=1, held=False, queued=None, process_alive=None), Verdict.ALIVE),
        (Signs(workers=1, held=False, queued=0, process_alive=None), Verdict.MISSING),
        (Signs(workers=1, held=False, queued=0, process_alive=False), Verdict.MISSING),
        (Signs(workers=0, held=False, queued=3, process_alive=None), Verdict.UNCERTAIN),
        (Signs(workers=0, held=False, queued=None, process_alive=None), Verdict.UNCERTAIN),
        (Signs(workers=0, held=False, queued=0, process_alive=False), Verdict.MISSING),
        (Signs(workers=0, held=False, queued=0, process_alive=True), Verdict.ALIVE),
    ],
)
def test_the_signs_are_weighed(signs: Signs, verdict: Verdict) -> None:
    """Who answers, who has it, what waits, whether its process lives."""
    assert judge(signs) is verdict


def test_a_task_that_somebody_has_is_never_given_up() -> None:
    """Whatever else is seen."""
    for workers, queued, alive in itertools.product((0, 1), (None, 0, 1), (None, True, False)):
        assert judge(Signs(workers, held=True, queued=queued, process_alive=alive)) is Verdict.ALIVE
        assert judge(Signs(workers, held=False, queued=queued, process_alive=True)) is Verdict.ALIVE


def test_a_worker_that_has_it_is_found_among_the_answers() -> None:
    """Other answers, and errors in their place, are none."""
    assert is_held({"a": {}, "b": {"id": ["active", {}]}}, "id")
    assert not is_held({"a": {}, "b": {"other": []}, "c": {"error": "x"}, "d": "odd"}, "id")
    assert not is_held(None, "id")

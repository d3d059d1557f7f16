"""The ids of tasks: UUIDs of version 7."""

import os
import time
import uuid

import pytest

from ailf.async_tasks.ids import new_id


def test_an_id_is_a_uuid_of_version_7() -> None:
    """Version, variant and spelling are those of RFC 9562, and the time of its making is at its front."""
    before = time.time_ns() // 1_000_000
    ids = [new_id() for _ in range(200)]
    after = time.time_ns() // 1_000_000
    for one in ids:
        parsed = uuid.UUID(one)
        assert str(parsed) == one
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
        assert before <= parsed.int >> 80 <= after


def test_ids_differ_in_every_random_digit() -> None:
    """Ids of the same moment differ, and none of their random digits stands still."""
    ids = [new_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    for place in range(13, 36):
        digits = {one[place] for one in ids}
        assert len(digits) == (1 if place in {13, 14, 18, 23} else 4 if place == 19 else 16)


def test_ids_rise_with_time() -> None:
    """An id of a later millisecond sorts behind an earlier one."""
    earlier = new_id()
    while time.time_ns() // 1_000_000 <= uuid.UUID(earlier).int >> 80:
        pass
    assert earlier < new_id()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_makes_other_ids() -> None:
    """Parent and child go on with random numbers of their own."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(writer, new_id().encode())
        os._exit(0)
    os.close(writer)
    mine = new_id()
    with os.fdopen(reader, "rb") as pipe:
        theirs = pipe.read().decode()
    os.waitpid(pid, 0)
    assert theirs[15:] != mine[15:]
    assert uuid.UUID(theirs).version == 7

"""``JournaledTasks`` says what is wrong with what it is given."""

from typing import Any

import pytest

from ailf.async_tasks import TaskManager
from ailf.errors import InvalidArgumentError, InvalidTypeError
from ailf.mcp import JournaledTasks


@pytest.mark.parametrize("wrong", ["slow_tool", 7, None, [1], {"a", 2}])
def test_tools_are_names(wrong: Any) -> None:
    """A text alone is a mistake: it would be as many tools as it has letters."""
    with pytest.raises(InvalidTypeError, match="slow_tool"):
        JournaledTasks(TaskManager(":memory:"), tools=wrong)


def test_other_arguments_are_checked_as_well() -> None:
    """No tools, no manager, no time."""
    with pytest.raises(InvalidArgumentError, match="tools"):
        JournaledTasks(TaskManager(":memory:"), tools=())
    with pytest.raises(InvalidTypeError, match="TaskManager"):
        JournaledTasks("tasks.db", tools={"a"})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="poll_interval"):
        JournaledTasks(TaskManager(":memory:"), tools={"a"}, poll_interval=0)

"""The views of the page: each asks the journal, and says what its template shows; none knows HTML or HTTP."""

from ailf.web.views.asking import Answer, Asking, View
from ailf.web.views.failures import FAILURES
from ailf.web.views.names import NAMES
from ailf.web.views.now import NOW
from ailf.web.views.task import TASK
from ailf.web.views.tasks import TASKS
from ailf.web.views.timeline import TIMELINE

VIEWS = (NOW, TASKS, FAILURES, TIMELINE, NAMES, TASK)
"""In the order of the navigation, which has all but the last."""

__all__ = ["VIEWS", "Answer", "Asking", "View"]

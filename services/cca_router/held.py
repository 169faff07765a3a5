"""Tasks that are held although workers live: which are next when a lane has room, or costs and limits have changed."""

from collections import OrderedDict
from itertools import islice

from cca.contracts.task import PRIORITIES, TaskSubmitted
from cca_router.facts import AUTO

Group = tuple[str, str | None, str]
"""Role, asked lane, priority."""


class Held:
    """Remembers them in order of arrival. Who is asked to try again goes to the end, and leaves when it was routed."""

    def __init__(self) -> None:
        self._groups: dict[Group, OrderedDict[str, None]] = {}
        self._all: OrderedDict[str, Group] = OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, task: str, spec: TaskSubmitted) -> None:
        """A task is held; one that is known keeps its place."""
        group = (spec.role, spec.lane, spec.priority)
        if self._all.setdefault(task, group) is group:
            self._groups.setdefault(group, OrderedDict())[task] = None

    def discard(self, task: str) -> None:
        """A task is not held any more; it need not be known."""
        group = self._all.pop(task, None)
        if group is not None:
            del self._groups[group][task]
            if not self._groups[group]:
                del self._groups[group]

    def next_for(self, role: str, lane: str, count: int) -> list[str]:
        """The next tasks that might go to a lane, at most `count`, the most urgent first."""
        found: list[str] = []
        for priority in PRIORITIES:
            for group in ((role, lane), (role, None), (AUTO, lane), (AUTO, None)):
                found += islice(self._groups.get((*group, priority), ()), count - len(found))
                if len(found) >= count:
                    break
        return self._to_the_end(found)

    def next(self, count: int) -> list[str]:
        """The next tasks of any sort, at most `count`, the one that has not tried for longest first."""
        return self._to_the_end(list(islice(self._all, count)))

    def _to_the_end(self, tasks: list[str]) -> list[str]:
        for task in tasks:
            self._all.move_to_end(task)
            self._groups[self._all[task]].move_to_end(task)
        return tasks

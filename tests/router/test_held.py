"""Who is next when a lane has room: the most urgent, then who came first, and each in turn."""

from cca.testing.examples import submitted
from cca_router.held import Held


def held(*tasks: tuple[str, dict[str, str]]) -> Held:
    found = Held()
    for task, asked in tasks:
        found.add(task, submitted(**asked))
    return found


def test_the_most_urgent_comes_first_and_then_who_came_first() -> None:
    them = held(("t1", {}), ("t2", {"priority": "high"}), ("t3", {}), ("t4", {"priority": "high"}))
    assert them.next_for("docs", "a", 3) == ["t2", "t4", "t1"]


def test_a_lane_is_tried_by_those_who_may_have_it() -> None:
    them = held(
        ("any", {"role": "auto"}), ("other", {"role": "backend"}), ("a", {"lane": "a"}), ("b", {"lane": "b"}), ("t", {})
    )
    assert them.next_for("docs", "a", 9) == ["a", "t", "any"]
    assert them.next_for("docs", "b", 9) == ["b", "t", "any"]
    assert them.next_for("backend", "a", 9) == ["other", "any"]
    assert them.next_for("docs", "a", 0) == []


def test_who_has_tried_in_vain_lets_the_others_go_first() -> None:
    them = held(("t1", {}), ("t2", {}), ("t3", {}))
    assert them.next_for("docs", "a", 2) == ["t1", "t2"]
    assert them.next_for("docs", "a", 2) == ["t3", "t1"]
    assert them.next(2) == ["t2", "t3"]
    assert them.next(9) == ["t1", "t2", "t3"]


def test_who_was_routed_is_forgotten_and_who_is_held_again_keeps_its_place() -> None:
    them = held(("t1", {}), ("t2", {}))
    them.add("t1", submitted())
    assert len(them) == 2
    them.discard("t1")
    them.discard("t1")
    assert them.next_for("docs", "a", 9) == them.next(9) == ["t2"]
    them.discard("t2")
    assert len(them) == 0 and them.next(9) == []

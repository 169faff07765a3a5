"""Who is there, what every lane has to do, and what becomes of an agent that joins, leaves or falls silent."""

from collections import Counter
from functools import partial

from hypothesis import HealthCheck, settings
from hypothesis import given as forall
from hypothesis import strategies as st

from cca.contracts.agent import AgentJoined, AgentLeft, AgentLost, Heartbeat, Join, Leave
from cca.routing.policy import LaneLoad
from cca.testing.given import given
from cca_router import roster
from cca_router.roster import AGENT, Roster, consumers
from cca_router.state import Task


def joined(
    agent: str = "w1", lane: str = "a", concurrency: int = 4, session: str = "s1", role: str = "docs"
) -> AgentJoined:
    return AgentJoined(agent, role, lane, concurrency, session)


# ------------------------------------------------------------------------------------------ decisions


def test_an_agent_joins_once_per_session() -> None:
    command = Join("s1", "a", 4, "host\x00", "1.0")
    join = partial(roster.join, command, "w1", "docs")
    there = AgentJoined("w1", "docs", "a", 4, "s1", "host�", "1.0")
    given(AGENT).when(join).then(there)
    given(AGENT, there).when(join).then()
    given(AGENT, there, AgentLost("w1", "s1", 9.0)).when(join).then(there)


def test_a_new_session_of_an_agent_takes_the_place_of_the_old_one() -> None:
    again = given(AGENT, joined()).when(partial(roster.join, Join("s2", "a", 4), "w1", "docs"))
    again.then(joined(session="s2"))
    assert again.state.there == joined(session="s2")


def test_an_agent_leaves_and_is_lost_once_and_only_the_session_that_is_there() -> None:
    leave = partial(roster.leave, Leave("s1", "done"), "w1")
    given(AGENT, joined()).when(leave).then(AgentLeft("w1", "s1", "done"))
    given(AGENT, joined(session="s2")).when(leave).then()
    given(AGENT).when(leave).then()
    lose = partial(roster.lose, "w1", "s1", 9.0)
    given(AGENT, joined()).when(lose).then(AgentLost("w1", "s1", 9.0))
    given(AGENT, joined(session="s2")).when(lose).then()
    given(AGENT).when(lose).then()


def test_the_goodbye_of_an_earlier_session_does_not_end_the_present_one() -> None:
    state = AGENT.over(AGENT.initial, [joined(), joined(session="s2"), AgentLost("w1", "s1", 9.0)])
    assert state.there == joined(session="s2")


# ------------------------------------------------------------------------------------------ who is there


def test_lanes_have_the_capacity_of_their_live_agents() -> None:
    who = Roster()
    for event in (joined(), joined("w2", concurrency=2), joined("w3", "b"), joined("w4", role="backend")):
        who.apply(event, 0.0)
    a, b = LaneLoad("docs", "a", 6, agents=2), LaneLoad("docs", "b", 4, agents=1)
    assert who.lanes("docs") == (a, b)
    assert who.lanes("auto") == (LaneLoad("backend", "a", 4, agents=1), a, b)
    assert who.lanes("nobody") == ()
    who.apply(AgentLeft("w2", "s1"), 0.0)
    who.apply(AgentLost("w3", "s1", 9.0), 0.0)
    who.apply(AgentLost("w4", "another session", 9.0), 0.0)
    assert who.lanes("docs") == (LaneLoad("docs", "a", 4, agents=1),)
    assert len(who.lanes("backend")) == 1


def test_an_agent_that_comes_back_elsewhere_is_counted_there_alone() -> None:
    who = Roster()
    who.apply(joined(), 0.0)
    who.apply(joined(lane="b", concurrency=9, session="s2"), 0.0)
    assert who.lanes("docs") == (LaneLoad("docs", "b", 9, agents=1),)
    assert who.session("w1") == "s2"


def test_who_is_silent_for_too_long_is_named_with_the_session() -> None:
    who = Roster()
    who.apply(joined("w1"), 100.0)
    who.apply(joined("w2"), 100.0)
    assert who.silent(103.0, limit=3.0) == []
    assert who.heard("w2", Heartbeat("s1", running=2), 105.0)
    assert who.silent(106.0, limit=3.0) == [("w1", "s1", 6.0)]
    who.apply(AgentLost("w1", "s1", 6.0), 106.0)
    assert who.silent(107.0, limit=3.0) == []


def test_any_report_counts_as_a_heartbeat() -> None:
    who = Roster()
    who.apply(joined("w1"), 100.0)
    assert who.heard("w1", None, 200.0)
    assert who.silent(201.0, limit=3.0) == []


def test_an_agent_that_is_not_known_must_join_again() -> None:
    who = Roster()
    assert not who.heard("w1", Heartbeat("s1"), 0.0)
    assert not who.heard("w1", None, 0.0)
    who.apply(joined(session="s2"), 0.0)
    assert not who.heard("w1", Heartbeat("s1"), 50.0)
    assert who.silent(50.0, limit=3.0) == [("w1", "s2", 50.0)]


def test_people_see_the_live_agents_in_order() -> None:
    who = Roster()
    for event in (joined("w2", "b"), joined("w1", "b"), joined("w9", "a"), joined("w0", role="backend")):
        who.apply(event, 10.0)
    who.heard("w9", Heartbeat("s1", running=3), 11.0)
    seen = who.view(11.5).agents
    assert [(one.role, one.lane, one.agent) for one in seen] == [
        ("backend", "a", "w0"),
        ("docs", "a", "w9"),
        ("docs", "b", "w1"),
        ("docs", "b", "w2"),
    ]
    assert [(one.running, one.silent_s) for one in seen if one.agent == "w9"] == [(3, 0.5)]
    assert [one.agent for one in who.view(11.5, role="backend").agents] == ["w0"]


def test_a_lane_is_pulled_from_by_priority_most_urgent_first() -> None:
    assert consumers("docs", "a") == tuple(
        f"work=docs=a={priority}" for priority in ("critical", "high", "normal", "low")
    )


# ------------------------------------------------------------------------------------------ load

CALM = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
STATES = st.sampled_from(
    [
        Task(),
        Task(state="submitted", role="docs"),
        Task(state="routed", role="docs", lane="a"),
        Task(state="routed", role="docs", lane="b"),
        Task(state="working", role="docs", lane="a"),
        Task(state="working", role="docs", lane="b"),
        Task(state="completed", role="docs", lane="a"),
    ]
)


@CALM
@forall(st.lists(st.lists(STATES, min_size=1, max_size=8), max_size=8), st.integers(0, 8))
def test_the_load_of_a_lane_is_what_is_queued_and_runs_there(histories: list[list[Task]], gone: int) -> None:
    who = Roster()
    who.apply(joined("w1", "a"), 0.0)
    who.apply(joined("w2", "b"), 0.0)
    for history in histories:
        before = Task()
        for after in history:
            who.moved(before, after)
            before = after
    for history in histories[:gone]:
        who.moved(history[-1], Task(state="completed"))
    expected = Counter((history[-1].state, history[-1].lane) for history in histories[gone:])
    for lane in who.lanes("docs"):
        assert lane.queued == expected["routed", lane.lane]
        assert lane.running == expected["working", lane.lane]


def test_a_load_that_was_never_counted_does_not_become_negative() -> None:
    who = Roster()
    who.apply(joined(), 0.0)
    who.moved(Task(state="working", role="docs", lane="a"), Task(state="completed", role="docs", lane="a"))
    assert who.lanes("docs") == (LaneLoad("docs", "a", 4),)


def test_a_queue_without_workers_is_deserted_while_another_lane_of_the_role_lives() -> None:
    who = Roster()
    who.apply(joined("w1", "a"), 0.0)
    who.apply(joined("w2", "b"), 0.0)
    who.moved(Task(), Task(state="routed", role="docs", lane="a"))
    assert who.deserted() == []
    who.apply(AgentLeft("w1", "s1"), 1.0)
    assert who.deserted() == [("docs", "a")]
    who.apply(AgentLeft("w2", "s1"), 2.0)
    assert who.deserted() == []


def test_load_outlives_the_agents_of_a_lane() -> None:
    who = Roster()
    who.apply(joined(), 0.0)
    who.moved(Task(), Task(state="routed", role="docs", lane="a"))
    who.apply(AgentLost("w1", "s1", 9.0), 9.0)
    assert who.lanes("docs") == ()
    who.apply(joined(session="s2"), 10.0)
    assert who.lanes("docs") == (LaneLoad("docs", "a", 4, queued=1),)

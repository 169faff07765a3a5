"""The circuit breaker: opens after failures in a row, lets one try after a pause, and waits longer when that fails."""

from hypothesis import given
from hypothesis import strategies as st

from cca.breaker import LONGEST_S, Breaker


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(3):
        assert breaker.admits(at)
        breaker.failed(at)
    return breaker


def test_it_opens_after_three_failures_in_a_row() -> None:
    breaker = Breaker()
    for _ in range(2):
        breaker.failed(0)
    assert breaker.state == "closed"
    breaker.failed(0)
    assert (breaker.state, breaker.opened) == ("open", 1)
    assert not breaker.admits(0.5)
    assert breaker.remaining(0.4) == 0.6


def test_an_answer_in_between_begins_the_count_anew() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(0)
        breaker.failed(0)
        breaker.succeeded()
    assert breaker.state == "closed" and breaker.opened == 0


def test_after_the_pause_one_alone_may_try() -> None:
    breaker = opened()
    assert breaker.admits(1.0)
    state: str = breaker.state
    assert state == "half-open"
    assert not breaker.admits(100.0)
    breaker.succeeded()
    assert breaker.admits(100.0) and breaker.remaining(100.0) == 0


def test_each_trial_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    breaker, now, pauses = opened(), 0.0, []
    for _ in range(6):
        pauses.append(breaker.remaining(now))
        now += breaker.remaining(now)
        assert breaker.admits(now)
        breaker.failed(now)
    assert pauses == [1, 2, 4, 8, 15, 15]
    breaker.succeeded()
    for _ in range(3):
        breaker.failed(now)
    assert breaker.remaining(now) == 1


def test_a_trial_that_was_given_up_leaves_the_next_one_to_try() -> None:
    breaker = opened()
    assert breaker.admits(1.0)
    breaker.given_up()
    assert breaker.state == "open"
    assert breaker.admits(1.0)


def test_who_was_asking_before_it_opened_does_not_prolong_the_pause() -> None:
    breaker = opened(0.0)
    breaker.failed(0.9)
    assert breaker.remaining(0.9) < 0.11 and breaker.opened == 1


@given(
    st.lists(st.tuples(st.sampled_from(["ask", "succeeded", "failed", "given_up"]), st.floats(0, 5)), max_size=60),
    st.integers(1, 5),
)
def test_whatever_happens_it_lets_somebody_try_again_in_the_end(steps: list[tuple[str, float]], failures: int) -> None:
    breaker, now, out = Breaker(failures), 0.0, 0
    for step, passed in steps:
        now += passed
        if step == "ask":
            admitted = breaker.admits(now)
            assert admitted or breaker.state != "closed"
            out += admitted
        elif out:
            out -= 1
            if step == "failed":
                breaker.failed(now)
            else:
                getattr(breaker, step)()
        assert breaker.remaining(now) <= LONGEST_S
    if breaker.state == "half-open":
        breaker.given_up()
    assert breaker.admits(now + LONGEST_S)

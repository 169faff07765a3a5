"""Answers that are kept: asked once while they hold, made once for all who wait, forgotten when something changes."""

import asyncio

import pytest

from cca.errors import Busy
from cca_context.cache import Answers


class Maker:
    """Makes numbered answers, when it may."""

    def __init__(self, held: bool = False) -> None:
        self.made = 0
        self.may = asyncio.Event()
        self.begun = asyncio.Event()
        if not held:
            self.may.set()

    async def __call__(self) -> int:
        self.made += 1
        number = self.made
        self.begun.set()
        await self.may.wait()
        return number


async def test_the_same_question_is_answered_from_before() -> None:
    answers, make = Answers[int](60), Maker()
    assert await answers.get("q", make) == (1, False)
    assert await answers.get("q", make) == (1, True)
    assert await answers.get("other", make) == (2, False)
    assert answers.figures() == {"kept": 2, "hits": 1, "misses": 2, "shared": 0, "cleared": 0}


async def test_many_who_ask_at_once_wait_for_one_answer() -> None:
    answers, make = Answers[int](60), Maker(held=True)
    asking = [asyncio.create_task(answers.get("q", make)) for _ in range(20)]
    await make.begun.wait()
    make.may.set()
    assert await asyncio.gather(*asking) == [(1, False)] * 20
    assert answers.figures()["shared"] == 19


async def test_what_has_changed_is_asked_again() -> None:
    answers, make = Answers[int](60), Maker()
    await answers.get("q", make)
    answers.clear()
    assert await answers.get("q", make) == (2, False)


async def test_an_answer_that_was_being_made_during_a_change_is_not_kept() -> None:
    answers, slow, quick = Answers[int](60), Maker(held=True), Maker()
    asking = asyncio.create_task(answers.get("q", slow))
    await slow.begun.wait()
    answers.clear()
    assert await answers.get("q", quick) == (1, False)  # not given to who asks after the change
    quick.made = 10
    slow.may.set()
    assert await asking == (1, False)
    assert await answers.get("q", quick) == (1, True)  # and has not replaced the newer one
    answers.clear()
    assert await answers.get("q", quick) == (11, False)


async def test_an_error_is_told_to_all_and_not_kept() -> None:
    answers, may = Answers[int](60), asyncio.Event()

    async def fails() -> int:
        await may.wait()
        raise Busy("not now")

    asking = [asyncio.create_task(answers.get("q", fails)) for _ in range(3)]
    await asyncio.sleep(0)
    may.set()
    assert [type(one) for one in await asyncio.gather(*asking, return_exceptions=True)] == [Busy] * 3
    assert await answers.get("q", Maker()) == (1, False)


async def test_who_goes_away_does_not_take_the_answer_from_the_others() -> None:
    answers, make = Answers[int](60), Maker(held=True)
    first = asyncio.create_task(answers.get("q", make))
    await make.begun.wait()
    second = asyncio.create_task(answers.get("q", make))
    await asyncio.sleep(0)
    first.cancel()
    make.may.set()
    assert await second == (1, False)
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await answers.get("q", make) == (1, True)


async def test_an_error_that_nobody_waits_for_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    answers, may = Answers[int](60), asyncio.Event()

    async def fails() -> int:
        await may.wait()
        raise Busy("not now")

    asking = asyncio.create_task(answers.get("q", fails))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    may.set()
    await asyncio.sleep(0.01)
    assert not caplog.records
    assert answers.figures()["kept"] == 0


async def test_what_nobody_asked_for_the_longest_is_forgotten_first() -> None:
    answers, make = Answers[int](60, most=2), Maker()
    for key in ("a", "b", "a", "c"):
        await answers.get(key, make)
    assert [(await answers.get(key, make))[1] for key in ("a", "c", "b")] == [True, True, False]


async def test_without_a_time_answers_are_only_shared() -> None:
    answers, make = Answers[int](0), Maker()
    assert await answers.get("q", make) == (1, False)
    assert await answers.get("q", make) == (2, False)


async def test_an_answer_that_is_too_old_is_made_anew() -> None:
    answers, make = Answers[int](0.01), Maker()
    await answers.get("q", make)
    await asyncio.sleep(0.02)
    assert await answers.get("q", make) == (2, False)

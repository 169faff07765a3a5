"""What the service answers, on real servers: counted, compressed, condensed, given back; and what a crash leaves."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterable

import pytest
from tests.service_tokens.conftest import LOG, Asker, Eventually, serving

from cca.config import NatsSettings
from cca.contracts.ledger import (
    EVERYONE,
    GetRecommendations,
    GetTokenMetrics,
    GetTokenPolicies,
    Recommendations,
    RolePolicy,
    TokenMetrics,
    TokenPolicies,
    TokensCompressed,
    TokensExpanded,
)
from cca.contracts.tokens import (
    Analysis,
    AnalyzeTokens,
    Compressed,
    CompressTokens,
    Condensed,
    CountTokens,
    Cut,
    Expanded,
    ExpandText,
    Folding,
    TokenCounts,
    Turn,
)
from cca.errors import Busy, Refused, Unreadable
from cca.nats import names, subjects
from cca.nats.blobs import About, Blobs
from cca.nats.bus import connect
from cca.pool.pool import Pool
from cca.tokens.compress import compress
from cca.tokens.counting import counter
from cca.tokens.markers import LEGEND, marker, ref_of
from cca_tokens import __main__ as service
from cca_tokens import record
from cca_tokens.ledger import Ledger
from cca_tokens.record import Record

GONE = "a" * 20


def by_strategy(cuts: Iterable[Cut]) -> dict[str, int]:
    return dict(Counter(cut.strategy for cut in cuts))


# ------------------------------------------------------------------------------------------ count, analyze


async def test_tokens_are_counted_as_the_library_does(nats: NatsSettings, asker: Asker) -> None:
    async with serving(nats):
        for text in ("", "hello world", LOG, "漢字 🏳️‍🌈 <|endoftext|> \0"):
            counts = await asker.count(text)
            tokens = counter("gpt-5").count(text)
            assert counts == TokenCounts("gpt-5", tokens, (tokens,), "o200k_base", True)
        turns = (Turn("one"), Turn("two three", "assistant"))
        plain = await asker.ask(subjects.RPC_TOKENS_COUNT, CountTokens(turns, "gpt-5"), TokenCounts)
        chat = await asker.ask(subjects.RPC_TOKENS_COUNT, CountTokens(turns, "gpt-5", chat=True), TokenCounts)
        tool = {"name": "ls", "parameters": {"n": 10**30}}
        tools = await asker.ask(subjects.RPC_TOKENS_COUNT, CountTokens(turns, "gpt-5", True, (tool,)), TokenCounts)
        assert len(plain.each) == 2 and plain.overhead == 0 and plain.tokens == sum(plain.each)
        assert 0 < chat.overhead < tools.overhead and chat.tokens == plain.tokens + chat.overhead
        estimate = await asker.count(LOG, "nobody-knows-it")
        assert not estimate.exact and estimate.error > 0 and estimate.correction == 1.0


async def test_estimates_are_corrected_by_what_workers_reported(
    nats: NatsSettings, asker: Asker, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    async def ratios(_: Ledger) -> dict[str, tuple[int, int]]:
        return {"nobody-knows-it": (100_000, 150_000), "gpt-5": (100_000, 150_000)}

    async with serving(nats):
        before = await asker.count(LOG, "nobody-knows-it")
    monkeypatch.setattr(Ledger, "ratios", ratios)
    async with serving(nats):

        async def corrected() -> bool:
            after = await asker.count(LOG, "nobody-knows-it")
            assert after.tokens == round(before.tokens * after.correction)
            return after.correction == 1.5

        await eventually(corrected)
        assert (await asker.count(LOG)).correction == 1.0  # it is exact


async def test_text_is_looked_at(nats: NatsSettings, asker: Asker) -> None:
    async with serving(nats):
        command = AnalyzeTokens((Turn(LOG, "tool"), Turn(LOG, "tool")), Folding(model="gpt-5"))
        found = await asker.ask(subjects.RPC_TOKENS_ANALYZE, command, Analysis)
        assert found.tokens == 2 * counter("gpt-5").count(LOG)
        assert found.duplicates.share > 0.4 and found.potential > 0.5 and len(found.turns) == 2


async def test_a_thousand_small_counts_are_answered_while_a_large_compression_runs(
    nats: NatsSettings, asker: Asker, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    pools: list[Pool] = []

    def made(work: str, preload: str) -> Pool:
        pools.append(Pool(work, preload))
        return pools[-1]

    monkeypatch.setattr(service, "Pool", made)
    async with serving(nats):
        await asker.count("the process for small ones is there")
        (pool,) = pools
        (small,) = pool.pids
        compressing = asyncio.create_task(asker.compress(*(f"{LOG} {number}" for number in range(60))))

        async def began() -> bool:
            return len(pool.pids) == 2

        await eventually(began)
        (large,) = set(pool.pids) - {small}
        os.kill(large, signal.SIGSTOP)  # as if it took for ever
        counts = await asyncio.gather(*(asker.count(f"number {number}") for number in range(1_000)))
        assert all(one.exact for one in counts) and not compressing.done()
        os.kill(large, signal.SIGCONT)
        assert (await compressing).after > 0


# ------------------------------------------------------------------------------------------ compress


async def test_what_is_compressed_can_be_had_again(nats: NatsSettings, asker: Asker) -> None:
    async with serving(nats):
        reply = await asker.compress(LOG, LOG, "short", role="backend")
        folded = compress((Turn(LOG, "tool"), Turn(LOG, "tool"), Turn("short", "tool")), Folding(model="gpt-5"))
        assert reply.texts == folded.texts and reply.cuts == folded.cuts and reply.saved == folded.saved
        assert (reply.method, reply.exact, reply.after) == ("o200k_base", True, folded.after)
        assert reply.after * 2 < reply.before
        for text, original in zip(reply.texts, (LOG, LOG, "short"), strict=True):
            assert text is not None and (await asker.expand(text)).text == original
        assert (await asker.expand_ref(f"ctx:{reply.original}")).text == f"{LOG}\n{LOG}\nshort"
        blob = await Blobs(asker.bus).get(reply.cuts[0].ref)
        assert blob is not None and blob.about == About(reply.cuts[0].strategy, "backend", reply.cuts[0].before)


async def test_it_is_recorded_before_it_is_answered(nats: NatsSettings, asker: Asker) -> None:
    async with serving(nats):
        command = CompressTokens((Turn(LOG),), Folding("lossless", model="gpt\0-5"), "backend", "b-1\0", "task", "ann")
        reply = await asker.ask(subjects.RPC_TOKENS_COMPRESS, command, Compressed)
        assert await asker.events(reply.original) == [
            TokensCompressed(
                reply.original, "gpt\ufffd-5", reply.before, reply.after, reply.saved, by_strategy(reply.cuts),
                "lossless", "backend", "b-1\ufffd", "task", "ann",
            )
        ]  # fmt: skip
        again = await asker.ask(subjects.RPC_TOKENS_COMPRESS, command, Compressed)
        assert again == reply and len(await asker.events(reply.original)) == 2


async def test_the_budget_is_reached_or_it_is_said_by_how_much_not(nats: NatsSettings, asker: Asker) -> None:
    async with serving(nats):
        enough = await asker.compress(LOG, max_tokens=10_000_000)
        assert enough.texts == (LOG,) and enough.reached and enough.cuts == ()
        near = await asker.compress(LOG, "prose that nothing folds", max_tokens=3)
        assert not near.reached and near.short == near.after - 3


async def test_what_cannot_be_done_is_refused_by_name(nats: NatsSettings, asker: Asker) -> None:
    async with serving(nats):
        for refused in (
            asker.compress("x", strategies=("magic",)),
            asker.set_policy("backend", RolePolicy(5, strategies=("logs", "magic"))),
        ):
            with pytest.raises(Refused, match="magic") as found:
                await refused
            assert found.value.code == "unknown-strategy"
        with pytest.raises(Refused) as found:
            await asker.compress("x" * 50_000_000)
        assert found.value.code == "too-large"
        assert (await asker.count("still there")).tokens > 0
        assert (await asker.ask(subjects.RPC_TOKENS_POLICIES, GetTokenPolicies(), TokenPolicies)).version == 0


NASTY = (
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"turns":[]}',
    b'{"turns":[{"text":"\\ud800"}]}',
    b'{"turns":[{"text":"\xed\xa0\x80"}]}',
    b'{"turns":[{"text":1}]}',
    b'{"turns":' + b"[" * 100_000,
    b'{"type":"cca.tokens.expand.v1","turns":[{"text":"x"}]}',
)


@pytest.mark.parametrize("body", NASTY, ids=lambda body: repr(body[:40]))
async def test_nasty_requests_are_refused_without_a_traceback(
    nats: NatsSettings, asker: Asker, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(nats):
        for subject in (subjects.RPC_TOKENS_COUNT, subjects.RPC_TOKENS_ANALYZE, subjects.RPC_TOKENS_COMPRESS):
            with pytest.raises(Unreadable):
                await asker.bus.request(subject, body)
    assert "Traceback" not in caplog.text


# ------------------------------------------------------------------------------------------ condense


async def test_a_context_over_its_budget_is_condensed(nats: NatsSettings, asker: Asker) -> None:
    async with serving(nats):
        assert await asker.condense(LOG) == Condensed()
        await asker.set_policy("backend", RolePolicy(2_000, "gpt-5"))
        fits = await asker.condense("a short one")
        assert fits.context is None and (fits.version, fits.before, fits.after) == (1, fits.after, fits.before)
        assert await asker.originals() == 0
        reply = await asker.condense(LOG)
        assert reply.context is not None and reply.context.startswith(LEGEND) and reply.reached and reply.exact
        assert reply.after <= 2_000 < reply.before == counter("gpt-5").count(LOG)
        assert "disk full (errno 28)" in reply.context
        assert (await asker.expand(reply.context)).text == LOG
        assert (await asker.expand_ref(reply.original)).text == LOG
        blob = await Blobs(asker.bus).get(reply.refs[0])
        assert blob is not None and blob.about.role == "backend" and blob.about.strategy
        same = compress((Turn(LOG),), Folding(model="gpt-5", max_tokens=2_000, legend=True), counter("gpt-5").count)
        assert reply.cuts == by_strategy(same.cuts) and reply.cuts.keys() == reply.saved.keys()
        assert await asker.condense(LOG) == reply
        assert not [event for event in await asker.events() if isinstance(event, TokensCompressed)]


async def test_everyone_has_the_policy_of_everyone_unless_they_have_their_own(nats: NatsSettings, asker: Asker) -> None:
    async with serving(nats):
        await asker.set_policy(EVERYONE, RolePolicy(1, "gpt-5"))
        await asker.set_policy("docs", RolePolicy(1_000_000, "gpt-5"))
        assert (await asker.condense(LOG, "docs")).context is None
        tight = await asker.condense(LOG, "backend")
        assert tight.context is not None and not tight.reached and tight.version == 2
        odd = await asker.condense("nothing here can be folded at all", "backend")
        assert odd.context is None and not odd.reached and odd.before == odd.after > 1
        await asker.set_policy(EVERYONE, None)
        assert await asker.condense(LOG, "backend") == Condensed(version=3)


async def test_another_instance_condenses_by_the_newest_policy(nats: NatsSettings, asker: Asker) -> None:
    async with serving(nats), serving(nats):
        for number in range(1, 9):
            await asker.set_policy("backend", RolePolicy(number * 500, "gpt-5"))
            assert (await asker.condense("x")).version == number


# ------------------------------------------------------------------------------------------ expand


async def test_what_was_wanted_after_all_is_noted_once_for_each_piece(nats: NatsSettings, asker: Asker) -> None:
    async with serving(nats):
        reply = await asker.compress(LOG, LOG, role="backend")
        text = "\n".join(text for text in reply.texts if text)
        found = await asker.expand(text + "\n" + text, agent="b-1", role="backend", task="t")
        assert found.text == "\n".join([LOG] * 4) and found.missing == ()
        assert set(found.refs) == {cut.ref for cut in reply.cuts}
        first = {
            cut.ref: cut for cut in reversed(reply.cuts)
        }  # the second text is a copy of what was cut out of the first
        for cut in first.values():
            noted = [event for event in await asker.events(cut.ref) if isinstance(event, TokensExpanded)]
            assert noted == [TokensExpanded(cut.ref, cut.strategy, cut.before, "backend", "b-1", "t")]


async def test_what_is_not_stored_stays_as_it_is(nats: NatsSettings, asker: Asker) -> None:
    async with serving(nats):
        reply = await asker.compress(LOG)
        text = f"{marker(GONE, '5 lines', 1)}\nkept\n{reply.texts[0]}"
        found = await asker.expand(text)
        assert found.text == f"{marker(GONE, '5 lines', 1)}\nkept\n{LOG}" and found.missing == (GONE,)
        with pytest.raises(Refused) as refused:
            await asker.expand_ref(GONE)
        assert refused.value.code == "not-found"
        assert (await asker.expand("no marker at all")) == Expanded("no marker at all")
        for odd in (ExpandText(), ExpandText(GONE, "text"), ExpandText("no reference")):
            with pytest.raises(Refused) as refused:
                await asker.ask(subjects.RPC_TOKENS_EXPAND, odd, Expanded)
            assert refused.value.code == "invalid"


async def test_originals_within_originals_are_given_back(nats: NatsSettings, asker: Asker) -> None:
    text = "the innermost"
    texts = {ref_of(text): text}
    for depth in range(20):
        text = f"before {depth}\n{marker(ref_of(text), 'more')}\nafter"
        texts[ref_of(text)] = text
    await Blobs(asker.bus).put_all(texts)
    async with serving(nats):
        found = await asker.expand_ref(ref_of(text))
        assert found.text.count("after") == 20 and "the innermost" in found.text
        assert set(found.refs) == texts.keys()


async def test_a_few_lines_that_stand_for_very_much_are_not_expanded(nats: NatsSettings, asker: Asker) -> None:
    text = "laughter " * 100
    texts = {ref_of(text): text}
    for _ in range(12):
        text = "\n".join([marker(ref_of(text), "more")] * 10)
        texts[ref_of(text)] = text
    await Blobs(asker.bus).put_all(texts)
    async with serving(nats):
        with pytest.raises(Refused) as refused:
            await asker.expand(text)
        assert refused.value.code == "too-large"
        assert (await asker.count("still there")).tokens > 0


async def test_an_original_larger_than_a_message_is_told_to_be_so(nats: NatsSettings, asker: Asker) -> None:
    large = "\n" * 3_000_000  # 6 MB as JSON
    await Blobs(asker.bus).put_all({ref_of(large): large})
    async with serving(nats):
        with pytest.raises(Refused, match="bytes") as refused:
            await asker.expand_ref(ref_of(large))
        assert refused.value.code == "too-large"


async def test_an_original_that_json_cannot_hold_is_told_to_be_so(nats: NatsSettings, asker: Asker) -> None:
    await Blobs(asker.bus).put_all({ref_of("\ud800"): "\ud800"})
    async with serving(nats):
        with pytest.raises(Refused) as refused:
            await asker.expand_ref(ref_of("\ud800"))
        assert refused.value.code == "not-text"


async def test_originals_are_given_back_when_nothing_can_be_noted(
    nats: NatsSettings, asker: Asker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def full(*_: object) -> None:
        raise Busy("the log is full")

    async with serving(nats):
        reply = await asker.compress(LOG)
        monkeypatch.setattr(Record, "append", full)
        assert (await asker.expand(reply.texts[0] or "")).text == LOG
    assert "the log is full" in caplog.text


async def test_many_who_expand_the_same_at_once_are_all_noted(
    nats: NatsSettings, asker: Asker, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setattr(record, "TRIES", 100)
    async with serving(nats), serving(nats):
        reply = await asker.compress(LOG)
        await asyncio.gather(*(asker.expand(reply.texts[0] or "") for _ in range(20)))

        async def noted() -> bool:
            return len([e for e in await asker.events(reply.cuts[0].ref) if isinstance(e, TokensExpanded)]) == 20

        await eventually(noted)


# ------------------------------------------------------------------------------------------ crashes and outages


async def test_a_crash_between_originals_and_event_loses_nothing(
    nats: NatsSettings, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        raise KeyError("killed")

    async with serving(nats):
        with monkeypatch.context() as patched:
            patched.setattr(Record, "append", crash)
            with pytest.raises(Busy):
                await asker.compress(LOG)
        stored = await asker.originals()
        assert stored > 0 and await asker.events() == []
    async with serving(nats):
        reply = await asker.compress(LOG)
        assert await asker.originals() == stored
        assert [event.ref for event in await asker.events() if isinstance(event, TokensCompressed)] == [reply.original]


async def test_originals_that_cannot_be_stored_are_not_cut_out(nats: NatsSettings, asker: Asker) -> None:
    async with serving(nats):
        js = asker.bus.nc.jetstream()
        config = (await js.stream_info(names.BLOBS)).config
        config.max_bytes = 1_000
        await js.update_stream(config)
        with pytest.raises(Busy, match="the store of originals is full"):
            await asker.compress(LOG)
        assert await asker.events() == []
        await asker.set_policy("backend", RolePolicy(100, "gpt-5"))
        with pytest.raises(Busy, match="the store of originals is full"):
            await asker.condense(LOG)


async def test_after_a_restart_everything_is_there(nats: NatsSettings, asker: Asker) -> None:
    async with serving(nats):
        await asker.set_policy("backend", RolePolicy(2_000, "gpt-5"))
        reply, condensed = await asker.compress(LOG), await asker.condense(LOG)
    async with serving(nats):
        assert (await asker.expand(reply.texts[0] or "")).text == LOG
        assert await asker.condense(LOG) == condensed
        assert await asker.compress(LOG) == reply


async def test_without_tables_only_what_was_spent_is_not_known(nats: NatsSettings, asker: Asker) -> None:
    async with serving(nats):
        with pytest.raises(Busy, match="PostgreSQL"):
            await asker.ask(subjects.RPC_TOKENS_METRICS, GetTokenMetrics(), TokenMetrics)
        with pytest.raises(Busy, match="PostgreSQL"):
            await asker.ask(subjects.RPC_TOKENS_RECOMMEND, GetRecommendations(), Recommendations)
        assert (await asker.count("all the rest works", "nobody-knows-it")).correction == 1.0


async def test_two_instances_share_the_work(nats: NatsSettings, asker: Asker) -> None:
    async with serving(nats), serving(nats):
        replies = await asyncio.gather(*(asker.compress(LOG + str(number)) for number in range(6)))
        for number, reply in enumerate(replies):
            assert (await asker.expand(reply.texts[0] or "")).text == LOG + str(number)
        assert len([event for event in await asker.events() if isinstance(event, TokensCompressed)]) == 6


async def test_the_service_says_who_it_is(nats: NatsSettings) -> None:
    async with serving(nats), connect(nats, "test") as bus:
        told = (await bus.request("$SRV.INFO.cca_tokens", b"")).decode()
        for verb in ("count", "analyze", "compress", "condense", "expand", "policies", "set-policy", "metrics"):
            assert f'"cca.rpc.tokens.{verb}"' in told

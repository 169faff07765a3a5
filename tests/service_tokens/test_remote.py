"""The token service as a program asks it: `client.tokens`."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.service_tokens.conftest import LOG, Asker, serving

from cca import Client
from cca import client as client_module
from cca.config import NatsSettings
from cca.contracts.ledger import RolePolicy, TokenPolicies, TokensCompressed
from cca.contracts.tokens import Turn
from cca.errors import Busy, Refused, Unreadable
from cca.testing.servers import NatsServer
from cca.tokens.counting import counter
from cca.tokens.remote import turns


@pytest.fixture
async def client(nats: NatsSettings, shared_nats: NatsServer, asker: Asker) -> AsyncIterator[Client]:
    admin = shared_nats.admin
    async with serving(nats), Client.connect(admin.url, admin.password) as client:
        yield client


def test_texts_are_turns() -> None:
    turn = Turn("b", "tool", pinned=True)
    assert turns("a") == (Turn("a"),) and turns(turn) == (turn,)
    assert turns(["a", turn]) == (Turn("a"), turn) and turns([]) == ()


async def test_tokens_are_counted(client: Client) -> None:
    counts = await client.tokens.count(["one", Turn("two", "assistant")], "gpt-5", chat=True, tools=[{"name": "ls"}])
    assert len(counts.each) == 2 and counts.exact and counts.tokens == sum(counts.each) + counts.overhead
    assert (await client.tokens.count(LOG, model="gpt-5")).tokens == counter("gpt-5").count(LOG)
    assert (await client.tokens.analyze([LOG, LOG], model="gpt-5")).potential > 0.5


async def test_what_is_compressed_comes_back(client: Client, asker: Asker) -> None:
    small = await client.tokens.compress(LOG, model="gpt-5", max_tokens=2_000, role="backend", requester="ann")
    assert small.reached and small.after <= 2_000
    assert await client.tokens.expand(small.texts[0] or "") == LOG
    assert await client.tokens.expand(f"ctx:{small.original}", agent="b-1", role="backend", task="t") == LOG
    found = await client.tokens.expanded(small.original)
    assert found.text == LOG and found.refs == (small.original,)
    compressed = [event for event in await asker.events() if isinstance(event, TokensCompressed)]
    assert [(event.role, event.requester) for event in compressed] == [("backend", "ann")]


async def test_policies_are_set_and_shown(client: Client) -> None:
    policy = RolePolicy(5_000)
    assert await client.tokens.set_policy("backend", policy, "pilot") == TokenPolicies(1, {"backend": policy})
    assert await client.tokens.policies() == TokenPolicies(1, {"backend": policy})
    assert await client.tokens.set_policy("backend", None) == TokenPolicies(2)


async def test_what_cannot_be_is_refused_in_words(client: Client) -> None:
    with pytest.raises(Refused, match="there is no strategy"):
        await client.tokens.compress("x", strategies=("magic",))
    with pytest.raises(Unreadable, match="turns"):
        await client.tokens.count([])
    with pytest.raises(Unreadable):
        await client.tokens.count("\ud800")
    with pytest.raises(Refused) as refused:
        await client.tokens.count("x" * 50_000_001)
    assert refused.value.code == "too-large"
    assert (await client.tokens.count("the connection is still there")).tokens > 0


async def test_a_service_that_is_away_is_asked_again_for_a_while(
    nats: NatsSettings, shared_nats: NatsServer, asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = shared_nats.admin
    async with Client.connect(admin.url, admin.password) as client:
        with monkeypatch.context() as patched:
            patched.setattr(client_module, "PATIENCE_S", 0.3)
            with pytest.raises(Busy, match="nobody answers"):
                await client.tokens.count("x")
        counting = asyncio.create_task(client.tokens.count("x", "gpt-5"))
        await asyncio.sleep(0.2)
        async with serving(nats):
            assert (await counting).tokens == 1

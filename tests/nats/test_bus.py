"""The connection: clear errors, no lost request in silence, and nats-py's traps."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cca.config import NatsSettings
from cca.contracts.agent import Agents, ListAgents
from cca.contracts.tokens import CountTokens, Expanded, Turn
from cca.errors import Busy, Refused, Unreadable
from cca.message import Meta
from cca.nats.bus import connect, error_headers
from cca.nats.micro import Service
from cca.nats.wire import Msg, header_block, parse_headers
from cca.testing.servers import NatsServer


async def test_a_wrong_password_is_refused_at_once_and_not_repeated_in_the_error(nats: NatsSettings) -> None:
    with pytest.raises(Refused) as refused:
        async with connect(replace(nats, password="open-sesame"), "test"):
            pass
    assert refused.value.code == "not-authorized"
    assert "open-sesame" not in str(refused.value)


async def test_a_server_that_is_not_there_is_said_to_be_unreachable() -> None:
    with pytest.raises(Busy, match="cannot reach NATS"):
        async with connect(NatsSettings(url="nats://127.0.0.1:1"), "test"):
            pass


@pytest.mark.covers("H7")
async def test_a_service_waits_for_a_server_that_starts_later(nats_server: NatsServer) -> None:
    nats_server.kill()

    async def come() -> bool:
        async with connect(nats_server.settings, "test", wait=True) as bus:
            return bus.is_connected

    coming = asyncio.create_task(come())
    await asyncio.sleep(0.3)  # it has tried by then
    nats_server.start()
    assert await asyncio.wait_for(coming, 20)


async def test_a_request_that_nobody_answers_fails_at_once(nats: NatsSettings) -> None:
    async with connect(nats, "test") as bus:
        with pytest.raises(Busy, match="nobody answers"):
            await bus.request("cca.rpc.nothing", b"", timeout=30)


@pytest.mark.covers("STAB-012")
async def test_a_request_in_flight_fails_when_the_server_dies_not_at_its_time_out(nats_server: NatsServer) -> None:
    async with connect(nats_server.settings, "test") as bus:
        await bus.subscribe("cca.rpc.silent", lambda msg: None)
        asking = asyncio.create_task(bus.request("cca.rpc.silent", b"", timeout=600))
        await bus.flush()
        nats_server.kill()
        with pytest.raises(Busy, match="connection to NATS was lost"):
            await asyncio.wait_for(asking, 20)


async def test_subscriptions_and_requests_work_again_after_the_server_was_killed(nats_server: NatsServer) -> None:
    async with connect(nats_server.settings, "one") as one, connect(nats_server.settings, "two") as two:
        await one.subscribe("echo", lambda msg: one.publish(msg.reply, msg.data))
        await one.flush()
        assert await two.request("echo", b"before") == b"before"
        back = [asyncio.Event(), asyncio.Event()]
        one.reconnected.append(back[0].set)
        two.reconnected.append(back[1].set)
        nats_server.kill()
        nats_server.start()
        await asyncio.wait_for(asyncio.gather(*(event.wait() for event in back)), 20)
        await one.flush()
        assert await two.request("echo", b"after") == b"after"


async def test_what_was_published_while_the_server_was_away_is_sent_when_it_is_back(nats_server: NatsServer) -> None:
    async with connect(nats_server.settings, "one") as one:
        heard = asyncio.Event()
        lost = asyncio.Event()
        one.expect(lambda msg: lost.set())  # told when the connection is lost
        await one.subscribe("news", lambda msg: heard.set())
        await one.flush()
        nats_server.kill()
        await asyncio.wait_for(lost.wait(), 20)
        one.publish("news", b"while you were away")
        nats_server.start()
        await asyncio.wait_for(heard.wait(), 20)


async def test_a_subscriber_that_fails_does_not_stop_the_others(
    nats: NatsSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(nats, "test") as bus:
        await bus.subscribe("bad", lambda msg: 1 / 0)  # type: ignore[arg-type]  # on purpose
        await bus.subscribe("good", lambda msg: bus.publish(msg.reply, b"still here"))
        bus.publish("bad", b"")
        assert await bus.request("good", b"") == b"still here"
    assert "a subscriber failed on bad" in caplog.text


async def test_an_unsubscribed_listener_hears_nothing_more(nats: NatsSettings) -> None:
    async with connect(nats, "test") as bus:
        heard: list[Msg] = []
        subscription = await bus.subscribe("news", heard.append)
        bus.publish("news", b"1")
        await bus.flush()
        await subscription.unsubscribe()
        bus.publish("news", b"2")
        await bus.flush()
        assert [msg.data for msg in heard] == [b"1"]


async def test_errors_come_back_as_what_they_were(nats: NatsSettings) -> None:
    async with connect(nats, "test") as bus:
        for raised in (Refused("not-found", "there is no such thing"), Unreadable("a comma is missing"), Busy("later")):

            def answer(msg: Msg, raised: Exception = raised) -> None:
                bus.publish(msg.reply, b"", error_headers(raised))  # type: ignore[arg-type]  # CcaErrors all

            subscription = await bus.subscribe("fails", answer)
            with pytest.raises(type(raised), match=str(raised)):
                await bus.request("fails", b"")
            await subscription.unsubscribe()


async def test_a_slow_request_does_not_hold_up_the_next_one(nats: NatsSettings) -> None:
    async with connect(nats, "test") as bus:
        service, release = Service(bus, "test_service", "for a test"), asyncio.Event()

        async def answer(command: ListAgents, meta: Meta) -> Agents:
            if command.role == "slow":
                await release.wait()
            return Agents(())

        await service.serve("cca.rpc.test.ask", ListAgents, answer, Agents)
        slow = asyncio.create_task(bus.ask("cca.rpc.test.ask", ListAgents("slow"), Agents, timeout=30))
        assert await bus.ask("cca.rpc.test.ask", ListAgents("fast"), Agents) == Agents(())
        assert not slow.done()
        release.set()
        assert await slow == Agents(())
        with pytest.raises(Unreadable, match="no_such_field"):
            await bus.request("cca.rpc.test.ask", b'{"no_such_field":1}')
        await service.stop()


async def test_what_is_too_large_for_a_message_is_refused_and_the_connection_lives(nats: NatsSettings) -> None:
    async with connect(nats, "test") as bus:
        service = Service(bus, "test_service", "for a test")
        most = bus.nc.max_payload

        async def handle(command: CountTokens, _: Meta) -> Expanded:
            return Expanded("x" * int(command.model))

        await service.serve("cca.rpc.large", CountTokens, handle, Expanded)
        await bus.flush()

        async def ask(text: str, size: int) -> int:
            return len((await bus.ask("cca.rpc.large", CountTokens((Turn(text),), str(size)), Expanded)).text)

        for text, size in (("x" * most, 1), ("x", most)):
            with pytest.raises(Refused) as refused:
                await ask(text, size)
            assert refused.value.code == "too-large"
        assert await ask("x" * (most - 8_192), most - 8_192) == most - 8_192
        await service.stop()


async def test_services_can_be_discovered_with_the_standard_tools(nats: NatsSettings) -> None:
    """The answers are those of the micro services protocol (ADR-32), as nats-py's own types read them."""
    import json

    async with connect(nats, "test") as bus:
        service = Service(bus, "cca_test", "for a test")

        async def answer(command: ListAgents, meta: Meta) -> Agents:
            return Agents(())

        await service.serve("cca.rpc.test.ask", ListAgents, answer, Agents)
        await service.start()
        await bus.ask("cca.rpc.test.ask", ListAgents(), Agents)
        ping = json.loads(await bus.request("$SRV.PING.cca_test", b""))
        info = json.loads(await bus.request("$SRV.INFO.cca_test", b""))
        stats = json.loads(await bus.request("$SRV.STATS.cca_test", b""))
        assert (ping["type"], ping["name"]) == ("io.nats.micro.v1.ping_response", "cca_test")
        assert info["endpoints"][0]["subject"] == "cca.rpc.test.ask"
        assert info["endpoints"][0]["metadata"] == {
            "schema.request": "cca.agent.list.v1",
            "schema.response": "cca.agent.roster.v1",
        }
        assert stats["endpoints"][0]["num_requests"] == 1
        await service.stop()


async def test_inboxes_are_private(nats: NatsSettings) -> None:
    async with connect(nats, "one") as one, connect(nats, "two") as two:
        assert not one.new_inbox().startswith("_INBOX.")
        assert one.new_inbox().partition(".")[0] != two.new_inbox().partition(".")[0]


@given(st.dictionaries(st.from_regex(r"[A-Za-z][A-Za-z-]{0,20}", fullmatch=True), st.text(max_size=50), max_size=8))
def test_headers_keep_their_values_and_cannot_be_smuggled(headers: dict[str, str]) -> None:
    encodable = {name: value.encode("utf-8", "ignore").decode() for name, value in headers.items()}
    read = parse_headers(header_block(encodable))
    assert set(read) == set(encodable)
    for name, value in encodable.items():
        assert read[name] == value.replace("\r", " ").replace("\n", " ").strip()


def test_a_status_line_is_read_from_the_bytes() -> None:
    msg = Msg("s", "", b"", b"NATS/1.0 409 Consumer Deleted\r\nNats-Pending-Messages: 3\r\n\r\n")
    assert (msg.status, msg.description, msg.headers) == (409, "Consumer Deleted", {"Nats-Pending-Messages": "3"})
    assert Msg("s", "", b"", b"NATS/1.0\r\nA: b\r\n\r\n").status == 0


async def test_too_much_unsent_is_refused_not_lost_in_silence(nats_server: NatsServer) -> None:
    async with connect(nats_server.settings, "test") as bus:
        nats_server.kill()
        with pytest.raises(Busy):
            for _ in range(100):
                bus.publish("into.the.void", b"x" * 1_000_000)

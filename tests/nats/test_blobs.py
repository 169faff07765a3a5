"""The store of originals: what was stored comes back byte for byte, once, whole, or not at all."""

import asyncio
import logging
from collections.abc import AsyncIterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca.config import NatsSettings
from cca.errors import Busy
from cca.nats import names, setup, stored, subjects
from cca.nats.blobs import About, Blob, Blobs, _pieces
from cca.nats.bus import HEADROOM, Bus, connect
from cca.testing.servers import NatsServer
from cca.tokens.markers import decoded, encoded, ref_of

ODD = ("", "\0", "\ud83d", "\ude00\ud83d", "a\r\nb\rc\n", "漢字 🏳️‍🌈 e\u0301", "\N{BOM}\u2028x", '["not", "an index"]')


@pytest.fixture
async def bus(nats: NatsSettings) -> AsyncIterator[Bus]:
    async with connect(nats, "test") as bus:
        await setup.ensure(bus)
        yield bus


@pytest.fixture
def small(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> int:
    """A server whose messages hold little, as far as we are concerned."""
    most = 2 * HEADROOM
    bus.nc._max_payload = most
    return most


def by_ref(*texts: str) -> dict[str, str]:
    return {ref_of(text): text for text in texts}


async def count(bus: Bus) -> int:
    return len(await stored.last_of_each(bus, names.BLOBS, subjects.BLOBS_ALL))


async def test_what_was_stored_comes_back_with_what_is_known_of_it(bus: Bus) -> None:
    texts = by_ref("the original", *ODD)
    about = {ref: About("logs", "backend", 7) for ref in texts}
    await Blobs(bus).put_all(texts, about)
    for ref, text in texts.items():
        assert await Blobs(bus).get(ref) == Blob(text, About("logs", "backend", 7))
    await Blobs(bus).put_all(by_ref("nothing is known"))
    assert await Blobs(bus).get(ref_of("nothing is known")) == Blob("nothing is known")


async def test_what_was_never_stored_is_not_there(bus: Bus) -> None:
    assert await Blobs(bus).get(ref_of("never")) is None
    for odd in ("", "*", ">", "x.y", "a" * 19, "A" * 20, "ctx:" + "a" * 20, "a" * 20 + "\n"):
        assert await Blobs(bus).get(odd) is None


async def test_storing_again_changes_nothing_within_a_day(bus: Bus) -> None:
    texts = by_ref("one", "two")
    await Blobs(bus).put_all(texts)
    first = await stored.last(bus, names.BLOBS, subjects.blob(ref_of("one")))
    await Blobs(bus).put_all(texts, {ref: About("logs") for ref in texts})
    again = await stored.last(bus, names.BLOBS, subjects.blob(ref_of("one")))
    assert first == again and first is not None
    await asyncio.gather(*(Blobs(bus).put_all(texts) for _ in range(20)))
    assert await count(bus) == 2


async def test_a_repetition_that_the_stream_has_forgotten_is_stored_anew(bus: Bus) -> None:
    """Without its window the stream behaves as it does after a day: the newest of a text is kept, and only that."""
    ref, text = ref_of("x"), "x"
    await Blobs(bus).put_all({ref: text})
    first = await stored.last(bus, names.BLOBS, subjects.blob(ref))
    await bus.request(subjects.blob(ref), encoded(text), {"Nats-Msg-Id": "another day"})
    again = await stored.last(bus, names.BLOBS, subjects.blob(ref))
    assert first is not None and again is not None and again.seq > first.seq and again.time > first.time
    assert await count(bus) == 1 and await Blobs(bus).get(ref) == Blob(text)


async def test_a_text_larger_than_a_message_is_stored_in_parts(bus: Bus, small: int) -> None:
    text = "".join(f"line {number} — 漢字 🙂\n" for number in range(2_000))
    blobs = Blobs(bus)
    await blobs.put_all(by_ref(text, "short"), {ref_of(text): About("original", "", 9_000)})
    assert await blobs.get(ref_of(text)) == Blob(text, About("original", "", 9_000))
    raw = await stored.last(bus, names.BLOBS, subjects.blob(ref_of(text)))
    assert raw is not None and int(raw.headers["Cca-Parts"]) > 5
    parts = msgspec.json.decode(raw.body, type=list[str])
    found = [await blobs.get(part) for part in parts]
    assert "".join(blob.text for blob in found if blob) == text
    assert all(len(encoded(blob.text)) <= small - HEADROOM for blob in found if blob)


async def test_a_text_as_large_as_is_looked_at_can_be_stored(bus: Bus) -> None:
    text = "".join(f"{number:>9}\n" for number in range(3_000_000))  # 30 MB: more than a connection holds at once
    await Blobs(bus).put_all(by_ref(text))
    blob = await Blobs(bus).get(ref_of(text))
    assert blob is not None and blob.text == text


async def test_a_text_of_equal_parts_is_whole_again(bus: Bus, small: int) -> None:
    text = "01234567" * 4_096
    await Blobs(bus).put_all(by_ref(text))
    assert await Blobs(bus).get(ref_of(text)) == Blob(text)
    assert await count(bus) == 2


@pytest.mark.parametrize("body", [b"something else", b"\xff\xfe", b""])
async def test_what_is_not_what_its_name_says_is_not_given_out(
    bus: Bus, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    ref = ref_of("the true text")
    await bus.request(subjects.blob(ref), body)
    with caplog.at_level(logging.ERROR):
        assert await Blobs(bus).get(ref) is None
    assert ref in caplog.text


async def test_broken_parts_are_not_put_together(bus: Bus, small: int, caplog: pytest.LogCaptureFixture) -> None:
    text = "".join(f"line {number}\n" for number in range(4_000))
    ref = ref_of(text)
    blobs = Blobs(bus)
    await blobs.put_all(by_ref(text))
    raw = await stored.last(bus, names.BLOBS, subjects.blob(ref))
    assert raw is not None
    parts = msgspec.json.decode(raw.body, type=list[str])
    for index in (b"{", b"[]", b"[1]", b'["x"]', msgspec.json.encode(parts[1:]), msgspec.json.encode([ref] * 3)):
        await bus.request(subjects.blob(ref), index, {"Cca-Parts": "3"})
        assert await blobs.get(ref) is None
    await bus.request(subjects.blob(ref), raw.body, {"Cca-Parts": "3"})
    assert await blobs.get(ref) == Blob(text)
    await bus.nc.jetstream().purge_stream(names.BLOBS, subject=subjects.blob(parts[2]))
    assert await blobs.get(ref) is None
    assert f"its part {parts[2]} is gone" in caplog.text


async def test_a_full_store_says_so_and_keeps_what_it_has(bus: Bus) -> None:
    js = bus.nc.jetstream()
    config = (await js.stream_info(names.BLOBS)).config
    config.max_bytes = 2_000
    await js.update_stream(config)
    await Blobs(bus).put_all(by_ref("kept"))
    with pytest.raises(Busy, match="the store of originals is full"):
        await Blobs(bus).put_all(by_ref(*(f"{number} " * 400 for number in range(10))))
    assert await Blobs(bus).get(ref_of("kept")) == Blob("kept")


async def test_without_a_store_nothing_is_said_to_be_stored(nats: NatsSettings) -> None:
    async with connect(nats, "test") as bus:
        with pytest.raises(Busy, match="the store of originals is not there"):
            await Blobs(bus).put_all(by_ref("x"))
        with pytest.raises(Busy):
            await Blobs(bus).get(ref_of("x"))


async def test_while_nats_is_away_it_is_busy_and_afterwards_all_is_there(nats_server: NatsServer) -> None:
    async with connect(nats_server.settings, "test") as bus:
        await setup.ensure(bus)
        blobs = Blobs(bus)
        await blobs.put_all(by_ref("before"))
        nats_server.kill()
        with pytest.raises(Busy):
            await blobs.get(ref_of("before"))
        storing = asyncio.create_task(blobs.put_all(by_ref("meanwhile")))
        nats_server.start()
        try:
            await storing
        except Busy:
            await blobs.put_all(by_ref("meanwhile"))

        async def there(text: str) -> Blob | None:
            while True:
                try:
                    return await blobs.get(ref_of(text))
                except Busy:
                    await asyncio.sleep(0.05)

        assert await there("before") == Blob("before") and await there("meanwhile") == Blob("meanwhile")


@given(st.text(st.characters(), max_size=60), st.integers(4, 12))
def test_pieces_are_whole_characters_and_nothing_is_lost(text: str, room: int) -> None:
    pieces = list(_pieces(encoded(text), room))
    assert "".join(map(decoded, pieces)) == text
    assert all(0 < len(piece) <= room for piece in pieces)

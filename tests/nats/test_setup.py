"""Streams and consumers as declared: made, kept, changed, and never changed in silence where that is impossible."""

from dataclasses import replace

import pytest
from nats.js.api import RetentionPolicy

from cca.config import NatsSettings
from cca.errors import Misconfigured
from cca.nats import names, setup, streams
from cca.nats.bus import connect


async def test_everything_declared_is_made_and_a_second_time_changes_nothing(
    nats: NatsSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(nats, "test") as bus:
        await setup.ensure(bus)
        js = bus.nc.jetstream()
        for declared in streams.declared():
            assert declared.name
            found = (await js.stream_info(declared.name)).config
            assert setup.difference(declared, found) == []
            assert found.description
        caplog.clear()
        await setup.ensure(bus)
        assert caplog.text == ""


async def test_a_changed_setting_is_put_back(nats: NatsSettings) -> None:
    async with connect(nats, "test") as bus:
        await setup.ensure(bus)
        js = bus.nc.jetstream()
        output = next(one for one in streams.declared() if one.name == names.OUTPUT)
        await js.update_stream(replace(output, max_age=3600))
        await setup.ensure(bus)
        assert (await js.stream_info(names.OUTPUT)).config.max_age == output.max_age


async def test_what_cannot_be_changed_in_place_stops_the_start_and_is_named(nats: NatsSettings) -> None:
    async with connect(nats, "test") as bus:
        tasks = next(one for one in streams.declared() if one.name == names.TASKS)
        await bus.nc.jetstream().add_stream(replace(tasks, retention=RetentionPolicy.LIMITS))
        with pytest.raises(Misconfigured, match=r"CCA_TASKS.*retention"):
            await setup.ensure(bus)

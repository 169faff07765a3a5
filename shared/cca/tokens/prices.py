"""What tokens cost: a table of prices by model, and usage with its cost filled in."""

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from cca.contracts.task import Usage
from cca.errors import Misconfigured

Rate = Annotated[float, Meta(ge=0, le=1_000_000)]

_PREFIX = re.compile(r"^(?:[a-z0-9-]+/)*(?:(?:us|eu|ap|apac|global)\.)?(?:anthropic\.)?")
_GOES_ON = re.compile(r"[-.:@_]|$")
"""What may follow a key in a model's name: `gpt-4` is not what `gpt-4o` begins with."""


class Price(Struct, frozen=True, forbid_unknown_fields=True):
    """What a model costs, in USD per million tokens. Without a price of their own, cached tokens cost as `input`."""

    input: Rate
    output: Rate
    cache_read: Rate | None = None
    cache_write: Rate | None = None

    def cost(self, usage: Usage) -> float:
        """What a usage costs, in USD."""
        read = self.input if self.cache_read is None else self.cache_read
        write = self.input if self.cache_write is None else self.cache_write
        return (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_read_tokens * read
            + usage.cache_write_tokens * write
        ) / 1e6


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    models: dict[str, Price]
    as_of: str = ""


class Prices:
    """A table of prices by the beginnings of models' names."""

    def __init__(self, models: Mapping[str, Price]) -> None:
        self._models = {key.lower(): price for key, price in models.items()}
        self._keys = sorted(self._models, key=len, reverse=True)
        self._found = lru_cache(1_024)(self._find)

    def of(self, model: str) -> Price | None:
        """What a model costs; None when the table does not know it."""
        return self._found(model)

    def _find(self, model: str) -> Price | None:
        name = model.lower()
        for spelt in (name, _PREFIX.sub("", name)):
            for key in self._keys:
                if spelt.startswith(key) and _GOES_ON.match(spelt, len(key)):
                    return self._models[key]
        return None

    def priced(self, usage: Usage) -> Usage:
        """The usage with what it cost, and where that is from. What the worker says goes before the table."""
        if usage.cost_usd > 0:
            return usage if usage.cost_from == "reported" else replace(usage, cost_from="reported")
        price = self.of(usage.model) if usage.model is not None else None
        if price is None:
            return usage if usage.cost_from is None else replace(usage, cost_from=None)
        return replace(usage, cost_usd=price.cost(usage), cost_from="table")


NO_PRICES = Prices({})


def load(own: str | None = None) -> Prices:
    """Our table, and over it that of a file of one's own. Raises `Misconfigured`, naming the file."""
    models = dict(_read(resources.files("cca.tokens").joinpath("prices.toml").read_text("utf-8"), "prices.toml").models)
    if own is not None:
        try:
            text = Path(own).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"tokens.prices: {own} cannot be read: {error}") from None
        models |= _read(text, own).models
    return Prices(models)


def _read(text: str, name: str) -> _File:
    try:
        return msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Misconfigured(f"tokens.prices: {name}: {error}") from None

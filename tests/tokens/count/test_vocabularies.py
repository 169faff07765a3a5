"""Our counts of OpenAI's tokens are those of tiktoken, whatever the text."""

import gzip
import hashlib
from base64 import b64decode
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest
import tiktoken
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from tests.tokens.count.texts import everything, mixture
from tiktoken_ext import openai_public  # type: ignore[import-untyped]  # it carries no types

from cca.tokens.vocabularies import VocabularyName, o200k, vocabulary, well_formed

NAMES: tuple[VocabularyName, ...] = get_args(VocabularyName)
ANYTHING = st.text(st.characters(), max_size=200)  # lone surrogates too


def shipped(name: str) -> bytes:
    """The vocabulary that comes with `bpe-openai`, as the one file that OpenAI publishes."""
    package = find_spec("bpe_openai")
    assert package is not None and package.origin is not None
    return gzip.decompress((Path(package.origin).parent / "data" / f"{name}.tiktoken.gz").read_bytes())


@cache
def reference(name: str) -> tiktoken.Encoding:
    """tiktoken with that vocabulary, after it was found to be what tiktoken would have downloaded."""

    def load(url: str, expected_hash: str) -> dict[bytes, int]:
        body = shipped(name)
        assert url.endswith(f"/{name}.tiktoken")
        assert hashlib.sha256(body).hexdigest() == expected_hash
        return {b64decode(token): int(rank) for token, rank in (line.split() for line in body.splitlines() if line)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_public, "load_tiktoken_bpe", load)
        make: Callable[[], dict[str, object]] = getattr(openai_public, name)
        return tiktoken.Encoding(**make())  # type: ignore[arg-type]  # what tiktoken itself passes


@pytest.mark.parametrize("name", NAMES)
def test_the_vocabulary_is_byte_for_byte_the_one_that_tiktoken_pins(name: VocabularyName) -> None:
    assert reference(name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_counts_equal_those_of_tiktoken_on_two_megabytes_of_code_and_on_everything_else(name: VocabularyName) -> None:
    kernel, theirs, size = vocabulary(name), reference(name), 0
    for what, text in everything():
        assert kernel.count(text) == len(theirs.encode_ordinary(text)), what
        size += len(text.encode())
    assert size >= 2_500_000


@pytest.mark.parametrize("name", NAMES)
def test_the_tokens_themselves_are_those_of_tiktoken(name: VocabularyName) -> None:
    for seed in range(20):
        text = mixture(seed, 60)
        assert list(vocabulary(name).encode(text)) == reference(name).encode_ordinary(text)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=300)
@forall(text=ANYTHING)
def test_any_text_counts_as_with_tiktoken(name: VocabularyName, text: str) -> None:
    assert vocabulary(name).count(well_formed(text)) == len(reference(name).encode_ordinary(text))


@pytest.mark.parametrize("token", ["<|endoftext|>", "<|fim_prefix|>", "<|endofprompt|>"])
def test_what_looks_like_a_special_token_is_ordinary_text(token: str) -> None:
    assert o200k(token) > 1


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("plain é", "plain é"),
        ("a\ud800b", "a\ufffdb"),
        ("\udc00\ud800", "\ufffd\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("\ud83d\ud83d\ude00\ude00", "\ufffd😀\ufffd"),
    ],
)
def test_lone_surrogates_are_replaced_and_pairs_joined(text: str, fixed: str) -> None:
    assert well_formed(text) == fixed


def test_no_text_is_no_tokens() -> None:
    assert o200k("") == 0

"""API keys: long, stored as digests, verified in constant time, written for their owner alone."""

import hmac
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca import keys
from cca.errors import Misconfigured
from cca.keys import Key, Keyring

PEPPER = keys.new_pepper()


def test_a_key_is_recognised_by_its_form_and_has_256_bits() -> None:
    text, stored = keys.new_key(PEPPER, name="admin")
    match = re.fullmatch(r"cca_local_([0-9a-f]{12})_([A-Za-z0-9]{44})", text)
    assert match is not None and match[1] == stored.id
    assert 62**44 > 2**256
    assert len(text) <= 72  # what some password hashes look at


def test_a_key_is_verified_and_says_whose_it_is() -> None:
    text, stored = keys.new_key(PEPPER, name="admin")
    assert Keyring((stored,), PEPPER).verify(text) == stored


def test_the_secret_is_not_in_what_is_stored() -> None:
    text, stored = keys.new_key(PEPPER, name="admin")
    assert text.rpartition("_")[2] not in repr(stored)


def test_a_key_is_worth_nothing_with_another_pepper() -> None:
    text, stored = keys.new_key(PEPPER, name="admin")
    assert Keyring((stored,), keys.new_pepper()).verify(text) is None


@given(st.integers(0, 70), st.characters())
def test_a_key_with_one_character_changed_is_refused(place: int, other: str) -> None:
    text, stored = keys.new_key(PEPPER, name="admin")
    changed = text[:place] + other + text[place + 1 :]
    if changed != text:
        assert Keyring((stored,), PEPPER).verify(changed) is None


@given(st.text(max_size=300))
def test_anything_else_is_refused(text: str) -> None:
    assert Keyring((keys.new_key(PEPPER, name="admin")[1],), PEPPER).verify(text) is None


def test_the_secret_of_one_key_does_not_open_another() -> None:
    one, stored_one = keys.new_key(PEPPER, name="one")
    two, stored_two = keys.new_key(PEPPER, name="two")
    mixed = two.rpartition("_")[0] + "_" + one.rpartition("_")[2]
    assert Keyring((stored_one, stored_two), PEPPER).verify(mixed) is None


@pytest.mark.covers("SEC-002")
def test_every_answer_costs_one_digest_and_one_constant_time_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    text, stored = keys.new_key(PEPPER, name="admin")
    ring = Keyring((stored,), PEPPER)
    work: list[tuple[str, int]] = []
    digest, compare = hmac.digest, hmac.compare_digest

    def counted_digest(key: bytes, message: bytes, kind: str) -> bytes:
        work.append(("digest", len(message)))
        return digest(key, message, kind)

    def counted_compare(one: str, two: str) -> bool:
        work.append(("compare", len(one)))
        assert len(one) == len(two) == 64
        return compare(one, two)

    monkeypatch.setattr(hmac, "digest", counted_digest)
    monkeypatch.setattr(hmac, "compare_digest", counted_compare)
    unknown_id = text.replace(stored.id, "0" * 12)
    wrong_secret = text[:-1] + ("a" if text[-1] != "a" else "b")
    for candidate in (text, unknown_id, wrong_secret, "", "cca_", "x" * 100_000):
        work.clear()
        ring.verify(candidate)
        assert work == [("digest", len(text)), ("compare", 64)], candidate[:20]


def test_a_keys_file_comes_back_as_it_was_saved_and_is_private(tmp_path: Path) -> None:
    text, stored = keys.new_key(PEPPER, name="admin")
    file = tmp_path / "keys.json"
    keys.save(file, (stored, Key(id="12345678", digest="00", name="old")))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert keys.load(file, PEPPER).verify(text) == stored
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


@pytest.mark.parametrize("content", ["", "{", '{"keys": 1}', '{"keys": [{"id": 1}]}'])
def test_a_keys_file_that_is_none_stops_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(Misconfigured, match=r"keys\.json"):
        keys.load(tmp_path / "keys.json", PEPPER)


def test_a_keys_file_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"keys\.json"):
        keys.load(tmp_path / "keys.json", PEPPER)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    keys.write_private(file, "old")
    with pytest.raises(UnicodeEncodeError):
        keys.write_private(file, "\ud800")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]

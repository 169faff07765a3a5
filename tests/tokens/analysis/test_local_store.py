"""A folder of originals: what is put in comes out byte for byte, or not at all."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as forall
from hypothesis import strategies as st

from cca.errors import Refused, Unreadable
from cca.tokens.local_store import LocalStore
from cca.tokens.markers import ref_of

CALM = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def put(store: LocalStore, text: str) -> str:
    ref = ref_of(text)
    store.put_all({ref: text})
    return ref


@CALM
@forall(st.text(st.characters(), max_size=50))
def test_any_text_comes_back_as_it_was(tmp_path: Path, text: str) -> None:
    store = LocalStore(tmp_path / "store")
    for each in (text, text + "\r\n\0\ud800", text * 100):
        assert store.get(put(store, each)) == each


def test_files_and_folder_are_for_their_owner_alone(tmp_path: Path) -> None:
    ref = put(LocalStore(tmp_path / "a" / "store"), "secret")
    assert stat.S_IMODE((tmp_path / "a" / "store" / ref).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a" / "store").stat().st_mode) == 0o700


def test_nothing_but_the_texts_is_left_in_the_folder(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    refs = {put(store, text) for text in ("a", "b", "a")}
    assert {path.name for path in tmp_path.iterdir()} == refs


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for store in (LocalStore(tmp_path / "nowhere"), LocalStore(tmp_path), LocalStore(tmp_path / "file")):
        assert store.get("a" * 20) is None


@pytest.mark.parametrize("ref", ["", "..", "../file", "file", "ctx:" + "a" * 20, "A" * 20])
def test_what_is_no_reference_is_not_looked_for(tmp_path: Path, ref: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "store").mkdir()
    assert LocalStore(tmp_path / "store").get(ref) is None


@pytest.mark.parametrize("body", [b"", b"other", b"\xff\xfe", b"original\n"])
def test_what_was_changed_is_not_taken_for_the_original(tmp_path: Path, body: bytes) -> None:
    store = LocalStore(tmp_path)
    ref = put(store, "original")
    (tmp_path / ref).write_bytes(body)
    with pytest.raises(Unreadable, match=f"{ref}: is not the text that was stored there"):
        store.get(ref)
    put(store, "original")
    assert store.get(ref) == "original"


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Refused, match="cannot be written to"):
        put(LocalStore(tmp_path / "file"), "x")


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(Refused, match="No space left"):
        put(LocalStore(tmp_path), "x")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / ("a" * 20)).mkdir()
    with pytest.raises(Refused, match="cannot be read"):
        LocalStore(tmp_path).get("a" * 20)

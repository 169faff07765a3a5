"""Ids: ordered by time, the same for the same name, and in one form only."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca import ids
from cca.errors import Refused


def test_new_ids_are_version_7_and_in_the_order_in_which_they_were_made() -> None:
    made = [ids.uuid7() for _ in range(1_000)]
    assert len(set(made)) == 1_000
    assert all(uuid.UUID(one).version == 7 and uuid.UUID(one).variant == uuid.RFC_4122 for one in made)
    times = [uuid.UUID(one).int >> 80 for one in made]
    assert times == sorted(times)


@given(st.text(), st.integers(min_value=0, max_value=2**48 - 1))
def test_a_name_and_a_time_make_one_id(name: str, milliseconds: int) -> None:
    encodable = name.encode("utf-8", "ignore").decode()
    made = ids.uuid7_of(encodable, milliseconds)
    assert made == ids.uuid7_of(encodable, milliseconds)
    assert uuid.UUID(made).int >> 80 == milliseconds
    assert str(uuid.UUID(made)) == made and uuid.UUID(made).version == 7


def test_names_that_only_look_alike_make_different_ids() -> None:
    made = {ids.uuid8_of("ab", "c"), ids.uuid8_of("a", "bc"), ids.uuid8_of("", "abc"), ids.uuid8_of("abc")}
    assert len(made) == 4
    assert all(uuid.UUID(one).version == 8 for one in made)


@pytest.mark.covers("STAB-013")
@given(st.uuids())
def test_every_spelling_of_an_id_is_one_id(one: uuid.UUID) -> None:
    for spelling in (str(one), str(one).upper(), one.hex, f"{{{one}}}", one.urn):
        assert ids.task_id(spelling) == str(one)


@given(st.text(max_size=40))
def test_what_is_no_uuid_is_refused(text: str) -> None:
    try:
        expected = str(uuid.UUID(text))
    except ValueError:
        with pytest.raises(Refused) as refused:
            ids.task_id(text)
        assert refused.value.code == "bad-id"
    else:
        assert ids.task_id(text) == expected


@given(st.text(max_size=70))
def test_a_word_is_a_whole_subject_token_and_nothing_else(text: str) -> None:
    try:
        ids.word(text, "a role")
    except Refused:
        return
    assert 1 <= len(text) <= 63
    assert not set(text) & set(" .*>\r\n\t\x00")
    assert text == text.lower()

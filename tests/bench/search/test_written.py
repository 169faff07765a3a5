"""The questions that people wrote hold what is said of them."""

from cca.bench.search.functions import standard_library
from cca.bench.search.written import code_questions, paraphrases
from cca.search.terms import terms


def test_no_question_shares_a_word_with_the_memory_that_answers_it() -> None:
    for one in paraphrases():
        for question in one.questions:
            (answer,) = question.answers
            shared = set(terms(question.text)) & set(terms(one.documents[answer]))
            assert not shared, f"{question.text}: {shared}"


def test_there_are_enough_questions_and_memories_and_none_stands_twice() -> None:
    others, symptoms = paraphrases()
    assert len(others.documents) >= 300
    assert len(others.questions) >= 40 and len(symptoms.questions) >= 40
    assert len(set(others.documents.values())) == len(others.documents)
    texts = [question.text for one in (others, symptoms) for question in one.questions]
    assert len(set(texts)) == len(texts)
    assert symptoms.documents == others.documents and symptoms.of == others.name


def test_of_a_few_the_answers_are_among_the_documents() -> None:
    for one in paraphrases(5, 20):
        assert len(one.documents) == 20 and 0 < len(one.questions) <= 5
        assert all(question.answers <= one.documents.keys() for question in one.questions)


def test_each_question_about_code_names_a_file_that_this_library_has() -> None:
    root = standard_library()
    questions = code_questions()
    assert len(questions) >= 40
    assert len({question.text for question in questions}) == len(questions)
    for question in questions:
        assert any((root / path).is_file() for path in question.answers), question.text


def test_a_definition_answers_by_its_path_and_name() -> None:
    (one,) = code_questions(1)
    assert one.answered_by("shlex.py", "split") and one.answered_by("shlex.py", "shlex.read_token")
    assert not one.answered_by("shlex.py", "quote") and not one.answered_by("other.py", "split")

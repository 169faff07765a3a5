"""Questions that people wrote: about memories in other words than theirs, and about Python's standard library.

Nothing is tuned on them. They are in two text files beside this module.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from msgspec import Struct

from cca.bench.search.sets import Question, Set

_HERE = Path(__file__).parent


class CodeQuestion(Struct, frozen=True):
    """What is asked of code, and what answers it: paths, each with patterns of names (`shlex.*`)."""

    text: str
    answers: dict[str, tuple[str, ...]]

    def answered_by(self, path: str, name: str) -> bool:
        """Whether a definition is what was looked for."""
        return any(fnmatchcase(name, pattern) for pattern in self.answers.get(path, ()))


def paraphrases(queries: int | None = None, documents: int | None = None) -> tuple[Set, Set]:
    """Memories, and questions without a word of what answers them: in other words, and by symptoms; or the first."""
    memories: list[str] = []
    asked: dict[str, list[Question]] = {"? ": [], "! ": []}
    for line in _lines("paraphrases.txt"):
        if line[:2] in asked:
            asked[line[:2]].append(Question(line[2:], frozenset({_id(len(memories) - 1)})))
        elif documents is None or len(memories) < documents:
            memories.append(line)
        else:
            break
    held = {_id(number): text for number, text in enumerate(memories)}
    others, symptoms = (tuple(questions[:queries]) for questions in asked.values())
    return Set("paraphrase", others, held), Set("symptom", symptoms, held, of="paraphrase")


def code_questions(count: int | None = None) -> tuple[CodeQuestion, ...]:
    """The questions about the standard library; all, or the first."""
    found: list[CodeQuestion] = []
    for line in _lines("questions.txt"):
        if line.startswith("? "):
            found.append(CodeQuestion(line[2:], {}))
        else:
            path, *names = line.split()
            found[-1].answers[path] = (*found[-1].answers.get(path, ()), *names)
    return tuple(found[:count])


def _id(number: int) -> str:
    return f"paraphrase-{number:04}"


def _lines(name: str) -> Iterator[str]:
    for line in (_HERE / name).read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()

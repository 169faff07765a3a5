"""What is done in worker processes: look through a directory, and make chunks of files.

The service itself opens no file: a slow disk, a hard pattern or code that takes long holds up a process of the pool.
"""

import hashlib

import msgspec
from msgspec import Struct

from cca.code.chunks import DIGEST, Chunk, chunks, text_of
from cca.code.languages import language_by_look, language_of
from cca.code.roots import content, reason
from cca.code.walk import LARGEST, Listing, Wanted, listing
from cca.contracts.code import CodeLanguage
from cca.errors import Refused
from cca.pool.answers import answered
from cca.search.lexemes import tsvector
from cca.search.terms import terms

WORK = "cca.code.jobs.do"
"""For pools that do nothing else, as in tests."""


class ListFiles(Struct, frozen=True, tag=True):
    """Look through a directory; see `cca.code.walk.listing`. Answer: `Listing`."""

    root: str
    base: str
    under: str
    wanted: Wanted = Wanted()


class Known(Struct, frozen=True):
    """A file, and the digest that it had; None when its chunks are to be made in any case."""

    path: str
    digest: bytes | None = None


class ReadFiles(Struct, frozen=True, tag=True):
    """Read files of the project at `base` and make chunks of them. Answer: `tuple[Made, ...]`, one for each."""

    root: str
    base: str
    files: tuple[Known, ...]
    languages: tuple[CodeLanguage, ...] = ()


ChunkFile = ListFiles | ReadFiles
"""What processes do for the index of code: large jobs, though they say little."""


class Row(Struct, frozen=True):
    """A chunk as it is stored: with its terms as text of a `tsvector`, and how many words there are."""

    chunk: Chunk
    words: int
    terms: str


class Made(Struct, frozen=True):
    """What came of a file.

    Attributes:
        state: `chunked`; `same` as its digest; `skipped`: no text, or too large; `left`: in a language that nobody
            asked for; `gone`; `failed`.
        problem: why it was skipped or failed.
    """

    path: str
    state: str
    digest: bytes = b""
    size: int = 0
    mtime_ns: int = 0
    language: CodeLanguage = "python"
    rows: tuple[Row, ...] = ()
    problem: str = ""


def do(job: bytes) -> bytes:
    """Do a job; what goes wrong is an answer, too."""
    return answered(job, lambda body: chunk_job(_job(body)))


_job = msgspec.msgpack.Decoder(ChunkFile).decode


def chunk_job(job: ChunkFile) -> Listing | tuple[Made, ...]:
    """Do a job. Raises `Refused`."""
    if isinstance(job, ReadFiles):
        return tuple(made(job.root, job.base, known, job.languages) for known in job.files)
    try:
        return listing(job.root, job.base, job.under, job.wanted)
    except OSError as error:
        raise Refused("not-found", reason(error)) from None


def made(root: str, base: str, known: Known, languages: tuple[CodeLanguage, ...] = ()) -> Made:
    """Read a file and make its chunks, unless it is the same as it was."""
    path = known.path
    try:
        body, status = content(root, f"{base}/{path}" if base else path, LARGEST)
    except FileNotFoundError:
        return Made(path, "gone")
    except OSError as error:
        return Made(path, "failed", problem=reason(error))
    digest = hashlib.blake2b(body, digest_size=DIGEST).digest()
    language = language_by_look(language_of(path) or "markdown", path, body)
    about = Made(path, "same", digest, status.st_size, status.st_mtime_ns, language)
    if languages and language not in languages:
        return msgspec.structs.replace(about, state="left")
    if len(body) > LARGEST:
        return msgspec.structs.replace(about, state="skipped", problem=f"larger than {LARGEST:,} bytes")
    if b"\0" in body:
        return msgspec.structs.replace(about, state="skipped", problem="not a text")
    if digest == known.digest:
        return about
    rows = tuple(row(chunk) for chunk in chunks(text_of(body), language, path))
    return msgspec.structs.replace(about, state="chunked", rows=rows)


def row(chunk: Chunk) -> Row:
    """A chunk with its terms."""
    words = terms(f"{chunk.title}\n{chunk.text}")
    return Row(chunk, len(words), tsvector(words))

"""What is known of embedding models: how long their vectors are, how much they take, and how they want to be asked."""

from msgspec import Struct

from cca.embed.embedder import Kind


class Model(Struct, frozen=True):
    """A model.

    Attributes:
        dimension: numbers in a vector when nothing else is asked for; 0 when we do not know.
        tokens: that it takes of one text.
        query, document: what it wants before a text of that kind.
    """

    dimension: int = 0
    tokens: int = 2_048
    query: str = ""
    document: str = ""

    def asked(self, kind: Kind) -> str:
        """What to put before a text."""
        return self.query if kind == "query" else self.document


_PASSAGES = "Represent this sentence for searching relevant passages: "
_INSTRUCT = "Instruct: Given a search query, retrieve relevant passages that answer the query\nQuery: "

_KNOWN: dict[str, Model] = {
    "text-embedding-3-small": Model(1_536, 8_191),
    "text-embedding-3-large": Model(3_072, 8_191),
    "text-embedding-ada-002": Model(1_536, 8_191),
    "voyage-4-large": Model(1_024, 32_000),
    "voyage-4-lite": Model(1_024, 32_000),
    "voyage-4": Model(1_024, 32_000),
    "voyage-3-large": Model(1_024, 32_000),
    "voyage-3.5-lite": Model(1_024, 32_000),
    "voyage-3.5": Model(1_024, 32_000),
    "voyage-code-3": Model(1_024, 32_000),
    "voyage": Model(0, 16_000),
    "nomic-embed-text": Model(768, 2_048, "search_query: ", "search_document: "),
    "nomic-embed-text-v2": Model(768, 512, "search_query: ", "search_document: "),
    "embeddinggemma": Model(768, 2_048, "task: search result | query: ", "title: none | text: "),
    "qwen3-embedding": Model(0, 8_192, _INSTRUCT),
    "mxbai-embed-large": Model(1_024, 512, _PASSAGES),
    "snowflake-arctic-embed2": Model(1_024, 8_192, "query: "),
    "snowflake-arctic-embed-l-v2": Model(1_024, 8_192, "query: "),
    "snowflake-arctic-embed-m-v2": Model(768, 8_192, "query: "),
    "snowflake-arctic-embed": Model(0, 512, _PASSAGES),
    "bge-m3": Model(1_024, 8_192),
    "bge-large-en": Model(1_024, 512, _PASSAGES),
    "bge-base-en": Model(768, 512, _PASSAGES),
    "bge-small-en": Model(384, 512, _PASSAGES),
    "multilingual-e5": Model(0, 512, "query: ", "passage: "),
    "e5-mistral": Model(4_096, 4_096, _INSTRUCT),
    "e5-": Model(0, 512, "query: ", "passage: "),
    "all-minilm": Model(0, 256),
}


def known(name: str) -> Model:
    """What is known of a model, by the longest beginning of its name: `BAAI/bge-m3`, `nomic-embed-text:v1.5`, …"""
    bare = name.lower().rpartition("/")[2]
    # LM Studio has `text-embedding-` before the names of all models.
    names = (bare, bare.removeprefix("text-embedding-"))
    fits = [beginning for beginning in _KNOWN if any(each.startswith(beginning) for each in names)]
    return _KNOWN[max(fits, key=len)] if fits else Model()

"""Imported once by the process that workers are forked from: they share what is loaded here."""

from cca.contracts.tokens import CountTokens
from cca.tokens.counting import counter, o200k
from cca_tokens import work

TEXT = "Vocabularies are read when something is counted."
o200k(TEXT)
counter(CountTokens(()).model).count(TEXT)

__all__ = ["work"]

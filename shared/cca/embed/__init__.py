"""Texts as vectors: texts that mean about the same point in about the same direction."""

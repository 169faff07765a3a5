"""Transcripts as agents leave them, made by seeded programs that know nothing of how text is compressed."""

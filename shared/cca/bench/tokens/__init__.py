"""How well text is compressed: transcripts with planted facts, what of them stays visible, and how fast it goes."""

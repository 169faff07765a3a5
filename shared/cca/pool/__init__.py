"""Processes for what would hold up an event loop: counting, compressing, parsing, embedding."""

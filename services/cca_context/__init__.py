"""Shared context, memories and the index of code: kept, found again, and put to use."""

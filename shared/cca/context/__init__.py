"""Shared context: its names, what the bucket has of it, and how programs ask for it."""

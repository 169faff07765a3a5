"""The tables, and how their rows follow from events."""

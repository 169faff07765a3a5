"""The memory, asked from a program."""

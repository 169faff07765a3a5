"""The economy of tokens: counting them, seeing where they go, and saying the same in fewer. All of it is pure."""

"""The router: the life of a task, from submission to its end."""

"""The gateway: HTTP in, commands and queries out."""

"""What services say to each other: events, commands, replies. Stored for ever: add, never change."""

"""What searches by meaning and by words find, and how fast."""

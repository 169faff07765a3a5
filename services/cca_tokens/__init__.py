"""The token service: counts and compresses text, gives originals back, and says what was spent and saved."""

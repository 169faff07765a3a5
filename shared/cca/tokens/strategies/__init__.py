"""The ways to fold text, a module for each sort of content."""

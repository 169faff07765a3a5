"""A fleet of workers audits a real code base, and loses one of its own half-way."""

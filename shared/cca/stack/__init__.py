"""The embedded stack: a real nats-server, a real PostgreSQL and every service, by one command."""

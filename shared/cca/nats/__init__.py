"""The only modules that import nats-py."""

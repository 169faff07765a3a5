"""What the bus costs and how fast it is, each figure next to the same work on raw nats-py in the same run."""

"""The names of the streams; `streams` declares them."""

TASKS = "CCA_TASKS"
EVENTS = "CCA_EVENTS"
OUTPUT = "CCA_OUTPUT"
DEAD = "CCA_DEAD"
BLOBS = "CCA_BLOBS"
STATE = "CCA_STATE"
"""A bucket: what services note for their next start."""

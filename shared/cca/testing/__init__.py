"""For tests of agents and services: a log in memory, given/when/then, real servers on free ports."""

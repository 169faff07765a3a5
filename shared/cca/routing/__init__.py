"""How a lane is chosen, valued and learned: pure functions and numpy, used by router, learner, CLI and benchmarks."""

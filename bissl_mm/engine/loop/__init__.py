"""Algorithm 1: its order, schedules, progress and resume."""

"""Experiment files: settings, tasks, arms, and what varies."""

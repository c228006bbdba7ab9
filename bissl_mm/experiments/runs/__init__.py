"""From an experiment to its runs, and what each of them does."""

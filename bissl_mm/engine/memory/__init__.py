"""Memory of a run, without a GPU and without data."""

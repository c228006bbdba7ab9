"""Independent parallel runs: workers, stored results, comparison of arms."""

"""Independent runs side by side: workers, results on disk, arms compared."""

"""From file to file, and the values that a run hands on."""

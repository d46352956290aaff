"""Optimisers, the loop that runs them, and when it ends."""

"""The presentation's video: its scenes, how they are put together, its letters."""

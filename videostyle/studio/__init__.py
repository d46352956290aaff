"""The studio: a local page on which looks are tried, runs are queued, and frames are seen as they are painted."""

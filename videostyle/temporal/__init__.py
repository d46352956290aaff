"""All that lies between two frames: cuts, motion, trust, coverage, colour."""

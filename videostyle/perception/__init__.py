"""What the eye compares: a network's features, the losses on them, and their gradient. Needs torch only."""

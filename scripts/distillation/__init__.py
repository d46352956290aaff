"""Training of the embedded network: what ``scripts/train_compact.py`` is made of."""

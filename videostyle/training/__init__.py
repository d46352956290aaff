"""Training a style network: material that moves by known motions, the training loop, the report card."""

"""What is minimised, and its gradient with respect to features and pixels. Needs torch only."""

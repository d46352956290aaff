"""The drawing code behind `scripts/make_samples.py`: one module per family of pictures, NumPy and OpenCV only."""

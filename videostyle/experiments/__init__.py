"""The presentation's experiments: recipes as data, the runner, the figures, the gallery page and the demo video."""

"""How good a stylised clip is."""

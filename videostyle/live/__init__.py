"""Painting while it happens: from a camera, a pipe or a clip to a window, a virtual camera or a file."""

"""Everything that knows FFmpeg or an image file."""

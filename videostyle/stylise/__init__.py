"""The core: frames in, stylised frames out. Needs torch, numpy and cv2; knows no files."""

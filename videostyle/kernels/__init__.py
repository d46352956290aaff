"""Triton kernels for GPUs. Each does what a few PyTorch operations beside its call do elsewhere."""

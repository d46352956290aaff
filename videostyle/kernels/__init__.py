"""Our own kernels for GPUs, in Triton. Every one has a plain twin where it is used."""

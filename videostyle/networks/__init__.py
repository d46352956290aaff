"""The networks whose features are compared, and their weights. Needs torch, numpy and safetensors only."""

"""Many machines: shots and clips as tasks for processes of this machine or a cluster."""

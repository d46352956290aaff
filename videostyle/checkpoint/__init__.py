"""The run directory beside an output: what a run that was stopped goes on from."""

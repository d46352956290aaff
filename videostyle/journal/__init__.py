"""The run directory beside an output: finished frames, the state between two of them, and what both were made from."""

from videostyle.journal.directory import RunDirectory, States, directory_of, is_published

__all__ = ["RunDirectory", "States", "directory_of", "is_published"]

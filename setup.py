"""What pyproject.toml cannot say: the packages are found by name, and `samples/` travels in the wheel as one more."""

from setuptools import find_namespace_packages, setup

setup(packages=[*find_namespace_packages(include=["videostyle*"]), "videostyle._samples"])

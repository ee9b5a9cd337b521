"""The build backend of a stand-in for LeukoSR, which needs no setuptools and no index."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile


def write_wheel(folder: Path, name: str) -> str:
    """Write a wheel with one module that says it is whole; the wheel's name."""
    info, wheel = f"{name}-1.0.dist-info", f"{name}-1.0-py3-none-any.whl"
    with ZipFile(folder / wheel, "w") as file:
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{name}.py", "whole = True\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return wheel


def build_editable(wheel_directory: str, config_settings: object = None, metadata_directory: object = None) -> str:
    """PEP 660's hook, which pip calls for `pip install --editable`."""
    return write_wheel(Path(wheel_directory), "leukosr")

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "requirements"


@pytest.fixture(scope="session")
def script() -> Callable[[str], Any]:
    """Import a script of `requirements/` by its name."""

    def load(name: str) -> Any:
        spec = importlib.util.spec_from_file_location(f"requirements_{name}", FOLDER / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load

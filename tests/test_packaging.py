import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_package_list_matches_the_tree() -> None:
    declared = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )
    present = {"weft"}
    for tree in ("hw", "sw", "sim", "configs"):
        present |= {
            ".".join(("weft", *path.parent.relative_to(ROOT).parts))
            for path in (ROOT / tree).rglob("__init__.py")
        }
    present |= {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "weft").rglob("__init__.py")
    }
    assert declared == present


def test_every_module_stands_in_a_package() -> None:
    for tree in ("hw", "sw", "sim", "weft"):
        for path in (ROOT / tree).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), path


@pytest.mark.parametrize("tree", ["hw", "sw", "sim"])
def test_import_by_folder_name_is_refused(tree: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {tree}"], cwd=ROOT, capture_output=True, text=True
    )
    assert f"import weft.{tree}, not {tree}" in done.stderr


def test_gateware_pulls_in_no_driver_and_no_simulator() -> None:
    code = (
        "import sys, weft.hw.top;"
        "print([n for n in sys.modules if n.startswith(('weft.sw', 'weft.sim', 'weft.cli'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""What is kept in a cache belongs to the gateware that this process has loaded."""

from pathlib import Path

import pytest

from weft.config import load_config
from weft.engines import model_source


def test_an_edited_source_is_not_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config("tiny")
    before = model_source(config).identity
    assert before is not None
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"# edited")
    assert model_source(config).identity == before
    assert model_source(config, observed=True).identity != before

"""Configurations by name or by file."""

from importlib.resources import as_file, files
from pathlib import Path

from .hw.config import AcceleratorConfig
from .hw.errors import ConfigError

__all__ = ["DEFAULT_CONFIG", "config_names", "load_config"]

DEFAULT_CONFIG = "datamaestro"


def config_names() -> list[str]:
    """The configurations that come with weft."""
    entries = (Path(entry.name) for entry in files("weft.configs").iterdir())
    return sorted(entry.stem for entry in entries if entry.suffix == ".toml")


def load_config(name_or_path: str | Path) -> AcceleratorConfig:
    """The configuration called `name_or_path`, or the one in the ``.toml`` file it points to.

    Raises :class:`~weft.hw.errors.ConfigError` for a name that is none and for any flaw of a file.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith(".toml"):
        return AcceleratorConfig.from_toml(Path(name_or_path))
    if name_or_path not in config_names():
        raise ConfigError(
            "config", name_or_path, f"must be a .toml file or one of {', '.join(config_names())}"
        )
    with as_file(files("weft.configs") / f"{name_or_path}.toml") as path:
        return AcceleratorConfig.from_toml(path)

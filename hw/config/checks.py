"""What every parameter's check says and raises."""

from ..errors import ConfigError

__all__ = ["check", "check_range", "is_power_of_two"]


def check(condition: bool, name: str, value: object, rule: str) -> None:
    """Raise a `ConfigError` that names all three unless `condition`."""
    if not condition:
        raise ConfigError(name, value, rule)


def check_range(name: str, value: object, low: int, high: int) -> None:
    """Raise a `ConfigError` unless `value` is an integer from `low` to `high`."""
    check(
        isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
        name,
        value,
        f"must be an integer from {low} to {high}",
    )


def is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0

"""The exceptions of weft: one base, so that a caller can catch them all."""

__all__ = ["ConfigError", "WeftError"]


class WeftError(Exception):
    """Base of every error that weft raises on purpose; its text is one line for the user."""


class ConfigError(WeftError, ValueError):
    """A design-time parameter is impossible: names the field, the value and the rule."""

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"{field} = {value!r}: {rule}")
        self.field = field
        self.value = value
        self.rule = rule

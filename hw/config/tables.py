"""From the tables of a file to the dataclass that each describes."""

import dataclasses
from typing import Any, get_args

from .checks import check

__all__ = ["build"]


def build(section: Any, values: Any, where: str) -> Any:
    """A `section`, a dataclass, of the table `values`, which stands at `where`.

    An unknown key, a missing one or a wrong type is a `ConfigError`; a list becomes a tuple.
    """
    check(isinstance(values, dict), where, values, "must be a table")
    fields = {entry.name: entry for entry in dataclasses.fields(section)}
    for key, value in values.items():
        check(key in fields, f"{where}.{key}", value, f"is none of {', '.join(fields)}")
    for entry in fields.values():
        required = entry.default is dataclasses.MISSING
        required = required and entry.default_factory is dataclasses.MISSING
        check(entry.name in values or not required, f"{where}.{entry.name}", None, "must be given")
    converted = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    for key, value in converted.items():
        kind: Any = fields[key].type
        if kind in (int, str, bool):
            rule = f"must be of type {kind.__name__}"
            check(type(value) is kind, f"{where}.{key}", value, rule)
        elif kind in (tuple[int, ...], tuple[str, ...]):
            item = get_args(kind)[0]
            good = isinstance(value, tuple) and all(type(one) is item for one in value)
            rule = f"must be a list of {'integers' if item is int else 'strings'}"
            check(good, f"{where}.{key}", value, rule)
    return section(**converted)

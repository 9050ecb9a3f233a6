"""Parses YAML from untrusted sources: small files, with the safe loader, without aliases and duplicate keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from aesweep.process.errors import StudyError

MAX_FILE_BYTES = 1_000_000


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, without aliases (a small file could grow without bound) and without duplicate keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, "aliases are not allowed; write the value out", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        mapping = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, (str, int, float, bool)):
                raise yaml.constructor.ConstructorError(None, None, "expected a plain key", key_node.start_mark)
            if key in mapping:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            mapping[key] = self.construct_object(value_node, deep=True)
        return mapping


# Numbers as YAML 1.2 writes them. YAML 1.1 reads 1:30 as 90, and parsing a long 1:1:1:... would take hours.
_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_INT, _FLOAT)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(
        r"[-+]?(?:\d[\d_]*(?:\.[\d_]*(?:[eE][-+]?\d+)?|[eE][-+]?\d+)|\.\d+(?:[eE][-+]?\d+)?|\.inf)$|\.nan$", re.I
    ),
    list("-+0123456789."),
)
_Loader.add_implicit_resolver(
    _INT, re.compile(r"[-+]?(?:0|[1-9][\d_]*|0b[01_]+|0o?[0-7_]+|0x[\da-fA-F_]+)$"), list("-+0123456789")
)
_Loader.add_constructor(
    yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, lambda loader, node: loader.construct_mapping(node, deep=True)
)


def read_yaml(path: Path) -> Any:
    """Reads plain values from a YAML file. Raises StudyError for a file that is not small, well-formed and safe."""
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise StudyError(str(path), [f"cannot be read: {error.strerror}"]) from error
    if len(text) > MAX_FILE_BYTES:
        raise StudyError(str(path), [f"is larger than {MAX_FILE_BYTES:,} bytes; a study file is a page of text"])
    return parse_yaml(text, str(path))


def parse_yaml(text: bytes | str, source: str) -> Any:
    """Parses plain values from YAML. Raises StudyError, which names `source`, if it is not well-formed and safe."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader derives from SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise StudyError(source, [f"{place}{error.problem}"]) from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StudyError(source, [f"is not readable as YAML: {reason}"]) from error

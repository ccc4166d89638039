"""The datasets that a pack declares: a folder of YAML files, one per field; every error names file and line.

A file is a mapping of dataset ids to the fields of `schemas.dataset.Dataset`. What its `defaults` say holds for each of
its datasets that does not say otherwise; `null` takes a default away.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from schemas.dataset import Dataset, DatasetId
from schemas.errors import PackError

DEFAULTS = "defaults"
TAGS = ("by", "rule", "shape")
"""What tells the kinds of connectors, rules and geometries apart."""

_ID: TypeAdapter[str] = TypeAdapter(DatasetId)
# The C parser reads the same in a tenth of the time, where libyaml is there.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_datasets(folder: Path) -> dict[str, Dataset]:
    """The datasets of all `*.yaml` of a folder by id, in the order of the files' names; `{}` where there is no folder.

    Raises `PackError` with file and line for the first violation: YAML that cannot be read, a key or an id used twice,
    a field that is unknown, missing or out of range, a column named that does not exist.
    """
    found: dict[str, Dataset] = {}
    places: dict[str, str] = {}
    for path in sorted(folder.glob("*.yaml")):
        for name, line, dataset in _read(path):
            if name in found:
                raise PackError(path.name, line, f"{name!r} stands in {places[name]} already")
            found[name], places[name] = dataset, f"{path.name}:{line}"
    return found


def with_changes(datasets: Mapping[str, Dataset], path: Path) -> dict[str, Dataset]:
    """The datasets with what a file of the same form says of some of them, a connector for example; others are new.

    Raises `PackError` as `load_datasets`, and where there is no such file.
    """
    if not path.is_file():
        raise PackError(str(path), 0, "there is no such file of datasets")
    before = {name: one.model_dump(mode="json", exclude_unset=True) for name, one in datasets.items()}
    return {**datasets, **{name: dataset for name, _, dataset in _read(path, before)}}


def _read(path: Path, before: Mapping[str, dict[str, Any]] | None = None) -> Iterator[tuple[str, int, Dataset]]:
    root = _compose(path)
    entries = {key.value: (key, value) for key, value in root.value}
    _, shared = entries.pop(DEFAULTS, (None, None))
    defaults = {} if shared is None else _fields(path, shared)
    for name, (key, node) in entries.items():
        line = key.start_mark.line + 1
        fields = (before or {}).get(name, {}) | defaults | _fields(path, node)
        try:
            yield _ID.validate_python(name), line, Dataset.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            where, reason = first["loc"], first["msg"].removeprefix("Value error, ")
            said = ".".join((name, *map(str, where)))
            at = _line(node, where) or (_line(shared, where) if where and where[0] in defaults else None) or line
            raise PackError(path.name, at, f"{said}: {reason}") from error


def _compose(path: Path) -> yaml.MappingNode:
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), _Loader)
    except UnicodeDecodeError as error:
        raise PackError(path.name, 1, f"not readable as UTF-8: {error.reason} at byte {error.start}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PackError(path.name, line, f"not readable as YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise PackError(path.name, 1, f"not readable as YAML: {error}") from error
    if not isinstance(root, yaml.MappingNode):
        raise PackError(path.name, 1, "a file of datasets is a mapping of their ids to their fields")
    _once(path, root)
    return root


def _once(path: Path, root: yaml.Node) -> None:
    """YAML would let the last of two equal keys win, and say nothing."""
    nodes, seen = [root], set[int]()
    while nodes:
        node = nodes.pop()
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
            continue
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise PackError(path.name, line, "a key is a plain text")
            if key.value in lines:
                raise PackError(path.name, line, f"{key.value!r} stands in line {lines[key.value]} already")
            lines[key.value] = line
            nodes.append(value)


def _fields(path: Path, node: yaml.Node) -> dict[str, Any]:
    line = node.start_mark.line + 1
    try:
        loader = _Loader("")
        fields = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else line
        raise PackError(path.name, line, f"not readable as YAML: {error.problem}") from error
    except ValueError as error:  # such as the 31st of June
        raise PackError(path.name, line, f"below here a value cannot be read: {error}") from error
    if not isinstance(fields, dict):
        raise PackError(path.name, line, "a dataset is a mapping of its fields")
    return fields


def _line(node: yaml.Node | None, where: tuple[int | str, ...]) -> int | None:
    """The line of the deepest part of `where` that the file has; None where it has not even the first."""
    line, tagged = None, None
    for part in where:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            found = {key.value: (key.start_mark.line + 1, value) for key, value in node.value}
            # Pydantic names the kind of a connector, a rule or a geometry on the way, too, which is no key.
            if node is not tagged and any(found[tag][1].value == part for tag in TAGS if tag in found):
                tagged = node
            elif part in found:
                line, node = found[part]
    return line

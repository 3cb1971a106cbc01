"""The wandb client that is installed: how new it is, and the GraphQL operations that it sends."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    GraphQLError,
    TypeInfo,
    TypeInfoVisitor,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_named_type,
    parse,
    print_ast,
    visit,
)

from goemo_report.sources.wandb_api.credentials import client_version
from tests.wandb_server.api import schema

newest_client = pytest.mark.skipif(
    client_version() < (0, 31), reason="looks at what only the newest client has"
)

_TEMPLATE = re.compile(r"(\.\.\.)?\{\w*\}|\{\{|\}\}")
_NAMED = re.compile(rb"\b(?:query|mutation|fragment) \w+")
_START = re.compile(rb"\b(?:query|mutation|fragment) \w+[^{}\"`]{0,4000}\{")


def client_documents() -> Iterator[DocumentNode]:
    """Operations of the client's Python half, then those in the binary of its Go half."""
    import wandb

    root = Path(wandb.__file__).parent
    for path in sorted(root.rglob("*.py")):
        code = path.read_bytes()
        if "vendor" not in path.parts and _NAMED.search(code):
            for text in _strings(ast.parse(code)):
                yield from _parsed(text)
                yield from _parsed(_TEMPLATE.sub(_filled, text))
    for definition in _in_binary((root / "bin" / "wandb-core").read_bytes()):
        yield from _parsed(definition)


def _parsed(text: str) -> Iterator[DocumentNode]:
    if re.search(r"\b(query|mutation|fragment)\b", text) and "{" in text:
        try:
            yield parse(text)
        except GraphQLError:
            return  # prose, or half a document


def _strings(tree: ast.AST) -> Iterator[str]:
    """String literals; the values of f-strings become empty placeholders."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)
            yield _TEMPLATE.sub(_filled, "".join(map(str, parts)))


def _filled(found: re.Match[str]) -> str:
    """A template's braces; the name of a fragment that is put in does not matter here."""
    if found[0] in {"{{", "}}"}:
        return found[0][0]
    return "...F" if found[1] else ""


def _in_binary(data: bytes) -> Iterator[str]:
    """Definitions: a Go binary keeps its strings end to end."""
    for found in _START.finditer(data):
        depth, end = 1, found.end()
        while depth and end < found.end() + 20_000:
            depth += {b"{": 1, b"}": -1}.get(data[end : end + 1], 0)
            end += 1
        yield data[found.start() : end].decode("utf-8", "replace")


class Uses(Visitor):
    """What documents use of the schema: `Type.field`, and `Type.field(argument: type)` with the
    type of the variable that the argument gets. `literals` are arguments without a variable."""

    def __init__(self) -> None:
        super().__init__()
        self.literals: set[str] = set()
        self._used: set[str] = set()
        self._open: set[tuple[str, str]] = set()  # arguments in fragments, and their variables
        self._declared: dict[str, set[str]] = {}
        self._here: dict[str, str] = {}
        self._types = TypeInfo(schema())
        self._field = ""

    def add(self, document: DocumentNode) -> None:
        """Take in a document; fields that the stand-in's schema lacks are passed over."""
        self._here = {}
        visit(document, TypeInfoVisitor(self._types, self))

    def names(self) -> set[str]:
        """Of everything taken in. Fragments use the variables of any operation, by name."""
        return self._used | {
            f"{place}: {kind})"
            for place, variable in self._open
            for kind in self._declared.get(variable, ())
        }

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: object) -> None:
        name, kind = node.variable.name.value, print_ast(node.type).rstrip("!")
        self._here[name] = kind
        self._declared.setdefault(name, set()).add(kind)

    def enter_field(self, node: FieldNode, *_: object) -> None:
        self._field = node.name.value
        if parent := self._types.get_parent_type():
            self._used.add(f"{get_named_type(parent)}.{node.name.value}")

    def enter_argument(self, node: ArgumentNode, *_: object) -> None:
        if not (parent := self._types.get_parent_type()):
            return
        place = f"{get_named_type(parent)}.{self._field}({node.name.value}"
        if not isinstance(node.value, VariableNode):
            self.literals.add(f"{place}: {print_ast(node.value)})")
        elif kind := self._here.get(node.value.name.value):
            self._used.add(f"{place}: {kind})")
        else:
            self._open.add((place, node.value.name.value))

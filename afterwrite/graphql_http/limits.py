"""Limits on the size and shape of a document, checked before validation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

from afterwrite.graphql_http.errors import VALIDATION_FAILED, GraphQLRefusal


@dataclass(frozen=True)
class Limits:
    """The limits of one request. The defaults leave room for GraphiQL's introspection query.

    That query has 15 levels and 239 fields with its fragments expanded, and no alias, directive or repeated field. The
    worst documents found take about 0.1 s to validate or to refuse, half of it for reading 10,000 tokens
    (`test_graphql_http_limits.py` has them); without `max_comparisons` it would be 1.5 s. `max_cost` bounds the
    work of the resolvers.

    A refusal names its limit in capitals, like the application's setting; those in `FIXED` are not settings.
    """

    max_body_bytes: int = 4 * 1024 * 1024  # 1,000 products with long descriptions, sent as variables
    max_document_chars: int = 256 * 1024  # the lexer is slow; long values belong into variables
    max_tokens: int = 10_000
    max_operations: int = 20  # validation visits each fragment once for each operation
    max_depth: int = 20
    max_aliases: int = 100
    max_root_fields: int = 50
    max_directives: int = 100
    max_fields: int = 5_000  # with every fragment expanded
    # Of fields with one name, and of fragments, for merging: quadratic.
    max_comparisons: int = 10_000
    max_errors: int = 50
    max_cost: int = 50_000  # fields resolved; 500 products with 14 fields each are 7,500
    assumed_page_size: int = 50  # of a paged field if neither the request nor the schema sets a size
    document_cache_size: int = 1_000

    def check(self, name: str, found: int, what: str, advice: str) -> None:
        """Refuse a document that has ``found`` of ``what``, if that exceeds the limit called ``name``."""
        maximum: int = getattr(self, name)
        if found > maximum:
            setting = "" if name in FIXED else f" ({name.upper()})"
            message = f"This document has {found} {what}; the limit is {maximum}{setting}. {advice}"
            extensions = {"code": VALIDATION_FAILED, "limit": name, "maximum": maximum, "found": found}
            raise GraphQLRefusal([{"message": message, "extensions": extensions}])


FIXED = frozenset({"max_document_chars", "max_operations", "max_fields", "max_comparisons"})


def check_length(source: str, limits: Limits) -> None:
    """Refuses a document that is too long to parse."""
    advice = "Send values as variables instead of writing them into the document."
    limits.check("max_document_chars", len(source), "characters", advice)


def check_shape(document: DocumentNode, limits: Limits) -> None:
    """Refuses a document that exceeds a limit on its shape, in time linear in those limits.

    Fragments count at every spread, as in execution. The walk ends at the first exceeded limit, so fragments that
    spread each other twice cannot make it exponential. The document must have no fragment cycle.
    """
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    limits.check("max_operations", len(operations), "operations", "Send fewer operations at once.")
    fragments = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    walk = _Walk(fragments, limits)
    for operation in operations:
        walk.enter(operation)
    for fragment in fragments:
        if id(fragment) not in walk.reached:
            walk.enter(fragment)


class _Level:
    """The selections that merge into one object of the response: how often each name occurs, and its sub-levels."""

    __slots__ = ("below", "counts", "spreads")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.below: dict[str, _Level] = {}
        self.spreads = 0


class _Walk:
    """Counts selections over all definitions of one document."""

    def __init__(self, fragments: Iterable[FragmentDefinitionNode], limits: Limits) -> None:
        self._check = limits.check
        self._fragments = {node.name.value: node for node in fragments}
        self.reached: set[int] = set()
        self._selections = self._aliases = self._directives = self._comparisons = 0

    def enter(self, definition: OperationDefinitionNode | FragmentDefinitionNode) -> None:
        self.reached.add(id(definition))
        self._count_directives(definition, *(definition.variable_definitions or ()))
        root = _Level()
        stack = [(definition.selection_set, 1, root)]
        while stack:
            selection_set, depth, level = stack.pop()
            for node in selection_set.selections:
                self._count_selection(node)
                below = self._below(node)
                if isinstance(node, FieldNode):
                    name = self._count_field(node, depth, level)
                    if below is not None:
                        stack.append((below, depth + 1, level.below.setdefault(name, _Level())))
                elif below is not None:
                    stack.append((below, depth, level))
                    if isinstance(node, FragmentSpreadNode):
                        self._count_comparisons(level.spreads)
                        level.spreads += 1
            if level is root:
                count = sum(root.counts.values())
                self._check("max_root_fields", count, "root fields or more", "Send several requests.")

    def _below(self, node: SelectionNode) -> SelectionSetNode | None:
        if not isinstance(node, FragmentSpreadNode):
            below: SelectionSetNode | None = getattr(node, "selection_set", None)
            return below
        fragment = self._fragments.get(node.name.value)  # validation reports an unknown one
        if fragment is None:
            return None
        if id(fragment) not in self.reached:
            self.reached.add(id(fragment))
            self._count_directives(fragment)
        return fragment.selection_set

    def _count_selection(self, node: SelectionNode) -> None:
        self._selections += 1
        what = "fields or more with its fragments expanded"
        self._check("max_fields", self._selections, what, "Ask for fewer fields, or in several requests.")
        self._count_directives(node)

    def _count_field(self, node: FieldNode, depth: int, level: _Level) -> str:
        name = node.alias.value if node.alias else node.name.value
        self._check("max_depth", depth, "levels or more", "Nest fewer fields.")
        self._aliases += node.alias is not None
        self._check("max_aliases", self._aliases, "aliases or more", "Use fewer aliases, or send several requests.")
        count = level.counts.get(name, 0)
        level.counts[name] = count + 1
        self._count_comparisons(count)
        return name

    def _count_comparisons(self, more: int) -> None:
        self._comparisons += more
        what = "pairs or more of fields with one name, or of fragments, to compare"
        self._check("max_comparisons", self._comparisons, what, "Ask for each field once.")

    def _count_directives(self, *nodes: Any) -> None:
        self._directives += sum(len(node.directives) for node in nodes if node.directives)
        self._check("max_directives", self._directives, "directives or more", "Use fewer directives.")


def has_fragment_cycle(document: DocumentNode) -> bool:
    """Tells whether a fragment spreads itself, directly or through others, in linear time."""
    fragments = (node for node in document.definitions if isinstance(node, FragmentDefinitionNode))
    try:
        TopologicalSorter({node.name.value: _spread_names(node.selection_set) for node in fragments}).prepare()
    except CycleError:
        return True
    return False


def _spread_names(selection_set: SelectionSetNode) -> Iterator[str]:
    stack = [selection_set]
    while stack:
        for node in stack.pop().selections:
            if isinstance(node, FragmentSpreadNode):
                yield node.name.value
            elif node.selection_set is not None:  # type: ignore[attr-defined]
                stack.append(node.selection_set)  # type: ignore[attr-defined]

"""Parses, validates and compiles GraphQL documents, with a cache of documents and of errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    ValidationRule,
    specified_rules,
)
from graphql.validation import NoFragmentCyclesRule

from afterwrite.graphql_http.bounded import BoundedStore
from afterwrite.graphql_http.compiled import CompiledOperation, InterpretedOperation
from afterwrite.graphql_http.cost import Cost, CostCounter
from afterwrite.graphql_http.errors import (
    BAD_USER_INPUT,
    PARSE_FAILED,
    VALIDATION_FAILED,
    GraphQLRefusal,
    coded,
    presentable,
)
from afterwrite.graphql_http.half_time import HalfTime
from afterwrite.graphql_http.limits import Limits, check_length, check_shape, has_fragment_cycle
from afterwrite.graphql_http.parsing import parse_document
from afterwrite.graphql_http.strict_json import vanishes
from afterwrite.graphql_http.validation import Validator
from afterwrite.graphql_http.wider_scalars import read_as_wider_scalars

# A syntax tree takes 130 to 350 times the memory of its text, so all of them together take 35 to 90 MB.
MAX_CACHED_CHARS = 16 * 1024
MAX_CACHED_CHARS_TOTAL = 256 * 1024


class Operation:
    """One operation of a valid document; thread-safe."""

    def __init__(
        self, executable: InterpretedOperation, cost: Cost, definition: OperationDefinitionNode, document: Document
    ) -> None:
        self.executable = executable
        self.cost = cost
        self.definition = definition
        self.document = document
        self.kind: str = definition.operation.value
        self.root_fields = _root_fields(definition, document.fragments)


class Document:
    """A valid document. Its operations are compiled on second use: many documents are used once."""

    def __init__(
        self,
        schema: GraphQLSchema,
        syntax: DocumentNode,
        limits: Limits,
        *,
        hide_suggestions: bool = False,
        compiled: bool = True,
    ) -> None:
        self.schema = schema
        self._hide_suggestions = hide_suggestions
        self._prepared = CompiledOperation if compiled else InterpretedOperation
        self.fragments: dict[str, FragmentDefinitionNode] = {}
        self._syntax = syntax
        self._definitions: dict[str | None, OperationDefinitionNode] = {}
        for node in syntax.definitions:
            if isinstance(node, FragmentDefinitionNode):
                self.fragments[node.name.value] = node
            elif isinstance(node, OperationDefinitionNode):
                self._definitions[node.name.value if node.name else None] = node
        self._used: set[str | None] = set()
        self._operations: dict[str | None, Operation] = {}
        self._costs = CostCounter(schema, self.fragments, limits.assumed_page_size)

    def operation(self, name: str | None) -> Operation:
        """Returns the operation called `name`; without a name, the only one there is."""
        operation = self._operations.get(name)
        if operation is not None:
            return operation
        if name in self._used:
            return self._operations.setdefault(name, self._prepare(name, self._prepared))
        operation = self._prepare(name, InterpretedOperation)
        self._used.add(name)
        return operation

    def _prepare(self, name: str | None, prepared: type[InterpretedOperation]) -> Operation:
        definition = self._definitions.get(name)
        if name is None and len(self._definitions) == 1:
            definition = next(iter(self._definitions.values()))
        if definition is None:
            raise GraphQLRefusal([coded(GraphQLError(self._unknown(name)), BAD_USER_INPUT)])
        executable = prepared(self.schema, self._syntax, definition, hide_suggestions=self._hide_suggestions)
        return Operation(executable, self._costs.count(definition), definition, self)

    def _unknown(self, name: str | None) -> str:
        if not self._definitions:
            return "This document has no operation, only fragments. Add a query, a mutation or a subscription."
        if name is None:
            count = len(self._definitions)
            return f"This document has {count} operations. Say which one to run with operationName."
        return f"Unknown operation named '{name}'. Send the name of an operation in this document."


def _root_fields(
    definition: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]
) -> frozenset[str]:
    """Returns the names of the root fields, including those in fragments and skipped ones."""
    names = set()
    stack, spread = [definition.selection_set], set[str]()
    while stack:
        for node in stack.pop().selections:
            if isinstance(node, FieldNode):
                names.add(node.name.value)
            elif isinstance(node, InlineFragmentNode):
                stack.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
                spread.add(node.name.value)
                stack.append(fragments[node.name.value].selection_set)
    return frozenset(names)


class _NoUnderflow(ValidationRule):
    """Refuses a number that underflows to 0 as a float, such as ``1e-400``."""

    def enter_float_value(self, node: FloatValueNode, *_: Any) -> None:
        """Check a literal; the JSON decoder checks variables."""
        if vanishes(node.value):
            message = f"The number {node.value[:60]} is too small: a Float would hold 0 in its place"
            self.report_error(GraphQLError(message, node))


class DocumentStore:
    """Returns the document for a source text or raises its errors, with a bounded cache of both; thread-safe."""

    def __init__(
        self, schema: GraphQLSchema, limits: Limits, *, introspection: bool = True, compiled: bool = True
    ) -> None:
        self._schema = schema
        self._compiled = compiled
        self._limits = limits
        self._hide_suggestions = not introspection
        rules = [*specified_rules, _NoUnderflow]
        if not introspection:
            rules.append(NoSchemaIntrospectionCustomRule)
        self._validator = Validator(
            schema, rules, max_errors=limits.max_errors, hide_suggestions=self._hide_suggestions
        )
        self._cycles = Validator(schema, [NoFragmentCyclesRule], max_errors=limits.max_errors)
        size = limits.document_cache_size
        bounds = {"max_chars": MAX_CACHED_CHARS_TOTAL, "max_chars_each": MAX_CACHED_CHARS}
        self._documents = BoundedStore[Document](size, **bounds)
        # By the SHA-256 of the text. A cache of its own, so that wrong documents evict no valid one.
        self._wrong = BoundedStore[list[dict[str, Any]]](size, **bounds)
        self._reading = HalfTime()

    def get(self, source: str) -> Document:
        """Returns the valid document for `source`.

        The result depends on the text alone, not on the caller, the variables or the chosen operation.

        Raises:
            GraphQLRefusal: it does not parse, exceeds a limit or is not valid for the schema.
        """
        document = self._documents.get(source)
        if document is not None:
            return document
        check_length(source, self._limits)
        digest = sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
        self._refuse_if_wrong(digest)
        with self._reading:
            return self._documents.get(source) or self._read_unknown(source, digest)

    def _refuse_if_wrong(self, digest: str) -> None:
        errors = self._wrong.get(digest)
        if errors is not None:
            raise GraphQLRefusal(errors)

    def _read_unknown(self, source: str, digest: str) -> Document:
        self._refuse_if_wrong(digest)  # another thread has just read it
        try:
            syntax = self._read(source)
        except GraphQLRefusal as refusal:
            self._wrong.keep(digest, refusal.errors, len(digest) + len(json.dumps(refusal.errors)))
            raise
        document = Document(
            self._schema, syntax, self._limits, hide_suggestions=self._hide_suggestions, compiled=self._compiled
        )
        self._documents.keep(source, document, len(source))
        return document

    def __len__(self) -> int:
        return len(self._documents)

    def check_cost(self, operation: Operation, variables: dict[str, Any]) -> None:
        """Refuses an operation whose cost exceeds the limit."""
        # Page sizes may have thousands of digits.
        found = min(operation.cost.of(variables), 10**15)
        what = "fields to answer, its page sizes multiplied"
        self._limits.check("max_cost", found, what, "Ask for smaller pages (first, last) or for fewer fields.")

    def _read(self, source: str) -> DocumentNode:
        most = self._limits.max_tokens
        try:
            syntax = parse_document(source, max_lexical_tokens=most, max_comments=most)
        except GraphQLError as error:
            raise GraphQLRefusal([coded(error, PARSE_FAILED)]) from None
        if has_fragment_cycle(syntax):
            # The rules on values and on overlapping fields would follow the cycle for ever.
            self._refuse(self._cycles.errors(syntax))
        check_shape(syntax, self._limits)
        read_as_wider_scalars(self._schema, syntax)
        try:
            errors = self._validator.errors(syntax)
        except GraphQLError as error:  # @skip with a variable, on the only field of a subscription
            errors = [error]
        self._refuse(errors)
        return syntax

    def _refuse(self, errors: list[GraphQLError]) -> None:
        if errors:
            raise GraphQLRefusal([self._explained(error) for error in errors])

    def _explained(self, error: GraphQLError) -> dict[str, Any]:
        formatted = coded(error, VALIDATION_FAILED, hide_suggestions=self._hide_suggestions)
        if formatted["message"] == "Validation aborted.":
            formatted["message"] = (
                "Validation was given up: fields, lists or fragments are nested too deeply, or too many of"
                " them have to be compared. Send a simpler document."
            )
        return formatted

    def presentable(self, errors: list[GraphQLError]) -> list[dict[str, Any]]:
        """Returns the errors of an execution as clients see them, internal ones masked."""
        return presentable(errors, self._limits.max_errors, hide_suggestions=self._hide_suggestions)

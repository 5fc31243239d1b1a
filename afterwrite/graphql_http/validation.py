"""Validates documents by the rules of graphql-core, several times faster than its `validate`.

The rules are graphql-core's own classes, and the errors are the same, in the same order. The traversal differs: it
looks up the methods of the rules once for each schema, visits no node that no rule reads, and leaves no reference
cycle, so that the memory of a document is freed at once, and not by the garbage collector, which stops every thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from graphql import (
    ASTValidationRule,
    DocumentNode,
    ExecutableDefinitionNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    Node,
    TypeInfo,
    ValidationContext,
    assert_valid_schema,
    validate,
)
from graphql.language.ast import QUERY_DOCUMENT_KEYS
from graphql.validation import UniqueDirectivesPerLocationRule
from graphql.validation.validate import FragmentNestingVisitor, ValidationAbortedError
from graphql.validation.validation_context import NodeWithSelectionSet, VariableUsage, VariableUsageVisitor

# Descriptions must not affect validation, and no rule acts on a name.
_UNREAD = frozenset({"name", "alias", "description"})
_VALUES = ("int_value", "float_value", "string_value", "boolean_value", "null_value", "enum_value")
_KEYS: dict[str, tuple[str, ...]] = {**QUERY_DOCUMENT_KEYS, **dict.fromkeys(_VALUES, ())}
_NO_PATH: list[Any] = []


class Validator:
    """Validates documents against a schema; thread-safe.

    Args:
        schema: the schema.
        rules: graphql-core's rules, and others that neither edit the document nor stop the validation.
        max_errors: validation stops at one more.
        hide_suggestions: errors name no other fields.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        rules: Sequence[type[ASTValidationRule]],
        *,
        max_errors: int = 100,
        hide_suggestions: bool = False,
    ) -> None:
        self._schema = schema
        self._rules = tuple(rules)
        self._max_errors = max_errors
        self._hide_suggestions = hide_suggestions
        self._made: list[Any] = [
            _UniqueDirectives if rule is UniqueDirectivesPerLocationRule else rule for rule in rules
        ]
        self._table = _table(self._made)
        self._table_for_fragments = _table([FragmentNestingVisitor, *self._made])

    def errors(self, document: DocumentNode) -> list[GraphQLError]:
        """Returns the errors that graphql-core's `validate` returns for `document`, and raises what it raises."""
        assert_valid_schema(self._schema)
        if not all(isinstance(node, ExecutableDefinitionNode) for node in document.definitions):
            return self._by_graphql_core(document)
        errors: list[GraphQLError] = []
        context = FastContext(self._schema, document, _recorder(errors, self._max_errors), self._hide_suggestions)
        table, rules = self._table, [rule(context) for rule in self._made]
        fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        if fragments:
            table, rules = self._table_for_fragments, [FragmentNestingVisitor(fragments), *rules]
        try:
            _Walk(table, rules, context.type_info).visit(document, None, None)
        except ValidationAbortedError as error:
            error.__context__ = None  # else the frames of the validation live as long as the error
            errors.append(error.with_traceback(None))
        except RecursionError:
            return self._by_graphql_core(document)
        return errors

    def _by_graphql_core(self, document: DocumentNode) -> list[GraphQLError]:
        return validate(self._schema, document, self._rules, self._max_errors, hide_suggestions=self._hide_suggestions)


def _recorder(errors: list[GraphQLError], most: int) -> Callable[[GraphQLError], None]:
    def record(error: GraphQLError) -> None:
        if len(errors) >= most:
            message = "Too many validation errors, error limit reached. Validation aborted."
            raise ValidationAbortedError(message)
        errors.append(error)

    return record


class FastContext(ValidationContext):
    """graphql-core's context, which finds nodes by identity and the variables of a definition with a shorter walk."""

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        on_error: Callable[[GraphQLError], None],
        hide_suggestions: bool = False,
    ) -> None:
        self.type_info = TypeInfo(schema)
        super().__init__(schema, document, self.type_info, on_error, hide_suggestions)
        self._fragment_spreads, self._variable_usages, self._recursive_variable_usages = _ById(), _ById(), _ById()

    def get_variable_usages(self, node: NodeWithSelectionSet) -> list[VariableUsage]:
        """Returns the uses of variables in an operation or a fragment, without those in its fragments."""
        usages = self._variable_usages.get(node)
        if usages is None:
            type_info = TypeInfo(self.schema)
            visitor = VariableUsageVisitor(type_info)
            _Walk(_USAGES, [visitor], type_info).visit(node, None, None)
            usages = self._variable_usages[node] = visitor.usages
        return usages


class _ById(dict[Any, Any]):
    """A dictionary of nodes by identity: the hash of a node is computed from its whole tree."""

    def get(self, node: Node, default: Any = None) -> Any:
        return super().get(id(node), default)

    def __setitem__(self, node: Node, value: Any) -> None:
        super().__setitem__(id(node), value)


class _UniqueDirectives(UniqueDirectivesPerLocationRule):
    """graphql-core's rule, called only for the kinds of nodes that can have directives."""

    _check = UniqueDirectivesPerLocationRule.enter
    enter = None  # type: ignore[assignment]
    enter_operation_definition = enter_fragment_definition = enter_variable_definition = _check
    enter_field = enter_fragment_spread = enter_inline_fragment = _check


class _Kind(NamedTuple):
    """What is done at nodes of one kind: names of methods with the number of their rule, and the children to visit."""

    enters: tuple[tuple[int, str], ...]
    leaves: tuple[tuple[int, str], ...]
    children: tuple[str, ...]


def _table(rules: Sequence[type]) -> dict[str, _Kind]:
    table = {}
    for kind, keys in _KEYS.items():
        enters, leaves = (
            tuple(
                (number, name)
                for number, rule in enumerate(rules)
                for name in (f"{act}_{kind}", act)
                if getattr(rule, name, None)
            )
            for act in ("enter", "leave")
        )
        table[kind] = _Kind(enters, leaves, tuple(key for key in keys if key not in _UNREAD))
    return table


_USAGES = _table([VariableUsageVisitor])


class _Walk:
    """Visits a document once, in the order of graphql-core's `visit`, with all rules."""

    __slots__ = ("_acts", "_ancestors", "_rules", "_skipping", "_table", "_type_info")

    def __init__(self, table: dict[str, _Kind], rules: list[Any], type_info: TypeInfo) -> None:
        self._table = table
        self._rules = rules
        self._type_info = type_info
        self._acts: dict[str, tuple[Any, ...]] = {}
        self._ancestors: list[Any] = []
        self._skipping: dict[int, Node] = {}

    def visit(self, node: Any, key: Any, parent: Any) -> None:
        """Visits `node` and all below it; a rule that returns anything from `enter_…` does not see what is below."""
        kind = node.kind
        acts = self._acts.get(kind)
        if acts is None:
            acts = self._acts[kind] = self._bound(kind)
        learn, forget, enters, leaves, children = acts
        ancestors, skipping = self._ancestors, self._skipping
        if learn is not None:
            learn(node)
        for number, act in enters:
            if number not in skipping and act(node, key, parent, _NO_PATH, ancestors) is not None:
                skipping[number] = node
        if parent is not None:
            ancestors.append(parent)
        for name in children:
            child = getattr(node, name)
            if type(child) is tuple:
                ancestors.append(node)
                for index, item in enumerate(child):
                    self.visit(item, index, child)
                ancestors.pop()
            elif child is not None:
                self.visit(child, name, node)
        if parent is not None:
            ancestors.pop()
        for number, act in leaves:
            if number not in skipping:
                act(node, key, parent, _NO_PATH, ancestors)
        if skipping:
            for number in [number for number, at in skipping.items() if at is node]:
                del skipping[number]
        if forget is not None:
            forget()

    def _bound(self, kind: str) -> tuple[Any, ...]:
        rules, type_info = self._rules, self._type_info
        enters, leaves, children = self._table[kind]
        return (
            getattr(type_info, f"enter_{kind}", None),
            getattr(type_info, f"leave_{kind}", None),
            [(number, getattr(rules[number], name)) for number, name in enters],
            [(number, getattr(rules[number], name)) for number, name in leaves],
            children,
        )

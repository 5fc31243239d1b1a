"""Two schemas with every kind of type, field and resolver, to compare compiled operations over them."""

# mypy: allow-subclassing-any

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import graphene
from compiled_world import RoleEnum, Thing, World
from graphql import GraphQLResolveInfo, GraphQLSchema, build_schema, value_from_ast_untyped

CORE_SDL = """
directive @mark(note: String) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT

scalar JSON
enum Role { ADMIN EDITOR GUEST }

input Point { x: Int! y: Int = 3 }
input Filter { text: String = "any" min: Int role: Role tags: [String!] ratio: Float point: Point! }
input Tree { name: String child: Tree children: [Tree!] }
input Either @oneOf { id: ID name: String }

interface Node { id: ID! name: String peer: Node peers: [Node!] }
interface Named { name: String label(lang: String = "en"): String! }

type User implements Node & Named {
  id: ID! name: String label(lang: String = "en"): String! peer: Node peers: [Node!]
  age: Int height: Float! active: Boolean roles: [Role!]! anything: JSON
  tags: [String!] grid: [[Int!]]! self: User strict: User! friends(first: Int = 2): [User]!
  pet: Pet pets: [Pet!]!
  greet(to: String!, times: Int, loud: Boolean = false, ids: [ID!], role: Role = GUEST): String
  find(filter: Filter, tree: Tree, either: Either, point: Point = {x: 1}, points: [Point], blob: JSON)
    : String!
}
type Dog implements Node & Named {
  id: ID! name: String label(lang: String = "en"): String! peer: Node peers: [Node!]
  barks: Boolean! owner: User
}
type Cat implements Node { id: ID! name: String peer: Node peers: [Node!] lives: Int! owner: User! }
type Fish { depth: Float age: Int }
union Pet = Dog | Cat | User

type Query {
  user: User users: [User!] strict: User! node: Node nodes: [Node]! named: Named! pet: Pet pets: [Pet!]
  count(first: Int! = 3, factor: Float): Int! friends(first: Int = 2): [User]! name: String
}
type Mutation { rename(to: String!): User! touch: Node remove(ids: [ID!]!): [Boolean!] count: Int! }
type Subscription { ticks: Int user: User }
"""


def resolve_anything(source: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
    """Resolves any field to what its world has there, told apart by the arguments and by all of `info`."""
    world: World = info.context
    assert info.schema is world.schema
    assert isinstance(info, GraphQLResolveInfo)
    nodes = [(node.loc.start, node.name.value) for node in info.field_nodes if node.loc]
    told = (
        *(info.field_name, nodes, str(info.return_type), info.parent_type.name, info.path.as_list()),
        *([segment.typename for segment in _segments(info.path)], sorted(info.fragments)),
        *(repr(info.root_value), info.operation.operation, info.variable_values, arguments),
    )
    at = ".".join(map(str, info.path.as_list()))
    value = world.value(f"{list(source) if isinstance(source, dict) else source!r} {at}", info.return_type)
    return f"{value} {told}" if isinstance(value, str) else value


def _segments(path: Any) -> list[Any]:
    segments = []
    while path:
        segments.append(path)
        path = path.prev
    return segments


def _json_literal(node: Any, variables: dict[str, Any] | None = None) -> Any:
    return value_from_ast_untyped(node, variables)


def _serialize_json(value: Any) -> Any:
    if value == "x":
        return None
    if value == 3:
        raise ValueError("JSON has no 3")
    return value


def _is_cat(value: Any, info: GraphQLResolveInfo) -> bool:
    assert info.path.typename
    if isinstance(value, Thing):
        return value.object_type.name == "Cat"
    if value == {"a": 1}:
        raise ValueError("is_type_of cannot tell")
    return isinstance(value, dict) and value.get("__typename") == "Cat"


def _resolve_named(value: Any, info: GraphQLResolveInfo, _type: Any) -> Any:
    if isinstance(value, Thing):
        return value.object_type.name
    return {"text": "Cat", 7: 12, "x": None}.get(value) if isinstance(value, str | int) else "User"


class PointValue(dict[str, Any]):
    """What a `Point` becomes in Python."""


RESOLVED = ("greet", "find", "label", "pets", "strict", "grid", "friends")


def core_schema() -> GraphQLSchema:
    """A schema of plain graphql-core: default resolvers, own ones, unions, is_type_of, input objects."""
    schema = build_schema(CORE_SDL)
    types: dict[str, Any] = schema.type_map
    types["JSON"].serialize = _serialize_json
    types["JSON"].parse_literal = _json_literal
    for value in RoleEnum:
        types["Role"].values[value.name].value = value
    types["Role"].__dict__.pop("_value_lookup", None)
    types["Cat"].is_type_of = _is_cat
    types["Named"].resolve_type = _resolve_named
    types["Point"].out_type = PointValue
    types["Point"].fields["y"].out_name = "why"
    types["User"].fields["greet"].args["to"].out_name = "whom"
    for root in (schema.query_type, schema.mutation_type, schema.subscription_type):
        _resolve_all(root, lambda _name: True)
    for name in ("User", "Dog", "Cat"):
        _resolve_all(types[name], lambda name: name in RESOLVED)
    return schema


def _resolve_all(object_type: Any, wanted: Callable[[str], bool]) -> None:
    for name, field in object_type.fields.items():
        if wanted(name):
            field.resolve = resolve_anything


class JSON(graphene.Scalar):
    """Any value."""

    serialize = staticmethod(_serialize_json)
    parse_value = staticmethod(lambda value: value)
    parse_literal = staticmethod(_json_literal)


Role = graphene.Enum.from_enum(RoleEnum, name="Role")


class Node(graphene.Interface):
    """Resolved by `is_type_of` and `__typename`."""

    id = graphene.ID(required=True)
    name = graphene.String()
    peer = graphene.Field(lambda: Node)
    peers = graphene.List(graphene.NonNull(lambda: Node))


class Point(graphene.InputObjectType):
    """A plain input object."""

    x = graphene.Int(required=True)
    y = graphene.Int(default_value=3)


class Filter(graphene.InputObjectType):
    """An input object with every kind of field."""

    text = graphene.String(default_value="any")
    role = Role()
    tags = graphene.List(graphene.NonNull(graphene.String))
    ratio = graphene.Float()
    point_at = Point(required=True)


class User(graphene.ObjectType):
    """Read by Graphene's default resolver, but for what has a resolver."""

    class Meta:
        name = "User"
        interfaces = (Node,)

    age = graphene.Int()
    height = graphene.Float(required=True)
    active = graphene.Boolean(default_value=True)
    roles = graphene.List(graphene.NonNull(Role), required=True)
    role = Role()
    anything = JSON()
    tags = graphene.List(graphene.NonNull(graphene.String))
    grid = graphene.List(graphene.List(graphene.NonNull(graphene.Int)), required=True)
    self_ = graphene.Field(lambda: User, name="self")
    strict = graphene.Field(lambda: User, required=True)
    friends = graphene.List(lambda: User, required=True, first=graphene.Int(default_value=2))
    plain = graphene.String(unused=graphene.Int(required=True))
    pet = graphene.Field(lambda: Pet)
    greet = graphene.String(
        to=graphene.String(required=True), times=graphene.Int(), role=Role(), ids=graphene.List(graphene.ID)
    )
    find = graphene.String(required=True, filter=Filter(), points=graphene.List(Point), blob=JSON())

    resolve_greet = resolve_find = resolve_friends = resolve_strict = resolve_anything


class Cat(graphene.ObjectType):
    """Knows its own."""

    class Meta:
        interfaces = (Node,)

    lives = graphene.Int(required=True)
    owner = graphene.Field(User)
    is_type_of = staticmethod(_is_cat)


class Pet(graphene.Union):
    """Either."""

    class Meta:
        types = (User, Cat)


class Query(graphene.ObjectType):
    """The entry."""

    user = graphene.Field(User)
    users = graphene.List(graphene.NonNull(User))
    strict = graphene.Field(User, required=True)
    node = graphene.Field(Node)
    nodes = graphene.List(Node, required=True)
    pets = graphene.List(graphene.NonNull(Pet))
    count = graphene.Int(required=True, first=graphene.Int(default_value=3))

    resolve_user = resolve_users = resolve_strict = resolve_node = resolve_nodes = resolve_anything
    resolve_pets = resolve_count = resolve_anything


class Rename(graphene.Mutation):
    """A mutation with a payload."""

    class Arguments:
        to = graphene.String(required=True)
        filter = Filter()

    user = graphene.Field(User, required=True)
    count = graphene.Int()
    mutate = resolve_anything


class Mutation(graphene.ObjectType):
    """The entry for changes."""

    rename = Rename.Field()
    again = Rename.Field(required=True)


def graphene_schema() -> GraphQLSchema:
    """The same in Graphene, whose fields read attributes or keys where they have no resolver."""
    schema: GraphQLSchema = graphene.Schema(query=Query, mutation=Mutation, types=[User, Cat]).graphql_schema
    return schema


SCHEMAS = {"graphql-core": core_schema(), "graphene": graphene_schema()}

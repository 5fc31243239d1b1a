"""The one table of who may use what: a role, and the routes and root fields for which it is enough.

A route stands here as its method and its rule in Flask, ``*`` for every method; HEAD is as GET. A root field of GraphQL
stands here as ``Query.x``, ``Mutation.x`` or ``Subscription.x``. REST routes declare their roles, which are added.
What is not here cannot be served: ``create_app`` raises, and so it does for what is here and is not there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from werkzeug.routing import Map

from afterwrite.access.roles import GIVEN_ROLES, Role

NEEDED: Mapping[Role, Sequence[str]] = {
    Role.NOBODY: [
        "GET /static/<path:filename>",
        "GET /console/<path:filename>",
        "GET /sign-in",
        "POST /sign-in",
        "POST /sign-out",
    ],
    Role.READ: [
        "GET /",
        "GET /products",
        "GET /products/export.<kind>",
        "GET /writes",
        "GET /writes/<int:write_id>",
        "GET /tasks",
        "GET /tasks/<int:task_id>",
        "GET /entries",
        "GET /process",
        "GET /process/<path:correlation_id>",
        # Every operation needs what its root fields need, and this at the least.
        "* /graphql",
        "Query.allProducts",
        "Query.product",
        "Query.products",
        "Query.categories",
        "Query.write",
        "Query.writes",
        "Query.task",
        "Query.tasks",
        "Query.taskTypes",
        "Query.taskActions",
        "Query.entry",
        "Query.entries",
        "Query.process",
        "Subscription.writeSettled",
        "Subscription.taskUpdated",
        "Subscription.tasksUpdated",
    ],
    Role.WRITE: [
        "Mutation.createProduct",
        "Mutation.createProductSync",
        "Mutation.createProducts",
        "Mutation.updateProduct",
        "Mutation.deleteProduct",
        "Mutation.retryWrite",
        "Mutation.createTask",
        "Mutation.createStripeCustomerTask",
        "Mutation.createStripePaymentTask",
        "Mutation.createStripeRefundTask",
        "Mutation.createEntry",
        "Mutation.createProcess",
        "Mutation.cancelTask",
        "Mutation.retryTask",
        "GET /products/new",
        "POST /products",
        "GET /products/<int:product_id>",
        "POST /products/<int:product_id>",
        "GET /products/<int:product_id>/delete",
        "POST /products/<int:product_id>/delete",
        "GET /products/upload",
        "POST /products/upload",
        "POST /writes/<int:write_id>/retry",
        "GET /tasks/new/<kind>",
        "POST /tasks/new/<kind>",
        "POST /tasks/<int:task_id>/cancel",
        "POST /tasks/<int:task_id>/retry",
        "GET /entries/new",
        "POST /entries",
        "GET /process/new",
        "POST /process",
    ],
    Role.ADMIN: [
        "Query.queue",
        "Mutation.pauseTaskType",
        "Mutation.resumeTaskType",
        "Mutation.pruneTasks",
        "POST /task-types/<task_type>/pause",
        "POST /task-types/<task_type>/resume",
        "GET /tasks/prune",
        "POST /tasks/prune",
    ],
}


def _read(*rules: str) -> Iterator[tuple[str, str]]:
    return ((method, rule) for rule in rules for method in ("GET", "HEAD"))


# Where nobody is asked who they are: a key that is sent there may be meant for somebody else.
UNASKED = frozenset(
    {
        ("POST", "/webhook"),
        *_read("/ready", "/static/<path:filename>", "/console/<path:filename>"),
    }
)
# Where no rate is kept: who looks after the server asks often.
UNCOUNTED = frozenset(_read("/ready", "/health", "/static/<path:filename>", "/console/<path:filename>"))

_OWN_METHODS = ("HEAD", "OPTIONS")
# Not every application serves products.
_OF_PRODUCTS = frozenset(
    {
        *(f"Query.{name}" for name in ("allProducts", "product", "products", "categories")),
        *(f"Query.{name}" for name in ("write", "writes", "queue")),
        *(f"Mutation.{name}" for name in ("createProduct", "createProductSync", "createProducts")),
        *(f"Mutation.{name}" for name in ("updateProduct", "deleteProduct", "retryWrite")),
        "Subscription.writeSettled",
    }
)


class Table:
    """Says which role a route or a root field needs."""

    def __init__(self, needed: Mapping[Role, Sequence[str]] = NEEDED) -> None:
        """Raises ValueError for what is there twice."""
        self._roles: dict[str, Role] = {}
        self._routes: dict[tuple[str, str], Role] = {}
        self.add((name, role) for role, names in needed.items() for name in names)

    def add(self, roles: Iterable[tuple[str, Role]]) -> None:
        """Add what declares its role itself, such as the REST routes. Raises ValueError for what is there twice."""
        for name, role in roles:
            if name in self._roles:
                raise ValueError(f"{name} is in the table of roles twice")
            self._roles[name] = role

    def add_own(self, names: Iterable[str], roles: Mapping[str, str]) -> None:
        """Add routes and root fields of an application's own, which are those that are not in the table yet.

        A GET, a query and a subscription need ``read``, everything else ``write``, unless ``roles`` names another role.
        Raises ValueError where ``roles`` names what is in the table already, is not there, or has no role of this name.
        """
        own = [name for name in names if name not in self._roles]
        for name, word in roles.items():
            if name not in own:
                raise ValueError(
                    f"roles names {name!r}, which the application does not add: give one of {own}"
                )
            if word not in GIVEN_ROLES:
                raise ValueError(
                    f"roles gives {name!r} the role {word!r}: give one of {', '.join(GIVEN_ROLES)}"
                )
        for name in own:
            reads = name.startswith(("GET ", "Query.", "Subscription."))
            self._roles[name] = GIVEN_ROLES[roles.get(name, "read" if reads else "write")]

    def of_route(self, method: str, rule: str) -> Role:
        """The role that a request needs at the least. Raises KeyError before ``check`` was called."""
        return self._routes[method, rule]

    def of_field(self, operation: str, name: str) -> Role:
        """The role that a root field needs; ``operation`` is query, mutation or subscription.

        Names that begin with two underscores are GraphQL's own: they tell of the schema only.
        """
        if name.startswith("__"):
            return Role.READ
        return self._roles[f"{operation.capitalize()}.{name}"]

    def of_name(self, name: str) -> Role:
        """The role for which something is in the table. Raises KeyError."""
        return self._roles[name]

    def check(self, routes: Map, fields: Iterable[str]) -> None:
        """Raise RuntimeError unless exactly these are in the table; those of products may be missing."""
        found = set(fields)
        for rule in routes.iter_rules():
            methods = sorted(rule.methods or ())
            names = {
                method: self._name(method, rule.rule) for method in methods if method not in _OWN_METHODS
            }
            found |= set(names.values())
            roles = {method: self._roles.get(name, Role.ADMIN) for method, name in names.items()}
            if "GET" in roles:
                roles["HEAD"] = roles["GET"]
            # One path may have a rule for each of its methods: what they are is told to who may use one of them.
            told = self._routes.get(("OPTIONS", rule.rule), Role.ADMIN)
            roles["OPTIONS"] = min(told, *roles.values())
            self._routes |= {(method, rule.rule): role for method, role in roles.items()}
        unknown = sorted(found - set(self._roles))
        gone = sorted(set(self._roles) - found - _OF_PRODUCTS)
        if unknown or gone:
            raise RuntimeError(
                f"access/table.py does not fit the application; not in it: {unknown or 'nothing'}; "
                f"in it, but not there: {gone or 'nothing'}"
            )

    def _name(self, method: str, rule: str) -> str:
        every = f"* {rule}"
        return every if every in self._roles else f"{method} {rule}"

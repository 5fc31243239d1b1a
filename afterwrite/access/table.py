"""The role that each route and each GraphQL root field requires.

A route is named by its method and Flask rule, ``*`` for every method; HEAD is as GET. A root field is ``Query.x``,
``Mutation.x`` or ``Subscription.x``. REST routes declare their own roles, which are added, as are those of resources.
``create_app`` raises for a route or field that is missing here, and for an entry that the application does not have.
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
        "GET /tasks",
        "GET /tasks/<int:task_id>",
        "GET /entries",
        "GET /process",
        "GET /process/<path:correlation_id>",
        # The minimum; each operation also needs the roles of its root fields.
        "* /graphql",
        "Query.task",
        "Query.tasks",
        "Query.taskTypes",
        "Query.taskActions",
        "Query.entry",
        "Query.entries",
        "Query.process",
        "Subscription.taskUpdated",
        "Subscription.tasksUpdated",
    ],
    Role.WRITE: [
        "Mutation.createTask",
        "Mutation.createStripeCustomerTask",
        "Mutation.createStripePaymentTask",
        "Mutation.createStripeRefundTask",
        "Mutation.createEntry",
        "Mutation.createProcess",
        "Mutation.cancelTask",
        "Mutation.retryTask",
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


# Routes without authentication: a key that is sent there may be meant for another service.
UNASKED = frozenset({("POST", "/webhook"), *_read("/ready", "/static/<path:filename>", "/console/<path:filename>")})
# Routes without a rate limit: monitoring polls them often.
UNCOUNTED = frozenset(_read("/ready", "/health", "/static/<path:filename>", "/console/<path:filename>"))

_OWN_METHODS = ("HEAD", "OPTIONS")


class Table:
    """Looks up the role that a route or a root field requires."""

    def __init__(self, needed: Mapping[Role, Sequence[str]] = NEEDED) -> None:
        """Raises ValueError for a duplicate name."""
        self._roles: dict[str, Role] = {}
        self._routes: dict[tuple[str, str], Role] = {}
        self.add((name, role) for role, names in needed.items() for name in names)

    def add(self, roles: Iterable[tuple[str, Role]]) -> None:
        """Add entries declared elsewhere (REST routes, resources). Raises ValueError for a duplicate name."""
        for name, role in roles:
            if name in self._roles:
                raise ValueError(f"{name} is in the table of roles twice")
            self._roles[name] = role

    def add_own(self, names: Iterable[str], roles: Mapping[str, str]) -> None:
        """Add the application's own routes and root fields: the names that are not in the table yet.

        A GET, a query and a subscription require ``read``, all others ``write``, unless ``roles`` gives another role.
        Raises ValueError where ``roles`` has an unknown role, or a name already in the table or not in ``names``.
        """
        own = [name for name in names if name not in self._roles]
        for name, word in roles.items():
            if name not in own:
                raise ValueError(f"roles names {name!r}, which the application does not add: give one of {own}")
            if word not in GIVEN_ROLES:
                raise ValueError(f"roles gives {name!r} the role {word!r}: give one of {', '.join(GIVEN_ROLES)}")
        for name in own:
            reads = name.startswith(("GET ", "Query.", "Subscription."))
            self._roles[name] = GIVEN_ROLES[roles.get(name, "read" if reads else "write")]

    def of_route(self, method: str, rule: str) -> Role:
        """The minimum role for a request. Raises KeyError before ``check`` was called."""
        return self._routes[method, rule]

    def of_field(self, operation: str, name: str) -> Role:
        """The role that a root field requires; ``operation`` is query, mutation or subscription.

        Names that begin with two underscores are introspection, which requires ``read``.
        """
        if name.startswith("__"):
            return Role.READ
        return self._roles[f"{operation.capitalize()}.{name}"]

    def __contains__(self, name: str) -> bool:
        return name in self._roles

    def of_name(self, name: str) -> Role:
        """The role of an entry. Raises KeyError."""
        return self._roles[name]

    def check(self, routes: Map, fields: Iterable[str]) -> None:
        """Raise RuntimeError unless the table has exactly these routes and fields."""
        found = set(fields)
        for rule in routes.iter_rules():
            methods = sorted(rule.methods or ())
            names = {method: self._name(method, rule.rule) for method in methods if method not in _OWN_METHODS}
            found |= set(names.values())
            roles = {method: self._roles.get(name, Role.ADMIN) for method, name in names.items()}
            if "GET" in roles:
                roles["HEAD"] = roles["GET"]
            # One path may have several rules; its OPTIONS is open to every role that may use one of its methods.
            known = self._routes.get(("OPTIONS", rule.rule), Role.ADMIN)
            roles["OPTIONS"] = min(known, *roles.values())
            self._routes |= {(method, rule.rule): role for method, role in roles.items()}
        unknown = sorted(found - set(self._roles))
        gone = sorted(set(self._roles) - found)
        if unknown or gone:
            raise RuntimeError(
                f"access/table.py does not match the application; missing in the table: {unknown or 'nothing'}; "
                f"missing in the application: {gone or 'nothing'}"
            )

    def _name(self, method: str, rule: str) -> str:
        every = f"* {rule}"
        return every if every in self._roles else f"{method} {rule}"

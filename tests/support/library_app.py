"""An application whose resources refer to each other in every way, and whose operations make tasks."""

from afterwrite import Application, FollowUp, Integer, Reference, Rejected, Resource, Text, operation


class Author(Resource):
    """An author."""

    name = Text(required=True, max_length=100, unique=True, order=True)
    country = Text(max_length=2, immutable=True)
    prizes = Integer(required=True, default=0, minimum=0)


class Book(Resource):
    """A book, perhaps a part of another one."""

    title = Text(required=True, max_length=200, order=True)
    author = Reference(Author, required=True, on_delete="cascade", filter="equal")
    whole = Reference("Book", on_delete="set_null", reverse="parts")
    signature = Text(max_length=20, unique=True)


class Knot(Resource):
    """A knot of a net."""

    name = Text(max_length=20)
    parent = Reference("Knot", on_delete="cascade", reverse="children")
    left = Reference("Knot", on_delete="set_null", reverse="rights")
    right = Reference("Knot", on_delete="set_null", reverse="lefts")


class Loan(Resource):
    """A book that somebody has."""

    book = Reference(Book, required=True)
    reader = Text(required=True, max_length=100)
    reminders = Integer(required=True, default=0)

    @operation
    def remind(self, times: int = 1) -> "tuple[Loan, *tuple[FollowUp, ...]]":
        """Remind the reader, once or more often."""
        if self.reminders + times > 5:
            raise Rejected("ENOUGH_REMINDERS", f"{self.reader} was reminded {self.reminders} times")
        tasks = [FollowUp("entry", {"title": f"{self.id}: {self.reminders + n + 1}"}) for n in range(times)]
        return self.replace(reminders=self.reminders + times), *tasks

    @operation
    def misremind(self, kind: str) -> "tuple[Loan, FollowUp]":
        """Make a task that is refused."""
        return self.replace(reminders=self.reminders + 1), FollowUp(kind, {"titel": "?"})


application = Application(resources=[Author, Book, Loan, Knot])
wsgi = application.wsgi

if __name__ == "__main__":
    raise SystemExit(application.run())

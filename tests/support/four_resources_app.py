"""An application for requests that are made at random: a field of every kind, operations, references."""

from declarations import Locker, Order

from afterwrite import Application, Reference, Resource, Text
from product_types import Product


class Key(Resource):
    """A key of a locker."""

    label = Text(required=True, max_length=20, search=True)
    locker = Reference(Locker, on_delete="cascade", filter="equal")
    copy_of = Reference("Key", on_delete="set_null", filter=("equal", "in"), reverse="copies")


application = Application(resources=[Product, Order, Locker, Key])
wsgi = application.wsgi

if __name__ == "__main__":
    raise SystemExit(application.run())

"""An application with three resources, one of them with a field of every kind."""

from declarations import Locker, Order

from afterwrite import Application
from product_types import Product

application = Application(resources=[Product, Order, Locker])
wsgi = application.wsgi

if __name__ == "__main__":
    raise SystemExit(application.run())

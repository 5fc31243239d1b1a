"""An application with a field of every kind, and with a record that has a unique value."""

from declarations import Locker, Order

from afterwrite import Application

application = Application(resources=[Order, Locker])
wsgi = application.wsgi

if __name__ == "__main__":
    raise SystemExit(application.run())

"""The application: name your resources here, and your own GraphQL fields, routes and roles.

``python app.py`` serves; a WSGI server loads ``app:wsgi()``, Granian ``app:wsgi`` as a factory.
"""

from afterwrite import Application
from product_types import Product

application = Application(resources=[Product])
wsgi = application.wsgi

if __name__ == "__main__":
    raise SystemExit(application.run())

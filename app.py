"""The application: add your own GraphQL queries, mutations and subscriptions here.

``python app.py`` serves; a WSGI server loads ``app:wsgi()``, Granian ``app:wsgi`` as a factory.
"""

from afterwrite import Application
from product_types import Mutation, Query, Subscription

application = Application(query=Query, mutation=Mutation, subscription=Subscription)
wsgi = application.wsgi

if __name__ == "__main__":
    raise SystemExit(application.run())

"""The application of app.py without compiled execution: `python -m bench.interpreted_app` serves it.

It differs from app.py only in that, so the comparison shows what ``afterwrite/graphql_http/compiled`` gains.
"""

from functools import partial

from app import application

wsgi = partial(application.wsgi, compiled=False)

if __name__ == "__main__":
    raise SystemExit(application.run())

"""The application: what a team declares, and the Flask application that answers for it."""

"""Makes Airflow's users: the one of the consumer, which may start runs, and `admin` for people.

Run in the image of Airflow after `airflow db migrate`, at every start: a password that has changed in the environment
is set, and nothing else of a user is touched.
"""

import os
import sys

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

SECRETS = (
    "AIRFLOW_PASSWORD",
    "AIRFLOW_ADMIN_PASSWORD",
    "AIRFLOW__API__SECRET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "AIRFLOW__CORE__FERNET_KEY",
)


def main() -> None:
    """Make the users; exit with one line where a secret is missing, before anything of Airflow is started."""
    missing = [name for name in SECRETS if not os.environ.get(name)]
    if missing:
        sys.exit(
            f"{', '.join(missing)} must not be empty: start with docker.sh up --profile stack, which makes them"
        )
    providers_configuration_loaded(make_users)()  # a provider of Airflow keeps the users


def make_users() -> None:
    """Make the two users, or set their passwords."""
    with get_application_builder() as builder:
        for name, role, variable in (
            (os.environ["AIRFLOW_USERNAME"], "User", "AIRFLOW_PASSWORD"),
            ("admin", "Admin", "AIRFLOW_ADMIN_PASSWORD"),
        ):
            manager, password = builder.sm, os.environ[variable]
            user = manager.find_user(username=name)
            if user is None:
                address = f"{name}@localhost.invalid"  # Airflow wants one; nothing is sent
                done = manager.add_user(name, name, "Afterwrite", address, manager.find_role(role), password)
            else:
                done = manager.reset_password(user.id, password)
            if not done:
                sys.exit(f"Airflow's user {name} could not be made: the log above says why")


if __name__ == "__main__":
    main()

"""Creates Airflow's users: one for the consumer, which may start runs, and `admin` for people.

Runs in the Airflow image after `airflow db migrate`, at every start. It resets the password of an existing user to the
one in the environment and changes nothing else.
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
    """Create the users; exit with one line if a secret is missing, before any part of Airflow starts."""
    missing = [name for name in SECRETS if not os.environ.get(name)]
    if missing:
        sys.exit(
            f"{', '.join(missing)} must not be empty: start with docker.sh up --profile stack, which generates them"
        )
    providers_configuration_loaded(make_users)()  # the users belong to a provider of Airflow


def make_users() -> None:
    """Create the two users, or reset their passwords."""
    with get_application_builder() as builder:
        for name, role, variable in (
            (os.environ["AIRFLOW_USERNAME"], "User", "AIRFLOW_PASSWORD"),
            ("admin", "Admin", "AIRFLOW_ADMIN_PASSWORD"),
        ):
            manager, password = builder.sm, os.environ[variable]
            user = manager.find_user(username=name)
            if user is None:
                address = f"{name}@localhost.invalid"  # required by Airflow; receives no mail
                done = manager.add_user(name, name, "Afterwrite", address, manager.find_role(role), password)
            else:
                done = manager.reset_password(user.id, password)
            if not done:
                sys.exit(f"Airflow could not create or update the user {name}: see the log above")


if __name__ == "__main__":
    main()

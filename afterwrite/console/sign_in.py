"""Sign-in with a key, and sign-out."""

from flask import Blueprint, Response, request, url_for

from afterwrite.access.control import sign_in
from afterwrite.access.local_paths import local_path
from afterwrite.access.session import sign_out
from afterwrite.access.slowing import TooManyTries
from afterwrite.base.own_command import own_command
from afterwrite.console.answers import page, redirect_to
from afterwrite.console.forms import Form


def add_sign_in(blueprint: Blueprint) -> None:
    """Add ``/sign-in`` and ``/sign-out``."""

    @blueprint.get("/sign-in")
    def sign_in_() -> Response:
        return page("sign_in.html", place="sign_in", form=Form({}), next=local_path(request.args.get("next", "")))

    @blueprint.post("/sign-in")
    def sign_in_with_key() -> Response:
        going_to = local_path(request.form.get("next", ""))
        try:
            known = sign_in(request.form.get("key", ""))
        except TooManyTries as error:
            return _form_again(going_to, str(error), 429, error.seconds)
        if known is None:
            message = f"No such key: copy it again from the output of `{own_command('key add')}`"
            return _form_again(going_to, message, 401)
        return redirect_to(going_to)

    @blueprint.post("/sign-out")
    def sign_out_() -> Response:
        sign_out()
        return redirect_to(url_for("console.sign_in_"))


def _form_again(going_to: str, message: str, status: int, wait_seconds: int | None = None) -> Response:
    answer = page("sign_in.html", status, place="sign_in", form=Form({}, {"key": message}), next=going_to)
    if wait_seconds is not None:
        answer.headers["Retry-After"] = str(wait_seconds)
    return answer

"""One record of a resource: the page that shows and edits it, and the forms that create, delete and operate on it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from flask import Blueprint, Response, abort, request

from afterwrite.base.refusals import Problem, Refused
from afterwrite.console.answers import page
from afterwrite.console.controls import Control, control_of, default_text, label_of, read_value, shown, text_of
from afterwrite.console.forms import Form, again, given, without_name
from afterwrite.console.lists import known_id
from afterwrite.console.record_pages import RecordPages
from afterwrite.resources.compiled import CompiledResource, Record
from afterwrite.resources.field import Field, FieldProblem
from afterwrite.resources.operations import CompiledOperation
from afterwrite.resources.resource import Derived
from afterwrite.resources.write import Write
from afterwrite.service.context import Context
from afterwrite.service.service import Service
from afterwrite.writes import requests
from afterwrite.writes.request_checks import RequestProblem

OPENED_WITH = "was__"
"""Begins the names of the values that a form was opened with; no field has two underscores."""


class Fact(NamedTuple):
    """A value of a record that its page shows."""

    label: str
    value: str


def add_record_forms(
    blueprint: Blueprint, service: Service, context: Callable[[], Context], pages: RecordPages
) -> None:
    """Add the page of a record and its forms."""
    forms = RecordForms(service, context, pages)
    for method, rule, name, view in (
        ("GET", f"{pages.path}/new", "new", forms.new),
        ("POST", pages.path, "create", forms.create),
        ("GET", pages.record, "record", forms.record),
        ("POST", pages.record, "update", forms.update),
        ("GET", pages.rule("delete"), "delete-form", forms.delete_form),
        ("POST", pages.rule("delete"), "delete", forms.delete),
    ):
        blueprint.add_url_rule(rule, pages.endpoint(name), view, methods=[method])
    for operation in pages.resource.operations.values():
        rule, name = pages.rule(operation.name), f"operation-{operation.name}"
        opened, operate = partial(forms.operation_form, operation), partial(forms.operate, operation)
        blueprint.add_url_rule(rule, pages.endpoint(f"{name}-form"), opened, methods=["GET"])
        blueprint.add_url_rule(rule, pages.endpoint(name), operate, methods=["POST"])


def _consequences(resource: CompiledResource, others: Iterable[CompiledResource]) -> Iterator[str]:
    """What deleting a record of the resource does to those that refer to it, a sentence for each reference."""
    for other in others:
        words = other.plural.replace("_", " ")
        for reference in (one for one in other.references if one.target == resource.name):
            match reference.on_delete:
                case "cascade":
                    yield f"{words.capitalize()} that refer to it are deleted too."
                case "set_null":
                    yield f"{words.capitalize()} that refer to it stay, and refer to nothing."
                case _:
                    yield f"It cannot be deleted while {words} refer to it."


class RecordForms:
    """The views of one resource's records."""

    def __init__(self, service: Service, context: Callable[[], Context], pages: RecordPages) -> None:
        self._pages, self._resource, self._context = pages, pages.resource, context
        self._records = service.records[self._resource.name]
        self._consequences = list(_consequences(self._resource, service.resources.values()))
        self._fields = self._resource.fields
        self._mutable = {name: field for name, field in self._fields.items() if not field.immutable}

    def new(self) -> Response:
        """The form of a new record."""
        return self._create_page(Form({name: default_text(field) for name, field in self._fields.items()}))

    def create(self) -> Response:
        """Create a record."""

        def accept(now: Context, form: Form) -> Write:
            sent = {name: field for name, field in self._fields.items() if name in form.values}
            fields = {name: read_value(field, given(form.values, name)) for name, field in sent.items()}
            return requests.create(now.queue, self._resource, fields, form.key, now.by)

        return self._accepted(accept, self._fields, self._create_page)

    def record(self, record_id: int) -> Response:
        """The page of a record, with a form if the caller may change it."""
        found = self._found(record_id)
        values = {name: text_of(field, getattr(found, name)) for name, field in self._mutable.items()}
        opened_with = {OPENED_WITH + name: text for name, text in values.items()}
        return self._record_page(found, Form(values | opened_with))

    def update(self, record_id: int) -> Response:
        """Change the fields that differ from the form as it was opened, so concurrent changes of others stay."""

        def accept(now: Context, form: Form) -> Write:
            fields = {name: read_value(self._fields[name], text) for name, text in self._changes(form.values)}
            return requests.update(now.queue, self._resource, _id(record_id), fields, form.key, now.by)

        return self._accepted(
            accept, self._mutable, lambda form, status: self._record_page(self._found(record_id), form, status)
        )

    def delete_form(self, record_id: int) -> Response:
        """The form that asks before a record is deleted."""
        return self._delete_page(record_id, Form({}))

    def delete(self, record_id: int) -> Response:
        """Delete a record."""

        def accept(now: Context, form: Form) -> Write:
            return requests.delete(now.queue, self._resource, _id(record_id), form.key, now.by)

        return self._accepted(accept, (), partial(self._delete_page, record_id))

    def operation_form(self, operation: CompiledOperation, record_id: int) -> Response:
        """The form with the arguments of an operation."""
        texts = {name: default_text(argument.field) for name, argument in operation.arguments.items()}
        return self._operation_page(operation, record_id, Form(texts))

    def operate(self, operation: CompiledOperation, record_id: int) -> Response:
        """Use an operation on a record."""

        def accept(now: Context, form: Form) -> Write:
            values = {
                name: read_value(argument.field, given(form.values, name))
                for name, argument in operation.arguments.items()
            }
            return requests.operate(now.queue, self._resource, operation, _id(record_id), values, form.key, now.by)

        return self._accepted(accept, operation.arguments, partial(self._operation_page, operation, record_id))

    def _accepted(
        self,
        accept: Callable[[Context, Form], Write],
        fields: Iterable[str],
        form_page: Callable[[Form, int], Response],
    ) -> Response:
        """The receipt of a submitted form, or the form with its errors."""
        form = Form(request.form)
        try:
            write = accept(self._context(), form)
        except Refused as refused:
            problems = [problem._replace(message=_form_message(problem)) for problem in refused.problems]
            return form_page(again(form, Refused(problems), fields), 422)
        return self._page("record_receipt.html", write=write)

    def _create_page(self, form: Form, status: int = 200) -> Response:
        controls = _controls(self._fields)
        return self._form_page(status, record=None, form=form, controls=controls, facts=[], operations=[])

    def _record_page(self, found: Record, form: Form, status: int = 200) -> Response:
        pages = self._pages
        fields = self._mutable if pages.may("update") else {}
        return self._form_page(
            status,
            record=found,
            form=form,
            controls=_controls(fields),
            facts=self._facts(found, fields),
            operations=[one for one in self._resource.operations.values() if pages.may(one.name)],
        )

    def _delete_page(self, record_id: int, form: Form, status: int = 200) -> Response:
        found, consequences = self._found(record_id), self._consequences
        return self._page("record_delete.html", status, record=found, form=form, consequences=consequences)

    def _operation_page(self, operation: CompiledOperation, record_id: int, form: Form, status: int = 200) -> Response:
        arguments = operation.arguments.values()
        controls = [control_of(one.field, required=one.field.required) for one in arguments]
        found = self._found(record_id)
        return self._page(
            "operation_form.html", status, record=found, form=form, operation=operation, controls=controls
        )

    def _form_page(self, status: int, **values: Any) -> Response:
        return self._page("record_form.html", status, replaced_by=self._pages.own_template("form"), **values)

    def _page(self, template: str, status: int = 200, **values: Any) -> Response:
        return page(template, status, place=self._pages.place, pages=self._pages, **values)

    def _facts(self, found: Record, edited: Mapping[str, Field]) -> list[Fact]:
        """What the page shows of a record beside its form."""
        facts = [Fact(f"{self._resource.noun.capitalize()} id", str(found.id))]
        for name, field in self._fields.items():
            if name not in edited:
                facts.append(Fact(label_of(name), shown(field, getattr(found, name))))
        return facts + [
            Fact(label_of(name), _derived(found, name, one)) for name, one in self._resource.derived.items()
        ]

    def _found(self, record_id: int) -> Record:
        found = self._records.get(known_id(record_id))
        if found is None:
            abort(404, f"There is no {self._resource.noun} {record_id}: it may have been deleted")
        return found

    def _changes(self, form: Mapping[str, str]) -> list[tuple[str, str | None]]:
        names = [name for name in self._mutable if name in form]
        return [(name, given(form, name)) for name in names if given(form, name) != given(form, OPENED_WITH + name)]


def _controls(fields: Mapping[str, Field]) -> list[Control]:
    """The controls of a form, long texts last."""
    controls = [control_of(field, required=field.required) for field in fields.values()]
    return sorted(controls, key=lambda one: one.type == "textarea")


def _derived(found: Record, name: str, one: Derived) -> str:
    """A derived value; the error instead of one that cannot be computed, so that the record can still be edited."""
    try:
        return shown(one.kind, getattr(found, name))
    except Exception as error:  # noqa: BLE001 - any error of the application's own code
        return f"{type(error).__name__}: {error}"


def _form_message(error: Problem) -> str:
    """The message of a problem next to its field in the form."""
    if error.code == FieldProblem.REQUIRED:
        return "Give a value"
    if error.code == RequestProblem.NOTHING_TO_CHANGE:
        return "Nothing has changed: change a field, or close the form"
    return without_name(error.message, error.field[-1] if error.field else "")


def _id(record_id: int) -> str:
    return str(known_id(record_id))

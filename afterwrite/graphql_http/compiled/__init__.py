"""Turns a validated operation into closures that execute it many times faster than graphql-core walks it."""

from afterwrite.graphql_http.compiled.operation import CompiledOperation, compile_operation

__all__ = ["CompiledOperation", "compile_operation"]

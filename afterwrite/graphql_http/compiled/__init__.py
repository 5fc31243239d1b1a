"""Compiles a validated operation into closures, many times faster than graphql-core's interpreter."""

from afterwrite.graphql_http.compiled.operation import CompiledOperation, compile_operation

__all__ = ["CompiledOperation", "compile_operation"]

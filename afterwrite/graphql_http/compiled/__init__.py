"""Compiles a validated operation into closures, many times faster than graphql-core's interpreter."""

from afterwrite.graphql_http.compiled.operation import CompiledOperation, InterpretedOperation

__all__ = ["CompiledOperation", "InterpretedOperation"]

"""Parses documents with graphql-core, without reference cycles that the garbage collector would have to free."""

from __future__ import annotations

from graphql import DocumentNode, Lexer, Source, Token, TokenKind
from graphql.language.parser import Parser, nested_too_deeply_error


def parse_document(source: str, *, max_lexical_tokens: int, max_comments: int) -> DocumentNode:
    """Returns the syntax tree of `source`, and raises what graphql-core's `parse` raises."""
    lexer = _Lexer(Source(source))
    parser = Parser(lexer.source, lexer=lexer, max_lexical_tokens=max_lexical_tokens, max_comments=max_comments)
    try:
        return parser.parse_document()
    except RecursionError:
        pass  # the error raised below must not keep its frames
    raise nested_too_deeply_error(parser)


class _Lexer(Lexer):
    """graphql-core's lexer, whose tokens know no other token once the parser has passed them."""

    def advance(self) -> Token:
        last = self.last_token = self.token
        self.token = self.lookahead()
        last.next = None
        return self.token

    def lookahead(self) -> Token:
        token = self.token
        while token.kind is not TokenKind.EOF:
            if token.next is None:
                token.next = self.read_next_token(token.end)
            token = token.next
            if token.kind is not TokenKind.COMMENT:
                break
        return token

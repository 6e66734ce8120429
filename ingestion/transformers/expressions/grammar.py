"""From the text of an expression to what it is made of, by a list of what may stand in one.

or:         and (OR and)*
and:        not (AND not)*
not:        NOT not | comparison
comparison: joined [= == <> != < <= > >= joined | [NOT] IN (...) | [NOT] BETWEEN joined AND joined
| [NOT] LIKE/ILIKE/REGEXP/~ 'pattern' | IS [NOT] NULL/TRUE/FALSE/DISTINCT FROM joined]
joined:     sum (|| sum)*
sum:        product (+ - product)*
product:    signed (* / // % signed)*
signed:     - signed | primary [::type] [.field]
"""

from collections.abc import Callable, Mapping

from ingestion.errors import ConfigError
from ingestion.transformers.expressions.limits import quote
from ingestion.transformers.expressions.nodes import All, Between, In, Is, Like, Matching, Node, Operation, Value
from ingestion.transformers.expressions.primary import Primary
from ingestion.transformers.expressions.tokens import tokens

__all__ = ["parse"]

_COMPARISONS = {"=": "=", "==": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_MATCHES: Mapping[str, Matching] = {"LIKE": "LIKE", "ILIKE": "ILIKE", "REGEXP": "~", "RLIKE": "~", "~": "~", "~*": "~*"}
_NEGATED: Mapping[str, Matching] = {"!~": "~", "!~*": "~*"}


def parse(text: str) -> Node:
    """What *text* is made of; raises ConfigError that quotes it where it is not an expression."""
    try:
        return _Grammar(text, tokens(text)).whole()
    except ConfigError as error:
        raise ConfigError(f"expression {quote(text)}: {error}") from error


def _null(node: Node) -> bool:
    return isinstance(node, Value) and node.kind == "null"


class _Grammar(Primary):
    """One rule per method; each takes what it knows and leaves the rest."""

    def whole(self) -> Node:
        """The expression that all words together are."""
        if self.ended:
            raise ConfigError("it is empty; write a formula such as price * quantity")
        node = self.expression()
        if not self.ended:
            self.unexpected()
        return node

    def expression(self) -> Node:
        """Conditions, or one value."""
        with self.deeper():
            return self._all("OR", lambda: self._all("AND", self._not))

    def _all(self, operator: str, inner: Callable[[], Node]) -> Node:
        start = self.now.start
        operands = [inner()]
        while self.took(operator):
            operands.append(inner())
        if len(operands) == 1:
            return operands[0]
        return All(self.since(start), "OR" if operator == "OR" else "AND", tuple(operands))

    def _not(self) -> Node:
        start = self.now.start
        if not self.took("NOT"):
            return self._comparison()
        with self.deeper():
            return Operation(self.since(start), "NOT", (self._not(),))

    def _comparison(self) -> Node:
        start = self.now.start
        left = self.joined()
        if self.now.key in _COMPARISONS:
            operator = _COMPARISONS[self.take().key]
            right = self.joined()
            if _null(left) or _null(right):
                instead = {"=": "IS NULL", "<>": "IS NOT NULL"}.get(operator, "IS NULL or IS NOT NULL")
                raise ConfigError(f"a comparison with NULL ({operator}) is never true; write {instead}")
            return Operation(self.since(start), operator, (left, right))
        if self.took("IS"):
            return self._is(start, left)
        negated = self.took("NOT")
        if self.took("BETWEEN"):
            low = self.joined()
            self.need("AND")
            high = self.joined()
            return Between(self.since(start), negated, (left, low, high))
        if self.took("IN"):
            options = self.listed(self.expression)
            if any(map(_null, options)) and (negated or all(map(_null, options))):
                missing = "IS NOT NULL" if negated else "IS NULL"
                raise ConfigError(f"{'NOT ' * negated}IN with NULL is never true; leave NULL out, or write {missing}")
            return In(self.since(start), negated, (left, *options))
        if self.now.key in _MATCHES or (not negated and self.now.key in _NEGATED):
            return self._match(start, left, negated=negated)
        if negated:
            self.unexpected("IN, BETWEEN or LIKE")
        return left

    def _is(self, start: int, left: Node) -> Node:
        negated = self.took("NOT")
        if self.took("DISTINCT"):
            self.need("FROM")
            right = self.joined()
            return Is(self.since(start), "DISTINCT FROM", negated, (left, right))
        if self.took("NULL"):
            return Is(self.since(start), "NULL", negated, (left,))
        if self.took("TRUE"):
            return Is(self.since(start), "TRUE", negated, (left,))
        if not self.took("FALSE"):
            self.unexpected("NULL, TRUE, FALSE or DISTINCT FROM")
        return Is(self.since(start), "FALSE", negated, (left,))

    def _match(self, start: int, left: Node, *, negated: bool) -> Node:
        key = self.take().key
        negated = negated or key in _NEGATED
        operator = _MATCHES.get(key) or _NEGATED[key]
        if self.now.kind != "text":
            self.unexpected("a pattern in 'quotes'")
        pattern = self.take().value
        if self.now.key == "ESCAPE":
            self.unexpected("nothing; use ~ and a regular expression")
        if operator in ("LIKE", "ILIKE") and ("\\%" in pattern or "\\_" in pattern):
            raise ConfigError(f"{pattern!r}: {operator} has no escapes; use ~ and a regular expression")
        return Like(self.since(start), operator, negated, left, pattern)

    def joined(self) -> Node:
        """Texts joined by ||, or one value."""
        return self._binary(("||",), self._sum)

    def _sum(self) -> Node:
        return self._binary(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._binary(("*", "/", "//", "%"), self._signed)

    def _binary(self, operators: tuple[str, ...], inner: Callable[[], Node]) -> Node:
        start = self.now.start
        left = inner()
        while self.now.key in operators:
            operator = self.take().key
            left = Operation("", operator, (left, inner()))
            left = Operation(self.since(start), operator, left.operands)
            self.count()
        return left

    def _signed(self) -> Node:
        start = self.now.start
        while self.took("+"):
            pass
        if not self.took("-"):
            return self.postfix()
        with self.deeper():
            operand = self._signed()
        if isinstance(operand, Value) and operand.kind == "number" and not operand.value.startswith("-"):
            return Value(self.since(start), "number", f"-{operand.value}")
        return Operation(self.since(start), "-", (operand,))

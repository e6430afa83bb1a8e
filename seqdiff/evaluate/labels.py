"""Which alleles of a VCF are positives and which negatives: conditions on INFO, such as AF<0.001 && VT==SNP."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from seqdiff.data.source import shown, text_of
from seqdiff.data.vcf import VcfRecord
from seqdiff.errors import DataError, UsageError

_CONDITION = re.compile(r"(?:INFO/)?([A-Za-z_][\w.]*|1000G)(?:\s*(<=|>=|==|!=|<|>)\s*(\S.*))?", re.ASCII)
_ATTRIBUTE = re.compile(rb'[<,](ID|Number|Type)=([^,>"]+)(?=(?:[^"]*"[^"]*")*[^"]*$)')
"""Outside of quotes, in any order."""
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
}  # fmt: skip
_COLUMNS = {"ID": 2, "QUAL": 5, "FILTER": 6}


class Field(NamedTuple):
    """What a header says of a field: `number` is of the format's A, R, G, ., 0, 1, ...; `numeric` its type."""

    number: str
    numeric: bool


def fields(meta: Sequence[bytes]) -> dict[str, Field]:
    """The INFO fields that the lines of a header declare, and the columns ID, QUAL and FILTER.

    >>> fields([b'##INFO=<ID=AF,Number=A,Type=Float,Description="frequency">'])["AF"]
    Field(number='A', numeric=True)
    >>> fields([b'##INFO=<Description="a,Type=String",Type=Float,ID=AF,Number=A>'])["AF"]
    Field(number='A', numeric=True)
    """
    declared = {"ID": Field(".", False), "QUAL": Field("1", True), "FILTER": Field(".", False)}
    for line in meta:
        said = dict(_ATTRIBUTE.findall(line)) if line.startswith(b"##INFO=<") else {}
        if said.keys() == {b"ID", b"Number", b"Type"}:
            declared[text_of(said[b"ID"])] = Field(text_of(said[b"Number"]), said[b"Type"] in (b"Integer", b"Float"))
    return declared


@dataclass(frozen=True)
class Condition:
    """`key` alone, which holds where it is given, or `key` compared with a value."""

    key: str
    operator: str | None = None
    value: str = ""

    def bound(self, declared: dict[str, Field], name: str) -> Field:
        """The field that is meant. Raises UsageError where the comparison makes no sense, DataError without one."""
        if self.key not in declared:
            known = ", ".join(key for key in declared if key not in _COLUMNS)
            raise DataError(
                f"{name}: its header declares no INFO field {self.key!r}. There are {known or 'none'}; the columns "
                "ID, QUAL and FILTER can be asked for as well"
            )
        field = declared[self.key]
        if field.number == "G":
            raise UsageError(f"{self.key} has a value for each genotype, not for each allele")
        if self.operator and field.number == "0":
            raise UsageError(f"{self.key} is a flag, with no value to compare: write {self.key} alone where it is set")
        if self.operator not in (None, "==", "!=") and not field.numeric:
            raise UsageError(f"{self.key} is text: compare it with == or !=, not with {self.operator}")
        if self.operator and field.numeric and _number(self.value) is None:
            raise UsageError(f"{self.key} {self.operator} {self.value}: {self.value!r} is no number, as {self.key} is")
        return field

    def holds(self, field: Field, values: list[str]) -> bool:
        """Whether it holds for any of the values that are given; != for all of them."""
        values = [value for value in values if value != "."]
        if not values or self.operator is None:
            return bool(values)
        if self.operator == "!=":
            return not Condition(self.key, "==", self.value).holds(field, values)
        if not field.numeric:
            return self.value in values
        numbers = [_number(value) for value in values]
        if None in numbers:
            raise ValueError(f"{self.key}={','.join(values)} is no number, as its header says it is")
        return any(_OPERATORS[self.operator](number, float(self.value)) for number in numbers)


@dataclass(frozen=True)
class Expression:
    """Conditions that all hold.

    >>> Expression.parse("AF >= 0.05 && FILTER==PASS").conditions[1]
    Condition(key='FILTER', operator='==', value='PASS')
    """

    conditions: tuple[Condition, ...]

    @classmethod
    def parse(cls, text: str) -> "Expression":
        conditions = []
        for part in text.split("&&"):
            found = _CONDITION.fullmatch(part.strip())
            if not found:
                raise UsageError(
                    f"{text!r}: {part.strip()!r} is no condition: write KEY, or KEY and a value with one of "
                    "< <= > >= == != between, and && between conditions: 'AF<0.001 && FILTER==PASS'"
                )
            key, compared, value = found.groups()
            if compared and value.lstrip()[:1] in "=<>":
                raise UsageError(f"{text!r}: {part.strip()!r}: there is no operator {compared + value.lstrip()[:1]}")
            quoted = value and len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            conditions.append(Condition(key, compared, value[1:-1] if quoted else value or ""))
        return cls(tuple(conditions))


class Labels:
    """Tells the alleles of a VCF apart; made for its header, whose fields the expressions must name.

    Values of one for each allele (Number=A, R) are taken allele by allele. Where a field has several values, a
    condition holds if it does for any of them (!= for all). A condition on what is missing never holds.
    """

    def __init__(self, positive: Expression, negative: Expression, declared: dict[str, Field], name: str):
        self._kinds = [
            [(condition, condition.bound(declared, name)) for condition in kind.conditions]
            for kind in (positive, negative)
        ]
        self._name = name

    def of(self, record: VcfRecord) -> list[tuple[bool, bool]]:
        """Whether each alternate allele is a positive, and whether it is a negative. Raises DataError with the line."""
        alleles = len(record.alternates)
        info = _parsed(record.columns[7])
        try:
            positive, negative = (
                [all(c.holds(f, _values(record, info, c.key, f, alleles, a)) for c, f in kind) for a in range(alleles)]
                for kind in self._kinds
            )
        except ValueError as error:
            raise DataError(f"{self._name}, line {record.number:,}: {error}") from error
        return list(zip(positive, negative, strict=True))


def _parsed(info: bytes) -> dict[bytes, bytes | None]:
    """Values by key, None for flags."""
    items = (item.partition(b"=") for item in info.split(b";"))
    return {key: value if equals else None for key, equals, value in items}


def _values(
    record: VcfRecord, info: dict[bytes, bytes | None], key: str, field: Field, alleles: int, allele: int
) -> list[str]:
    """What a record says of an allele; a flag that is set is one empty text."""
    if key in _COLUMNS:
        return text_of(record.columns[_COLUMNS[key]]).split(";")
    name = key.encode()
    if name not in info:
        return []
    given = info[name]
    values = text_of(given).split(",") if given is not None else [""]
    first = {"A": 0, "R": 1}.get(field.number)
    if first is None or values == ["."]:
        return values
    if len(values) != alleles + first:
        each = "one for each allele" if first else "one for each alternate allele"
        raise ValueError(
            f"{shown(name + b'=' + (given or b''))}: Number={field.number} is {alleles + first} values here, {each}"
        )
    return [values[first + allele]]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

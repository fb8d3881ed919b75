"""What can be chosen, for people: systems, workloads, and families of faults with the parameters of their steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import inspect

from harness.registry import SYSTEMS, find_system
from nemesis import FAMILIES
from workloads import WORKLOADS

_PLAIN = {
    inspect.FloatType: "number",
    inspect.IntType: "number",
    inspect.BoolType: "yes or no",
    inspect.StrType: "text",
}


def systems() -> Iterator[str]:
    """Yield the lines that tell of every system: what it is, its versions, facets and ways to read a register."""
    for name in SYSTEMS:
        system = find_system(name)("", {})
        traits = {
            "versions": system.versions,
            "facets": system.facets,
            "reads": getattr(system, "options", {}).get("reads"),
        }
        yield from _entry(name, system.summary, {what: ", ".join(values) for what, values in traits.items() if values})


def workloads() -> Iterator[str]:
    """Yield the lines that tell of every workload, and of the facets that it needs."""
    for name, make in WORKLOADS.items():
        workload = make({})
        yield from _entry(name, workload.summary, {"facets": ", ".join(workload.facets)})


def nemeses() -> Iterator[str]:
    """Yield the lines that tell of every family of faults: what it does, its parameters, and what rights it takes."""
    for name, each in FAMILIES.items():
        parameters = ", ".join(f"{field}={kind}" for field, kind in parameters_of(each.params).items())
        traits = {"parameters": parameters, "rights": ", ".join(sorted(each.rights)), "not in all": each.apart}
        yield from _entry(name, each.summary, {what: text for what, text in traits.items() if text})


def parameters_of(params: type) -> dict[str, str]:
    """Return the parameters of a step by name, with what each may be."""
    described: Any = inspect.type_info(params)
    return {field.encode_name: _kind(field.type) for field in described.fields}


def _kind(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.LiteralType):
        return "|".join(map(str, kind.values))
    if isinstance(kind, inspect.VarTupleType | inspect.ListType):
        inner = _kind(kind.item_type)
        return "names" if inner == "text" else f"list of {inner}"
    if isinstance(kind, inspect.UnionType):
        return "|".join(map(_kind, kind.types))
    return _PLAIN.get(type(kind), "any")


def _entry(name: str, summary: str, traits: dict[str, str]) -> Iterator[str]:
    yield f"{name:12}{summary}"
    for what, text in traits.items():
        yield f"{'':12}{what}: {text}"

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import oracle.core


def dataclasses_of_the_core() -> Iterator[type]:
    for module in pkgutil.iter_modules(oracle.core.__path__, "oracle.core."):
        for value in vars(importlib.import_module(module.name)).values():
            # Without its decorator a dataclass is a class with annotations.
            if (
                isinstance(value, type)
                and value.__module__ == module.name
                and (dataclasses.is_dataclass(value) or "__annotations__" in vars(value))
            ):
                yield value


CLASSES = sorted(set(dataclasses_of_the_core()), key=lambda one: one.__name__)


@pytest.mark.parametrize("one", CLASSES, ids=lambda one: one.__name__)
def test_facts_cannot_be_changed_and_hold_nothing_else(one: type) -> None:
    if issubclass(one, tuple):
        return
    assert dataclasses.is_dataclass(one)
    assert one.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert set(vars(one)["__slots__"]) == {field.name for field in dataclasses.fields(one)}


def test_there_are_facts() -> None:
    assert len(CLASSES) > 20

"""What is checked while tests run: the shapes of arrays that annotations state, by jaxtyping and beartype.

Functions whose annotations name no array are left as they are: pyright checks those types.
jaxtyping's own import hook wraps every function; that took eleven processor seconds of each test
process before the first test, and made each call dearer. `TWOFOLD_CHECKED=all` checks every
annotated function.
"""

import ast
import dataclasses
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any, get_args

import jaxtyping
from beartype import BeartypeConf, beartype

__all__ = ["checked", "install", "with_shapes"]

DECORATOR = "_checked_in_tests"
"""The name of the decorator in the modules that are checked."""

EVERYTHING = os.environ.get("TWOFOLD_CHECKED") == "all"

strictly = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""beartype as Python's own typing rules have it: an int may stand where a float is asked for (PEP 484)."""


def install() -> None:
    """Have every module of twofold that is imported from here on checked."""
    sys.meta_path.insert(0, Finder())


class Finder(MetaPathFinder):
    """Finds the modules of twofold, and has them read by `Loader`."""

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The usual place, with our loader."""
        if fullname.partition(".")[0] != "twofold":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


class Loader(SourceFileLoader):
    """Puts the decorator on the functions and dataclasses of a module."""

    def get_code(self, fullname: str) -> Any:
        """Compiled from the source each time: what is cached beside it has no decorators."""
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        for node in definitions(tree.body):
            decorator = ast.copy_location(ast.Name(DECORATOR, ast.Load()), node)
            # a dataclass has its __init__ once its own decorator is done; a property or a cache
            # hides its function
            place = 0 if isinstance(node, ast.ClassDef) else len(node.decorator_list)
            node.decorator_list.insert(place, decorator)
        return compile(tree, path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, which finds the decorator among its names."""
        setattr(module, DECORATOR, checked)
        super().exec_module(module)


def definitions(body: list[ast.stmt]) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    """Annotated functions and decorated classes, however deep in statements they stand."""
    for node in body:
        if isinstance(node, ast.FunctionDef):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            if node.returns is not None or any(each.annotation is not None for each in arguments):
                yield node
        elif isinstance(node, ast.ClassDef) and node.decorator_list:
            yield node
        for block in ("body", "orelse", "finalbody"):
            yield from definitions(getattr(node, block, []))
        for handler in getattr(node, "handlers", []):
            yield from definitions(handler.body)


def checked(thing: Any) -> Any:
    """A function, checked if its annotations name an array; a dataclass, checked when it is made if its fields do."""
    if inspect.isclass(thing):
        own = dataclasses.is_dataclass(thing) and "__init__" in vars(thing)
        if own and wanted(field.type for field in dataclasses.fields(thing)):
            thing.__init__ = with_shapes(thing.__init__)
        return thing
    return with_shapes(thing) if wanted(thing.__annotations__.values()) else thing


def wanted(annotations: Iterable[Any]) -> bool:
    """Whether something with these annotations is checked."""
    return EVERYTHING or any(map(names_array, annotations))


def with_shapes(function: Callable) -> Callable:
    """A function whose arguments and result are checked together: one letter, one length. Made when first called."""
    shaped: list[Callable] = []

    @wraps(function)
    def called(*args: Any, **options: Any) -> Any:
        if jaxtyping.config.jaxtyping_disable:
            return function(*args, **options)
        if not shaped:
            shaped.append(both_at_once(function))
        return shaped[0](*args, **options)

    return called


def both_at_once(function: Callable) -> Callable:
    """Arguments and result in one call of beartype; of a generator the arguments alone, when it is called."""
    # beartype's own would look at them later, among the shapes of others
    if inspect.isgeneratorfunction(function):
        return jaxtyping.jaxtyped(function, typechecker=strictly)
    return jaxtyping.jaxtyped(strictly(function), typechecker=None)


def names_array(annotation: Any) -> bool:
    """Whether an annotation, or a part of it, is an array with a shape."""
    if isinstance(annotation, str):
        return "Tensor" in annotation or "ndarray" in annotation
    if isinstance(annotation, list):  # the arguments of a Callable
        return any(map(names_array, annotation))
    if inspect.isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray):
        return True
    return any(map(names_array, get_args(annotation)))

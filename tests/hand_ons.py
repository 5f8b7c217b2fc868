"""How often parameters are handed on before a function of the sources does something with them."""

import ast
from collections import defaultdict
from collections.abc import Iterator

Function = tuple[str, ast.FunctionDef]  # with the name of its module


class Calls:
    """Which function a call goes to, where that is plain to see: a name that the module defines or
    imports, a function of an imported module, or a method that no two classes have.
    """

    def __init__(self, texts: dict[str, str]) -> None:
        trees = {module: ast.parse(text) for module, text in texts.items()}
        self.imports: dict[tuple[str, str], tuple[str, str]] = {}
        self.functions: dict[tuple[str, str], Function] = {}
        self.methods: dict[str, list[Function]] = defaultdict(list)
        for module, tree in trees.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module:
                    for alias in node.names:
                        place = node.module, alias.name
                        self.imports[module, alias.asname or alias.name] = place
                for part in node.body if isinstance(node, ast.Module | ast.ClassDef) else ():
                    if isinstance(part, ast.FunctionDef) and node is tree:
                        self.functions[module, part.name] = module, part
                    elif isinstance(part, ast.FunctionDef):
                        self.methods[part.name].append((module, part))

    def definitions(self) -> Iterator[Function]:
        yield from self.functions.values()
        for namesakes in self.methods.values():
            yield from namesakes

    def target(self, module: str, called: ast.expr) -> Function | None:
        if isinstance(called, ast.Name):
            return self.functions.get(self.imports.get((module, called.id), (module, called.id)))
        if not isinstance(called, ast.Attribute):
            return None
        if isinstance(called.value, ast.Name) and (module, called.value.id) in self.imports:
            home = ".".join(self.imports[module, called.value.id])
            return self.functions.get((home, called.attr))
        methods = self.methods.get(called.attr, [])
        return methods[0] if len(methods) == 1 else None

    def handed_to(self, function: Function, name: str) -> tuple[Function, str] | None:
        """Where `name` goes, if to be the argument of one call is all that is done with it."""
        module, definition = function
        nodes = list(ast.walk(definition))
        if sum(isinstance(node, ast.Name) and node.id == name for node in nodes) != 1:
            return None
        for call in (node for node in nodes if isinstance(node, ast.Call)):
            target = self.target(module, call.func)
            for slot, value in [*enumerate(call.args), *((k.arg, k.value) for k in call.keywords)]:
                if target and isinstance(value, ast.Name) and value.id == name:
                    names = parameters(target[1])
                    if isinstance(slot, int):
                        return (target, names[slot]) if slot < len(names) else None
                    rest = target[1].args.kwarg
                    bound = slot if slot in names else rest and rest.arg
                    return (target, bound) if bound else None
        return None


def parameters(function: ast.FunctionDef) -> list[str]:
    arguments = function.args
    declared = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.kwarg]
    return [
        argument.arg for argument in declared if argument and argument.arg not in ("self", "cls")
    ]


def chains(texts: dict[str, str]) -> Iterator[list[str]]:
    """Each parameter of the modules (their names to their texts), and the functions that it is
    handed on to, one after another.
    """
    calls = Calls(texts)
    for function in calls.definitions():
        for name in parameters(function[1]):
            step, chain = (function, name), []
            while step and (label := f"{step[1]} of {step[0][0]}.{step[0][1].name}") not in chain:
                chain.append(label)
                step = calls.handed_to(*step)
            yield chain

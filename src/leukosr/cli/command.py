"""How commands read their arguments, and what `leukosr COMMAND --help` calls the values: one word in capitals each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

WORDS = {Path: "PATH", str: "NAME", int: "N", float: "X", bool: ""}  # a flag takes no value


class Command(TyperCommand):
    """A command that refuses an option of one value given twice.

    In its help an option without a `metavar` has the word of its type, an argument that of its name.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The arguments that are left, as Typer does, which would silently take the last of two values."""
        *_, given = self.make_parser(ctx).parse_args(args=list(args))
        for param in () if ctx.resilient_parsing else given:  # which is how a shell asks for completions
            if isinstance(param, TyperOption) and not (param.multiple or param.is_flag) and given.count(param) > 1:
                ctx.fail(f"Option '{param.opts[0]}' takes one value, and was given {given.count(param)} times.")
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters, the flag `--help` among them."""
        return _in_words(super().get_params(ctx), self.callback)


class Group(TyperGroup):
    """The same of a group of commands, whose own options are flags."""

    def get_params(self, ctx: Any) -> list[Any]:
        """All parameters, the flag `--help` among them."""
        return _in_words(super().get_params(ctx), self.callback)


def _in_words(params: list[Any], callback: Callable[..., Any] | None) -> list[Any]:
    """The parameters, each with the word that stands for its value; those not in `callback` are Typer's own flags."""
    kinds = {} if callback is None else get_type_hints(inspect.unwrap(callback))
    for param in params:
        if isinstance(param, TyperArgument):
            param.metavar = param.metavar or str(param.name).upper()
            param.display_type_rich = _nothing  # type: ignore[method-assign]
        elif param.metavar is None:
            param.metavar = WORDS[_plain(kinds.get(str(param.name), bool))]
    return params


def _nothing(ctx: Any) -> None:
    """In the place of an argument's type, as Typer writes it: its name says enough."""


def _plain(kind: Any) -> Any:
    """The type of one value: that of a list's elements, or of what may be None."""
    if get_origin(kind) is None:
        return kind
    return next(_plain(each) for each in get_args(kind) if each is not type(None))

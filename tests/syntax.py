"""Syntax trees of our own modules."""

import ast
import gc


def tree_of(source: str) -> ast.Module:
    """Of Python source. Without the collector: what it finalizes may print a traceback, which parses too, and CPython
    before 3.11.8 takes a parse within a parse for a mistake of its own (SystemError)."""
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        gc.enable()

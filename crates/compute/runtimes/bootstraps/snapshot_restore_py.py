"""The hooks of Lambda SnapStart, where the function does not bring AWS's own package of this name.

Source: AWS Lambda Developer Guide, "Implement code before or after Lambda function snapshots".
"""

__all__ = ["register_after_restore", "register_before_snapshot"]

_before_snapshot = []
_after_restore = []


def register_before_snapshot(func, *args, **kwargs):
    """Has `func` called with these arguments before a snapshot is made; the last registered comes first. Can decorate."""
    _before_snapshot.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    """Has `func` called with these arguments in each environment that is restored; in order. Can decorate."""
    _after_restore.append((func, args, kwargs))
    return func


def get_before_snapshot():
    return _before_snapshot


def get_after_restore():
    return _after_restore

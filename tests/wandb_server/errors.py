"""What goes wrong in an answer, with the HTTP status that the real service gives it."""

from __future__ import annotations


class ApiError(Exception):
    """An answer with `errors`; `status` decides whether the client tries again."""

    def __init__(self, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.message = message
        self.status = status

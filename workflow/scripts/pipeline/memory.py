"""Which errors are a want of memory."""

__all__ = ["want_of_memory"]


def want_of_memory(error: BaseException | None) -> BaseException | None:
    """The error by which memory ran out, in the chain of errors that it led to; None if it did not.

    Examples
    --------
    >>> want_of_memory(MemoryError("7 MiB"))
    MemoryError('7 MiB')

    A file that is being written fails in its own words:

    >>> failure = ValueError("I/O operation on closed file")
    >>> failure.__context__ = MemoryError("7 MiB")
    >>> want_of_memory(failure)
    MemoryError('7 MiB')
    >>> want_of_memory(ValueError("points is 0"))
    """
    while error is not None:
        # torch need not be imported for its class, which it has on a GPU alone
        if (
            isinstance(error, MemoryError)
            or type(error).__name__ == "OutOfMemoryError"
            or "can't allocate memory" in str(error)
        ):
            return error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None

"""Which errors are a want of memory."""

__all__ = ["out_of_memory_error"]


def out_of_memory_error(error: BaseException | None) -> BaseException | None:
    """The error by which memory ran out, in the chain of errors that it led to; None if it did not.

    Examples
    --------
    >>> out_of_memory_error(MemoryError("7 MiB"))
    MemoryError('7 MiB')

    A file that is being written fails in its own words:

    >>> failure = ValueError("I/O operation on closed file")
    >>> failure.__context__ = MemoryError("7 MiB")
    >>> out_of_memory_error(failure)
    MemoryError('7 MiB')
    >>> out_of_memory_error(ValueError("points is 0"))
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

"""Errors that are raised when memory runs out."""

__all__ = ["out_of_memory_error"]


def out_of_memory_error(error: BaseException | None) -> BaseException | None:
    """The error by which memory ran out, in the chain of causes of an error; None if there is none.

    Examples
    --------
    >>> out_of_memory_error(MemoryError("7 MiB"))
    MemoryError('7 MiB')

    When memory runs out while a file is written, the file raises another error:

    >>> failure = ValueError("I/O operation on closed file")
    >>> failure.__context__ = MemoryError("7 MiB")
    >>> out_of_memory_error(failure)
    MemoryError('7 MiB')
    >>> out_of_memory_error(ValueError("points is 0"))
    """
    while error is not None:
        # by name, because the class of torch is slow to import
        if (
            isinstance(error, MemoryError)
            or type(error).__name__ == "OutOfMemoryError"
            or "can't allocate memory" in str(error)
        ):
            return error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None

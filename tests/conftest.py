import logging

import pytest


@pytest.fixture(autouse=True)
def logging_as_it_was():
    """A command that ran in this process, in a test or a fixture of many, has set up logging for itself: every test
    finds it as it is without commands."""
    _plain()
    yield
    _plain()


def _plain():
    logger = logging.getLogger("seqdiff")
    logger.handlers[:] = []
    logger.propagate, logger.disabled = True, False  # import-linter disables all loggers that are there
    logger.setLevel(logging.NOTSET)

import logging

import pytest


@pytest.fixture(autouse=True)
def logging_as_it_was():
    """A command that ran in this process has set up logging for itself: put it back for the next test."""
    logger = logging.getLogger("seqdiff")
    before = logger.handlers[:], logger.propagate, logger.level, logger.disabled
    yield
    logger.handlers[:], logger.propagate = before[0], before[1]
    logger.setLevel(before[2])
    logger.disabled = before[3]  # import-linter disables all loggers that are there

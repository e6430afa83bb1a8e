"""Training: `loop.train` reads top to bottom; beside it the optimizer, the average, the processes, the log."""

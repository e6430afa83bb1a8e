"""Modalities: an alphabet and where its sequences come from.

A new one is a file here with a config class that has `kind`, `alphabet`, `context` and `open()`, and its
name in `ModalityConfig`.
"""

from seqdiff.modalities.dna import Dna

ModalityConfig = Dna
"""Any modality."""

"""Cluster tables: which proteins are so alike that they must stand on the same side of a split.

Two columns, representative and member, with a tab between them and a line a member, as `mmseqs easy-cluster` writes
`_cluster.tsv`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from seqdiff.data import headers
from seqdiff.data.proteome import Proteome, key_of
from seqdiff.data.source import Source, shown
from seqdiff.errors import DataError


class Clusters(NamedTuple):
    """A table as numbers (`seqdiff.data.proteome.key_of`), ordered by member."""

    path: Path
    member: Int64[np.ndarray, "M"]
    cluster: Int64[np.ndarray, "M"]
    """Of each member, the key of its representative."""

    def of(self, proteome: Proteome) -> Int64[np.ndarray, "N"]:
        """The cluster of each record. Raises DataError for records that the table does not have."""
        keys = proteome.keys("identifier")
        place = np.minimum(np.searchsorted(self.member, keys), len(self.member) - 1)
        missing = np.flatnonzero(self.member[place] != keys)
        if missing.size:
            raise DataError(
                f"{self.path}: {missing.size:,} of the {len(proteome):,} proteins of {proteome.path} are no members "
                f"of a cluster (the first: {proteome.name(int(missing[0]))}): cluster the file that is trained on"
            )
        return self.cluster[place]


def read_clusters(path: str | Path) -> Clusters:
    """A cluster table, plain or gzip.

    Raises DataError: no such file, a line without two columns, a member of two clusters, nothing in it.
    """
    members, clusters = [], []
    with Source(path) as source:
        for number, line in enumerate(source.lines(), 1):
            if not line.strip():
                continue
            columns = line.split(b"\t")
            if len(columns) != 2 or not all(columns):
                raise DataError(
                    f"{source.name}, line {number:,}: {shown(line)} is not two columns with a tab between them, "
                    "representative and member, as `mmseqs easy-cluster` writes _cluster.tsv"
                )
            cluster, member = (key_of(headers.identifier(column.strip())) for column in columns)
            clusters.append(cluster)
            members.append(member)
    if not members:
        raise DataError(f"{source.name} is empty: there is no cluster in it")
    member, cluster = np.array(members, np.int64), np.array(clusters, np.int64)
    order = np.argsort(member, kind="stable")
    member, cluster = member[order], cluster[order]
    same = member[1:] == member[:-1]
    if (wrong := np.flatnonzero(same & (cluster[1:] != cluster[:-1]))).size:
        raise DataError(
            f"{source.name}, line {order[wrong[0] + 1] + 1:,}: this member was put into another cluster before "
            f"({wrong.size:,} such members): a protein is in one cluster"
        )
    return Clusters(Path(path), member, cluster)

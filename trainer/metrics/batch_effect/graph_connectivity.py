"""Graph connectivity: does a label hang together among its neighbours?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from trainer.metrics.batch_effect.inputs import codes
from trainer.metrics.batch_effect.neighbors import Neighbors


def graph_connectivity(neighbors: Neighbors, label_N: ArrayLike) -> float:
    """Mean over labels of largest component / size, in the label's part of the neighbour graph.

    Components are strongly connected ones of the directed graph. 0..1, higher is better;
    a label of one row counts 1. scib-metrics' ``graph_connectivity`` (Luecken et al., 2022).
    """
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    n, k = neighbors.index_Nk.shape
    code, names = codes(label_N, n, "label")
    start, stop = np.repeat(np.arange(n), k), neighbors.index_Nk.ravel()
    inside = code[start] == code[stop]
    graph = csr_matrix(
        (np.ones(int(inside.sum()), dtype=np.int8), (start[inside], stop[inside])), shape=(n, n)
    )
    # Edges between labels are gone, so components of the whole are components of a label.
    _, component = connected_components(graph, connection="strong")
    sizes = np.bincount(component)
    largest = np.zeros(len(names))
    np.maximum.at(largest, code, sizes[component])
    return float(np.mean(largest / np.bincount(code)))

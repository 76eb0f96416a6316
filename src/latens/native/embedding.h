/* What the kernels of embedding.c work on: `Embedding` of latens.native. */

#ifndef LATENS_EMBEDDING_H
#define LATENS_EMBEDDING_H

#include <stdint.h>

typedef struct {
    int64_t num; /* points */
    /* attraction: a sparse matrix, row after row, and at its end 16 numbers more that are read and not used */
    const int64_t *starts;
    const int32_t *targets;
    const float *affinities;
    /* (num, 2) each */
    float *y, *attraction, *repulsion, *velocity, *gains;
    /* the grid: side x side nodes, rows `pitch` apart; node (i, j) is at corner + spacing * (i - 1, j - 1) */
    int64_t side, pitch;
    float *grid;
    const float *fields; /* (2, side, pitch): the smooth part of the force along both axes, at the nodes */
    /* the points in the order of their cells: where each cell begins (side * side + 1), which they are, where they lie; and each
     * point's cell */
    int32_t *cells, *order, *cell_of;
    float *sorted; /* (2, num) */
    float corner[2], spacing;
    float near; /* squared distance + 1 up to which pairs are summed one by one; 0: none */
    double *sums; /* room for one a task */
} Embedding;

#endif

/* What the kernels of neighbours.c work on: `Scan` of latens.native. */

#ifndef LATENS_NEIGHBOURS_H
#define LATENS_NEIGHBOURS_H

#include <stdint.h>

#define PACK 32    /* points that lie together */
#define QUERIES 48 /* of a task */

typedef struct {
    int64_t num_points, width, num_queries, candidates, room; /* numbers of a row; keys that a query holds */
    int64_t own; /* the point that is the first query, which then is left out, and so on; -1: none is */
    const float *packed; /* (blocks, width, PACK): a point that is not there has infinite scores */
    const float *rows;   /* (num_queries, width) */
    float *values;       /* (num_queries, candidates): the smallest products, in order; infinite where there are too few */
    int64_t *indices;    /* of which points */
    uint64_t *keys;      /* (threads, QUERIES, room) */
} Scan;

/* The keys that a query has found so far, and the score above which there is nothing more to find. */
typedef struct {
    uint64_t *keys;
    long count, own;
    float limit;
} Found;

#endif

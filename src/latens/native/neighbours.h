/* What the kernels of neighbours.c work on: `Scan` of latens.native. */

#ifndef LATENS_NEIGHBOURS_H
#define LATENS_NEIGHBOURS_H

#include <stdint.h>

#define PACK 32    /* points that lie together */
#define QUERIES 48 /* of a task */

typedef struct {
    int64_t num_points, width, num_queries, candidates, room; /* numbers of a row; keys that a query holds */
    /* A row is several stretches of numbers, with a length after each but the last: no whole product is below that of the
     * stretches up to one, less that of the lengths after it, which are no part of the product. */
    int64_t num_stretches;
    const int64_t *ends;  /* (num_stretches): of the stretches, where the lengths are; `width` of the last */
    const float *packed;  /* (blocks, width, PACK): a point that is not there has infinite scores */
    const float *rows;    /* (num_queries, width) */
    const int64_t *names; /* (num_points): the index of each point in the results */
    const int64_t *own;   /* (num_queries): the index of the point that is the query, which is left out; -1: none is */
    const int64_t *start; /* (num_queries): the block with which the search begins */
    float *values;       /* (num_queries, candidates): the smallest products, in order; infinite where there are too few */
    int64_t *indices;    /* of which points */
    uint64_t *keys;      /* (threads, QUERIES, room) */
} Scan;

/* The keys that a query has found so far. */
typedef struct {
    uint64_t *keys;
    long count, own;
} Found;

/* The queries of a task; beyond the last, the last one again, which finds nothing. */
typedef struct {
    const float *rows[QUERIES];
    float limits[QUERIES]; /* scores above which there is nothing more to find */
    Found found[QUERIES];
    long count;
} Queries;

#endif

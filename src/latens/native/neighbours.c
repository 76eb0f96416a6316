/* The smallest of the products of each query with all points: the candidates of a search for nearest neighbours.
 *
 * A product is compared in registers with the largest of those that the query holds; few are smaller. Most are known not to be
 * by their first numbers: the rest of the product is at most that of the lengths of the rest. A
 * score and its point make up one key, a whole number of the order of both, so that ties go to the smaller index.
 */

#include "neighbours.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "threads.h"

typedef struct {
    void (*scan)(const Scan *, const float *block, long first, Queries *queries);
} Kernels;

static long least(long a, long b) { return a < b ? a : b; }

static uint64_t key_of(float score, long index)
{
    uint32_t word;
    memcpy(&word, &score, 4);
    word ^= word >> 31 ? 0xffffffffu : 0x80000000u; /* floats in the order of whole numbers */
    return (uint64_t)word << 32 | (uint32_t)index;
}

static float score_of(uint64_t key)
{
    uint32_t word = (uint32_t)(key >> 32);
    float score;
    word ^= word >> 31 ? 0x80000000u : 0xffffffffu;
    memcpy(&score, &word, 4);
    return score;
}

/* Part keys: those up to the returned place are no larger than those from it on (Hoare), both parts being shorter. */
static long part(uint64_t *keys, long count)
{
    uint64_t a = keys[0], b = keys[count / 2], c = keys[count - 1];
    uint64_t middle = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
    long i = -1, j = count;
    for (;;) {
        do i++;
        while (keys[i] < middle);
        do j--;
        while (keys[j] > middle);
        if (i >= j) return i > j ? i : i > 0 ? i : 1;
        uint64_t key = keys[i];
        keys[i] = keys[j], keys[j] = key;
    }
}

/* Bring the `wanted` smallest keys to the front. */
static void select_keys(uint64_t *keys, long count, long wanted)
{
    while (count > 1 && wanted > 0 && wanted < count) {
        long middle = part(keys, count);
        if (wanted <= middle) count = middle;
        else keys += middle, count -= middle, wanted -= middle;
    }
}

static void sort_keys(uint64_t *keys, long count)
{
    for (; count > 16;) {
        long middle = part(keys, count);
        sort_keys(keys, middle);
        keys += middle, count -= middle;
    }
    for (long i = 1; i < count; i++) {
        uint64_t key = keys[i];
        long j = i;
        for (; j && keys[j - 1] > key; j--) keys[j] = keys[j - 1];
        keys[j] = key;
    }
}

static void keep(Found *found, float *limit, float score, long index, long candidates, long room)
{
    if (!(score < *limit) || index == found->own) return;
    found->keys[found->count++] = key_of(score, index);
    if (found->count < room) return;
    select_keys(found->keys, room, candidates);
    uint64_t worst = 0;
    for (long i = 0; i < candidates; i++) worst = found->keys[i] > worst ? found->keys[i] : worst;
    found->count = candidates, *limit = score_of(worst);
}

#define KERNELS "neighbours_kernels.h"
#include "instruction_sets.h"

/* The block of a step outwards from that of `start`, to both sides in turn as long as there are blocks. */
static long block_of(long step, long start, long blocks)
{
    long both = least(start, blocks - 1 - start);
    if (step > 2 * both) return start > both ? blocks - 1 - step : step;
    return step % 2 ? start - (step + 1) / 2 : start + step / 2;
}

static void begin(const Scan *s, long first, long slot, Queries *queries)
{
    queries->count = least(QUERIES, s->num_queries - first);
    for (long i = 0; i < QUERIES; i++) {
        long query = first + least(i, queries->count - 1);
        queries->rows[i] = s->rows + query * s->width;
        queries->limits[i] = i < queries->count ? INFINITY : -INFINITY;
        queries->found[i] = (Found){s->keys + (slot * QUERIES + i) * s->room, 0, s->own[query]};
    }
}

static void visit(const Scan *s, long block, long ahead, Queries *queries)
{
    for (const char *bytes = (const char *)(s->packed + ahead * PACK * s->width), *end = bytes + s->ends[0] * PACK * 4; bytes < end; bytes += 64)
        __builtin_prefetch(bytes); /* what most queries need of it */
    kernels()->scan(s, s->packed + block * PACK * s->width, block * PACK, queries);
}

static void finish(const Scan *s, long first, Queries *queries)
{
    for (long i = 0; i < queries->count; i++) {
        Found *found = queries->found + i;
        float *values = s->values + (first + i) * s->candidates;
        int64_t *indices = s->indices + (first + i) * s->candidates;
        select_keys(found->keys, found->count, s->candidates);
        long kept = least(found->count, s->candidates);
        sort_keys(found->keys, kept);
        for (long j = 0; j < s->candidates; j++) {
            values[j] = j < kept ? score_of(found->keys[j]) : INFINITY;
            indices[j] = j < kept ? (int64_t)(uint32_t)found->keys[j] : found->own;
        }
    }
}

static void scan_task(void *work, long task, long slot)
{
    const Scan *s = work;
    Queries queries;
    long first = task * QUERIES;
    begin(s, first, slot, &queries);
    /* From the block about the middle query outwards: near points are found early, and limits are low for the others. */
    long blocks = (s->num_points + PACK - 1) / PACK, start = s->start[first + queries.count / 2];
    for (long step = 0; step < blocks; step++)
        visit(s, block_of(step, start, blocks), block_of(least(step + 2, blocks - 1), start, blocks), &queries);
    finish(s, first, &queries);
}

void latens_nearest(Scan *scan, long threads) { share(scan_task, scan, (scan->num_queries + QUERIES - 1) / QUERIES, threads); }

/* The same among some blocks of points: those that each task is given. */
typedef struct {
    const Scan *scan;
    const int64_t *starts; /* (tasks + 1): of each task's blocks in the list */
    const int32_t *blocks;
} Some;

static void some_task(void *work, long task, long slot)
{
    const Some *some = work;
    Queries queries;
    long first = task * QUERIES, last = some->starts[task + 1] - 1;
    begin(some->scan, first, slot, &queries);
    for (long i = some->starts[task]; i <= last; i++)
        visit(some->scan, some->blocks[i], some->blocks[least(i + 2, last)], &queries);
    finish(some->scan, first, &queries);
}

void latens_nearest_among(const Scan *scan, const int64_t *starts, const int32_t *blocks, long threads)
{
    Some some = {scan, starts, blocks};
    share(some_task, &some, (scan->num_queries + QUERIES - 1) / QUERIES, threads);
}

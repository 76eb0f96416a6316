/* Products of queries with a block of points, compared at once: included by neighbours.c for each instruction set. */

#define TOGETHER (LANES == 16 ? 8 : 4) /* queries, with two vectors of points each: what the registers hold */

/* Whether any lane of a comparison is true. */
INLINE int NAME(any)(bits condition)
{
#if LANES == 16
    return _mm512_movepi32_mask((__m512i)condition) != 0;
#elif LANES == 8
    return _mm256_movemask_ps((__m256)condition) != 0;
#elif defined(__SSE2__)
    return _mm_movemask_ps((__m128)condition) != 0;
#else
    return (condition[0] | condition[1] | condition[2] | condition[3]) != 0;
#endif
}

INLINE void NAME(compare)(const Scan *s, vec scores, long first, Found *found, float *limit)
{
    if (!NAME(any)(scores < *limit)) return;
    for (long lane = 0; lane < LANES && first + lane < s->num_points; lane++)
        keep(found, limit, scores[lane], s->names[first + lane], s->candidates, s->room);
}

/* The queries with the block of points that begins with `first`. */
static void NAME(scan)(const Scan *s, const float *block, long first, Queries *queries)
{
    for (long q = 0; q < queries->count; q += TOGETHER)
        for (long lane = 0; lane < PACK; lane += 2 * LANES) {
            const float *const *rows = queries->rows + q, *points = block + lane;
            float *limits = queries->limits + q;
            vec a[TOGETHER], b[TOGETHER];
            for (long i = 0; i < TOGETHER; i++) a[i] = b[i] = (vec){0};
            for (long d = 0, stretch = 0; stretch < s->num_stretches; d++, stretch++) {
                long end = s->ends[stretch];
                for (; d < end; d++) {
                    vec left = NAME(load)(points + d * PACK), right = NAME(load)(points + d * PACK + LANES);
                    for (long i = 0; i < TOGETHER; i++) a[i] += rows[i][d] * left, b[i] += rows[i][d] * right;
                }
                if (end == s->width) break;
                vec left = NAME(load)(points + end * PACK), right = NAME(load)(points + end * PACK + LANES);
                bits near = {0};
                for (long i = 0; i < TOGETHER; i++)
                    near |= (a[i] - rows[i][end] * left < limits[i]) | (b[i] - rows[i][end] * right < limits[i]);
                if (!NAME(any)(near)) goto next;
            }
            for (long i = 0; i < TOGETHER; i++) {
                NAME(compare)(s, a[i], first + lane, queries->found + q + i, limits + i);
                NAME(compare)(s, b[i], first + lane + LANES, queries->found + q + i, limits + i);
            }
        next:;
        }
}

static const Kernels NAME(kernels) = {NAME(scan)};

#undef TOGETHER

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

INLINE void NAME(compare)(const Scan *s, vec scores, long first, Found *found)
{
    if (!NAME(any)(scores < found->limit)) return;
    for (long lane = 0; lane < LANES; lane++) keep(found, scores[lane], first + lane, s->candidates, s->room);
}

/* `count` queries with the block of points that begins with `first`. */
static void NAME(scan)(const Scan *s, const float *block, long first, long query, long count, Found *found)
{
    for (long q = 0; q < count; q += TOGETHER)
        for (long lane = 0; lane < PACK; lane += 2 * LANES) {
            const float *rows[TOGETHER];
            vec a[TOGETHER], b[TOGETHER];
            for (long i = 0; i < TOGETHER; i++) { /* beyond the last query, the last one again */
                rows[i] = s->rows + (query + least(q + i, count - 1)) * s->width;
                a[i] = b[i] = (vec){0};
            }
            for (long d = 0; d < s->width; d++) {
                vec left = NAME(load)(block + d * PACK + lane), right = NAME(load)(block + d * PACK + lane + LANES);
                for (long i = 0; i < TOGETHER; i++) a[i] += rows[i][d] * left, b[i] += rows[i][d] * right;
            }
            for (long i = 0; i < TOGETHER && q + i < count; i++) {
                NAME(compare)(s, a[i], first + lane, found + q + i);
                NAME(compare)(s, b[i], first + lane + LANES, found + q + i);
            }
        }
}

static const Kernels NAME(kernels) = {NAME(scan)};

#undef TOGETHER

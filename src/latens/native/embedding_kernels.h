/* The sums over pairs, once for each instruction set: included by embedding.c. */

INLINE vec NAME(where)(bits condition, vec value) { return (vec)((bits)value & condition); }

/* Natural logarithm of normal positive numbers, to about 1e-7 of 1: the series of atanh((m - 1) / (m + 1)), m near 1. */
INLINE vec NAME(logarithm)(vec x)
{
    bits exponent = ((bits)x - 0x3f3504f3) >> 23; /* of x / sqrt(1 / 2) */
    vec m = (vec)((bits)x - (exponent << 23));
    vec s = (m - 1) / (m + 1), square = s * s;
    vec series = ((square * (1 / 9.0f) + 1 / 7.0f) * square + 1 / 5.0f) * square + 1 / 3.0f;
    return __builtin_convertvector(exponent, vec) * 0.693147181f + 2 * s + 2 * s * square * series;
}

/* LANES neighbours of a point: their offsets and affinities. */
typedef struct {
    vec across, down, affinity;
} NAME(Edges);

/* Those beyond `last` belong to the next point and get no weight. */
INLINE NAME(Edges) NAME(edges)(const Embedding *e, const float *here, long first, long last)
{
    float x[LANES], y[LANES];
    bits lanes;
    __builtin_prefetch(e->targets + first + AHEAD), __builtin_prefetch(e->affinities + first + AHEAD);
    for (long i = 0; i < LANES; i++) {
        const float *there = e->y + 2 * (long)e->targets[first + i];
        x[i] = there[0], y[i] = there[1], lanes[i] = (int32_t)i;
    }
    vec affinity = NAME(where)(lanes < (int32_t)(last - first), NAME(load)(e->affinities + first));
    return (NAME(Edges)){here[0] - NAME(load)(x), here[1] - NAME(load)(y), affinity};
}

static void NAME(attract)(const Embedding *e, long first, long last)
{
    for (long i = first; i < last; i++) {
        vec across = {0}, down = {0};
        for (long at = e->starts[i]; at < e->starts[i + 1]; at += LANES) {
            NAME(Edges) part = NAME(edges)(e, e->y + 2 * i, at, e->starts[i + 1]);
            vec weight = part.affinity / (1 + part.across * part.across + part.down * part.down);
            across += weight * part.across, down += weight * part.down;
        }
        e->attraction[2 * i] = NAME(sum)(across), e->attraction[2 * i + 1] = NAME(sum)(down);
    }
}

static double NAME(entropy)(const Embedding *e, long first, long last)
{
    double total = 0;
    for (long i = first; i < last; i++) {
        vec sum = {0};
        for (long at = e->starts[i]; at < e->starts[i + 1]; at += LANES) {
            NAME(Edges) part = NAME(edges)(e, e->y + 2 * i, at, e->starts[i + 1]);
            sum += part.affinity * NAME(logarithm)(1 + part.across * part.across + part.down * part.down);
        }
        total += NAME(sum)(sum);
    }
    return total;
}

/* Add to the forces (num, 2) on points what `count` others, (2, HELD) with room for whole vectors, exert on them: the kernel less
 * its smooth part, up to u = `near`. */
static void NAME(push)(float *others, long count, const float *points, long num, float near, float *forces, double *total)
{
    float scale = 1 / near; /* 0 where the smooth part is nothing */
    for (long j = count; j % LANES; j++) others[j] = others[HELD + j] = 1e18f; /* too far to count */
    for (long i = 0; i < num; i++) {
        vec across = {0}, down = {0}, sum = {0};
        for (long j = 0; j < count; j += LANES) {
            vec x = points[2 * i] - NAME(load)(others + j), y = points[2 * i + 1] - NAME(load)(others + HELD + j);
            vec u = 1 + x * x + y * y, w = 1 / u, t = u * scale - 1;
            vec smooth = (1 - t + t * t) * scale, smooth_squared = (1 - 2 * t + 3 * t * t) * (scale * scale);
            bits inside = u < near;
            vec force = NAME(where)(inside, w * w - smooth_squared);
            across += force * x, down += force * y, sum += NAME(where)(inside, w - smooth);
        }
        forces[2 * i] += NAME(sum)(across), forces[2 * i + 1] += NAME(sum)(down);
        *total += NAME(sum)(sum);
    }
}

typedef float NAME(quad) __attribute__((vector_size(16), aligned(4), may_alias));
#define quad NAME(quad)

/* The four cubic B-splines that are not zero at a place, `t` behind the second of their nodes. */
INLINE quad NAME(splines)(float t)
{
    const quad cube = {-1 / 6.0f, 0.5f, -0.5f, 1 / 6.0f}, square = {0.5f, -1, 0.5f, 0};
    const quad linear = {-0.5f, 0, 0.5f, 0}, constant = {1 / 6.0f, 2 / 3.0f, 1 / 6.0f, 0};
    return ((cube * t + square) * t + linear) * t + constant;
}

/* The splines of sorted point `at`, whose cell is in `row`; returned is its column. */
INLINE long NAME(places)(const Embedding *e, long at, long row, quad *down, quad *across)
{
    long column = e->cell_of[e->order[at]] - row * e->side;
    *down = NAME(splines)((e->sorted[2 * at] - e->corner[0]) * (1 / e->spacing) - (float)row);
    *across = NAME(splines)((e->sorted[2 * at + 1] - e->corner[1]) * (1 / e->spacing) - (float)column);
    return column;
}

/* Spread the points of a row of cells over the rows of nodes from `top` to `bottom`. */
static void NAME(spread)(const Embedding *e, long row, long top, long bottom)
{
    quad down, across;
    for (long at = e->cells[row * e->side]; at < e->cells[(row + 1) * e->side]; at++) {
        float *node = e->grid + row * e->pitch + NAME(places)(e, at, row, &down, &across);
        for (long i = 0; i < 4; i++)
            if (row + i >= top && row + i < bottom) *(quad *)(node + i * e->pitch) += down[i] * across;
    }
}

/* Add to the forces on the sorted points `first` to `last`, of one row of cells, the fields at their positions. */
static void NAME(read)(const Embedding *e, long row, long first, long last, const float *forces)
{
    quad down, across;
    for (long at = first; at < last; at++) {
        const float *node = e->fields + row * e->pitch + NAME(places)(e, at, row, &down, &across);
        for (long axis = 0; axis < 2; axis++, node += e->side * e->pitch) {
            quad sum = {0};
            for (long i = 0; i < 4; i++) sum += down[i] * *(const quad *)(node + i * e->pitch);
            sum *= across;
            e->repulsion[2 * e->order[at] + axis] = forces[2 * (at - first) + axis] + ((sum[0] + sum[2]) + (sum[1] + sum[3]));
        }
    }
}

static const Kernels NAME(kernels) = {NAME(attract), NAME(entropy), NAME(push), NAME(spread), NAME(read)};

#undef quad

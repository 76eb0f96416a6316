/* The descent of t-SNE on a CPU: attraction and repulsion of the points of a map, and their movement.
 *
 * Repulsion is a sum over all pairs. Its kernel is split in two: a smooth part, which a coarse grid computes (see
 * latens.maps.repulsion), and the remainder between points nearer than a few spacings, summed pair by pair. Beyond
 * u = 1 + distance^2 = `near` the smooth part is the kernel, 1 / u or 1 / u^2; within, it is the parabola in u that meets the
 * kernel there with its first two derivatives (Skeel, Tezcan and Hardy 2002 part Coulomb's kernel like this).
 *
 * Points and cells are divided among the threads in fixed parts, and the order of every sum is fixed, so that results are the
 * same bits for any number of threads.
 */

#include "embedding.h"

#include <math.h>
#include <string.h>

#include "threads.h"

#define POINTS 256 /* of a task */
#define BAND 16    /* rows of the grid that a task owns */
#define TILE 4     /* cells whose points see the same others */
#define REACH 3    /* cells to either side in which near points lie: near = 1 + (REACH * spacing)^2 */
#define HELD 1024  /* of these others at a time */
#define AHEAD 512  /* neighbours fetched before their turn */

typedef struct {
    void (*attract)(const Embedding *, long first, long last);
    double (*entropy)(const Embedding *, long first, long last);
    void (*push)(float *others, long count, const float *points, long num, float near, float *forces, double *total);
    void (*spread)(const Embedding *, long row, long top, long bottom);
    void (*read)(const Embedding *, long row, long first, long last, const float *forces);
} Kernels;

static long least(long a, long b) { return a < b ? a : b; }
static long most(long a, long b) { return a > b ? a : b; }

#define KERNELS "embedding_kernels.h"
#include "instruction_sets.h"

/* What the grid has to cover: the least and the largest of both coordinates, of which one is NaN if any is not finite. */
void latens_embedding_bounds(const Embedding *e, float *bounds)
{
    float low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY}, check = 0;
    for (long i = 0; i < e->num; i++)
        for (long axis = 0; axis < 2; axis++) {
            float at = e->y[2 * i + axis];
            low[axis] = at < low[axis] ? at : low[axis], high[axis] = at > high[axis] ? at : high[axis];
            check += at - at;
        }
    for (long axis = 0; axis < 2; axis++) bounds[axis] = low[axis] + check, bounds[2 + axis] = high[axis];
}

static long parts(const Embedding *e) { return (e->num + POINTS - 1) / POINTS; }

static double total(const double *sums, long count)
{
    double sum = 0;
    for (long i = 0; i < count; i++) sum += sums[i];
    return sum;
}

/* ---- attraction */

static void attract_task(void *work, long task, long slot)
{
    const Embedding *e = work;
    (void)slot;
    kernels()->attract(e, task * POINTS, least(e->num, (task + 1) * POINTS));
}

/* For each point the sum over its neighbours of affinity * (y_i - y_j) / u. */
void latens_embedding_attract(Embedding *e, long threads) { share(attract_task, e, parts(e), threads); }

static void entropy_task(void *work, long task, long slot)
{
    const Embedding *e = work;
    (void)slot;
    e->sums[task] = kernels()->entropy(e, task * POINTS, least(e->num, (task + 1) * POINTS));
}

/* The sum over all neighbours of affinity * log u. */
double latens_embedding_entropy(Embedding *e, long threads)
{
    share(entropy_task, e, parts(e), threads);
    return total(e->sums, parts(e));
}

/* ---- repulsion of all pairs, for few points */

static void pairs_task(void *work, long task, long slot)
{
    const Embedding *e = work;
    (void)slot;
    float others[2 * HELD];
    long first = task * POINTS, num = least(e->num, first + POINTS) - first;
    memset(e->repulsion + 2 * first, 0, 2 * num * sizeof(float));
    e->sums[task] = 0;
    for (long start = 0; start < e->num; start += HELD) {
        long count = least(HELD, e->num - start);
        for (long i = 0; i < count; i++)
            others[i] = e->y[2 * (start + i)], others[HELD + i] = e->y[2 * (start + i) + 1];
        kernels()->push(others, count, e->y + 2 * first, num, INFINITY, e->repulsion + 2 * first, e->sums + task);
    }
}

/* For each point the sum over all others of (y_i - y_j) / u^2; returned is the sum of 1 / u over all ordered pairs. */
double latens_embedding_pairs(Embedding *e, long threads)
{
    share(pairs_task, e, parts(e), threads);
    return total(e->sums, parts(e)) - (double)e->num;
}

/* ---- repulsion by a grid */

/* The cell of a position; also of one that is not finite or outside. */
static long cell_of(const Embedding *e, long i, int axis)
{
    float place = (e->y[2 * i + axis] - e->corner[axis]) * (1 / e->spacing);
    return place > 0 && place < (float)(e->side - 4) ? (long)place : place > 0 ? e->side - 4 : 0;
}

/* Points by cell, within a cell by number. */
static void sort(Embedding *e)
{
    long cells = e->side * e->side, start = 0;
    memset(e->cells, 0, (cells + 1) * sizeof(int32_t));
    for (long i = 0; i < e->num; i++) {
        e->cell_of[i] = (int32_t)(cell_of(e, i, 0) * e->side + cell_of(e, i, 1));
        e->cells[e->cell_of[i]]++;
    }
    for (long c = 0; c <= cells; c++) {
        long count = e->cells[c];
        e->cells[c] = (int32_t)start, start += count;
    }
    for (long i = 0; i < e->num; i++) {
        long at = e->cells[e->cell_of[i]]++;
        e->order[at] = (int32_t)i;
        e->sorted[2 * at] = e->y[2 * i], e->sorted[2 * at + 1] = e->y[2 * i + 1];
    }
    memmove(e->cells + 1, e->cells, cells * sizeof(int32_t)); /* each now points to where the next begins */
    e->cells[0] = 0;
}

static void spread_task(void *work, long task, long slot)
{
    const Embedding *e = work;
    (void)slot;
    long top = task * BAND, bottom = least(e->side, top + BAND);
    for (long row = top; row < bottom; row++) memset(e->grid + row * e->pitch, 0, e->side * sizeof(float));
    for (long row = most(0, top - 3); row < bottom; row++) kernels()->spread(e, row, top, bottom);
}

/* One at each point, spread over the grid. */
void latens_embedding_spread(Embedding *e, long threads)
{
    sort(e);
    share(spread_task, e, (e->side + BAND - 1) / BAND, threads);
}

/* The forces on the points of a tile, `first` to `last` of those sorted, by all near points, of which HELD are held at a time. */
static void push_near(const Embedding *e, long row, long column, long first, long last, float *forces, double *sum)
{
    float others[2 * HELD];
    long count = 0, left = most(0, column - REACH), right = least(e->side, column + TILE + REACH);
    for (long r = most(0, row - REACH); r < least(e->side, row + REACH + 1); r++)
        for (long at = e->cells[r * e->side + left]; at < e->cells[r * e->side + right]; at++) {
            others[count] = e->sorted[2 * at], others[HELD + count++] = e->sorted[2 * at + 1];
            if (count == HELD) {
                kernels()->push(others, count, e->sorted + 2 * first, last - first, e->near, forces, sum);
                count = 0;
            }
        }
    if (count) kernels()->push(others, count, e->sorted + 2 * first, last - first, e->near, forces, sum);
}

static void read_task(void *work, long row, long slot)
{
    const Embedding *e = work;
    (void)slot;
    float forces[2 * POINTS];
    e->sums[row] = 0;
    for (long column = 0; column < e->side; column += TILE) {
        long last = e->cells[row * e->side + least(e->side, column + TILE)];
        for (long first = e->cells[row * e->side + column]; first < last; first += POINTS) {
            long end = least(last, first + POINTS);
            memset(forces, 0, 2 * (end - first) * sizeof(float));
            if (e->near > 0) push_near(e, row, column, first, end, forces, e->sums + row);
            kernels()->read(e, row, first, end, forces);
        }
    }
}

/* The forces: those of the grid's fields, and of the pairs that are near; returned is what these add to the sum of 1 / u,
 * each point with itself among them. */
double latens_embedding_read(Embedding *e, long threads)
{
    share(read_task, e, e->side, threads);
    return total(e->sums, e->side);
}

/* ---- the movement */

typedef struct {
    Embedding *e;
    float exaggeration, repulsion, momentum, rate, farthest;
    double mean[2];
} Move;

static void move_task(void *work, long task, long slot)
{
    const Move *m = work;
    const Embedding *e = m->e;
    double sums[2] = {0, 0};
    (void)slot;
    for (long i = task * POINTS; i < least(e->num, (task + 1) * POINTS); i++) {
        float *velocity = e->velocity + 2 * i, *gains = e->gains + 2 * i, length = 0;
        for (long axis = 0; axis < 2; axis++) {
            float gradient = m->exaggeration * e->attraction[2 * i + axis] - m->repulsion * e->repulsion[2 * i + axis];
            /* Gains as Jacobs 1988: smaller where a coordinate oscillates, larger where it keeps its direction. */
            float gain = gradient * velocity[axis] > 0 ? gains[axis] * 0.8f : gains[axis] + 0.2f;
            gains[axis] = gain = gain < 0.01f ? 0.01f : gain;
            velocity[axis] = m->momentum * velocity[axis] - m->rate * gain * gradient;
            length += velocity[axis] * velocity[axis];
        }
        length = sqrtf(length);
        float part = length > m->farthest ? m->farthest / length : 1;
        for (long axis = 0; axis < 2; axis++) sums[axis] += e->y[2 * i + axis] += part * velocity[axis];
    }
    e->sums[2 * task] = sums[0], e->sums[2 * task + 1] = sums[1];
}

static void centre_task(void *work, long task, long slot)
{
    const Move *m = work;
    const Embedding *e = m->e;
    (void)slot;
    for (long i = task * POINTS; i < least(e->num, (task + 1) * POINTS); i++)
        for (long axis = 0; axis < 2; axis++) e->y[2 * i + axis] -= (float)m->mean[axis];
}

/* Move all points by exaggeration * attraction - repulsion * push, then their mean to zero. */
void latens_embedding_move(Embedding *e, float exaggeration, float repulsion, float momentum, float rate, float farthest,
                           long threads)
{
    Move move = {e, exaggeration, repulsion, momentum, rate, farthest, {0, 0}};
    share(move_task, &move, parts(e), threads);
    for (long task = 0; task < parts(e); task++)
        for (long axis = 0; axis < 2; axis++) move.mean[axis] += e->sums[2 * task + axis] / (double)e->num;
    share(centre_task, &move, parts(e), threads);
}

/* A step of Muon (latens.training.optimisers) for weights that are matrices, rows <= columns: momentum, orthogonalisation and update in one call.
 *
 * Singular values are brought near 1 by a polynomial in the Gram matrix of the direction, which is small; the direction itself is
 * read twice. Every sum has a fixed order: the same bits for any number of threads.
 */

#include <stdint.h>
#include <math.h>
#include <string.h>

#include "threads.h"

typedef struct {
    int64_t rows, columns; /* rows <= columns: a tall weight is transposed */
    int64_t row_step, column_step; /* from one number to the next */
    float scale; /* of the step's length */
    float *weight;
    const float *gradient;
    float *moment, *direction; /* `direction` has room for latens_muon_numbers() */
} Matrix;

typedef struct {
    long row, block;
    void (*direct)(const Matrix *, long row, long pitch, float momentum);
    void (*gram)(const Matrix *, float *gram, long row, long side, long pitch);
    void (*square)(float *to, const float *left, const float *right, const float *more, float alpha, float beta, long side);
    void (*apply)(const Matrix *, const float *factor, long column, float length, long side, long pitch);
} Kernels;

#define KERNELS "muon_kernels.h"
#include "instruction_sets.h"

typedef struct {
    const Matrix *matrices;
    long count;
    float length, momentum;
    const float *coefficients; /* a, b, c of each iteration */
    long iterations;
} Step;

static long padded(long size) { return (size + kernels()->row - 1) / kernels()->row * kernels()->row; }

/* The square matrices stored after the direction: the Gram matrix, the product that becomes the factor, and two to work with. */
static float *square_of(const Matrix *a, long index)
{
    long side = padded(a->rows);
    return a->direction + side * padded(a->columns) + index * side * side;
}

/* Which matrix a task belongs to, when each has so many; leaves the task's number within that matrix. */
static const Matrix *matrix_of(const Step *step, long *task, long (*tasks)(const Matrix *))
{
    const Matrix *a = step->matrices;
    for (; *task >= tasks(a); a++) *task -= tasks(a);
    return a;
}

static long row_tasks(const Matrix *a) { return padded(a->rows) / kernels()->block; }
static long column_tasks(const Matrix *a) { return padded(a->columns) / kernels()->row; }

static void direct_task(void *work, long task, long slot)
{
    const Matrix *a = matrix_of(work, &task, row_tasks);
    (void)slot;
    kernels()->direct(a, task * kernels()->block, padded(a->columns), ((Step *)work)->momentum);
}

static void gram_task(void *work, long task, long slot)
{
    const Matrix *a = matrix_of(work, &task, row_tasks);
    (void)slot;
    kernels()->gram(a, square_of(a, 0), task * kernels()->block, padded(a->rows), padded(a->columns));
}

/* The iteration on the Gram matrix g: with q = b g + c g g, each round multiplies the direction with a + q. */
static void factor_task(void *work, long task, long slot)
{
    const Step *step = work;
    const Matrix *a = step->matrices + task;
    const float *x = step->coefficients;
    long side = padded(a->rows);
    float *gram = square_of(a, 0), *product = square_of(a, 1), *q = square_of(a, 2), *other = square_of(a, 3), norm = 0;
    (void)slot;
    for (long i = 0; i < side; i++) norm += gram[i * side + i]; /* Frobenius, squared */
    if (norm < 1e-14f) norm = 1e-14f;
    for (long i = 0; i < side * side; i++) gram[i] /= norm;
    kernels()->square(q, gram, gram, gram, x[2], x[1], side);
    for (long i = 0; i < side * side; i++) product[i] = q[i];
    for (long i = 0; i < side; i++) product[i * side + i] += x[0];
    for (long round = 1; round < step->iterations; round++) {
        kernels()->square(other, q, gram, gram, 1, x[0], side);
        kernels()->square(gram, q, other, other, 1, x[0], side);
        x += 3;
        kernels()->square(q, gram, gram, gram, x[2], x[1], side);
        kernels()->square(other, q, product, product, 1, x[0], side);
        float *swap = product;
        product = other, other = swap;
    }
    float *factor = square_of(a, 1), scale = 1 / sqrtf(norm);
    for (long i = 0; i < side * side; i++) factor[i] = product[i] * scale;
}

static void apply_task(void *work, long task, long slot)
{
    const Matrix *a = matrix_of(work, &task, column_tasks);
    (void)slot;
    kernels()->apply(a, square_of(a, 1), task * kernels()->row, ((Step *)work)->length, padded(a->rows), padded(a->columns));
}

/* ---- called from Python */

/* Numbers of memory for the direction of a matrix and its squares. */
long latens_muon_numbers(long rows, long columns) { return padded(rows) * (padded(columns) + 4 * padded(rows)); }

void latens_muon_step(const Matrix *matrices, long count, float length, float momentum, const float *coefficients,
                      long iterations, long threads)
{
    Step step = {matrices, count, length, momentum, coefficients, iterations};
    long rows = 0, columns = 0;
    for (long i = 0; i < count; i++) rows += row_tasks(matrices + i), columns += column_tasks(matrices + i);
    share(direct_task, &step, rows, threads);
    share(gram_task, &step, rows, threads);
    share(factor_task, &step, count, threads);
    share(apply_task, &step, columns, threads);
}

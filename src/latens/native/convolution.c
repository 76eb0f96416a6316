/* The convolution of a square grid with three kernels, by Fourier transforms: which give the repulsion of a t-SNE map.
 *
 * The grid (side, side) is padded with zeros to twice the side, so that the convolution is not circular. Transforms go down the columns, several columns in the
 * lanes of a vector, two of them as the real and the imaginary part of one; then along the rows, turned so that rows are lanes.
 * There the products with the kernels are taken, and the inverse transforms follow. Only the needed parts are transformed: half of
 * the spectrum of real numbers, and of the doubled grid the part that is not padding.
 */

#include <stdint.h>
#include <string.h>

#include "threads.h"

#define WIDEST 16 /* lanes of a vector */

typedef struct {
    int64_t side, pitch, size; /* nodes along a side; from row to row; along the doubled side: 2 * side, of primes 2, 3 and 5 */
    const float *grid;         /* (side, pitch), zero from column `side` on */
    float *fields;             /* (2, side, pitch): the grid convolved with the two odd kernels */
    /* Spectra of the kernels, (size / 2 + 1 rows, in blocks of WIDEST; size; WIDEST): of the even one, which weights the square of
     * the grid's spectrum, and the imaginary parts of the odd ones. */
    const float *even, *odd;
    const float *turns; /* (size, 2): cosine and sine of 2 pi k / size */
    float *spectra;     /* (2, 2, rows as above, pitch): real and imaginary parts, transformed along the columns */
    float *scratch;     /* 6 * size * WIDEST numbers a thread */
    double *sums;       /* one a block of rows */
} Convolution;

typedef struct {
    long lanes;
    void (*down)(const Convolution *, long column, float *scratch);
    double (*along)(const Convolution *, long row, float *scratch);
    void (*up)(const Convolution *, long column, float *scratch);
} Kernels;

/* Rows of half a spectrum, in whole blocks. */
static long rows_of(const Convolution *c) { return (c->size / 2 + WIDEST) / WIDEST * WIDEST; }

#define KERNELS "convolution_kernels.h"
#include "instruction_sets.h"

static float *scratch_of(const Convolution *c, long slot) { return c->scratch + slot * 6 * c->size * WIDEST; }

static void down_task(void *work, long task, long slot)
{
    const Convolution *c = work;
    kernels()->down(c, task * 2 * kernels()->lanes, scratch_of(c, slot));
}

static void along_task(void *work, long task, long slot)
{
    const Convolution *c = work;
    c->sums[task] = kernels()->along(c, task * kernels()->lanes, scratch_of(c, slot));
}

static void up_task(void *work, long task, long slot)
{
    const Convolution *c = work;
    kernels()->up(c, task * kernels()->lanes, scratch_of(c, slot));
}

/* Fill `fields`; returned is the sum of the even kernel's spectrum times the square of the grid's. */
double latens_convolve(Convolution *c, long threads)
{
    long lanes = kernels()->lanes, blocks = rows_of(c) / lanes;
    double total = 0;
    share(down_task, c, c->pitch / (2 * lanes), threads);
    share(along_task, c, blocks, threads);
    share(up_task, c, c->pitch / lanes, threads);
    for (long i = 0; i < blocks; i++) total += c->sums[i];
    return total;
}

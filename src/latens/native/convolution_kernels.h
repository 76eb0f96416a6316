/* Fourier transforms of as many sequences as a vector has lanes: included by convolution.c for each instruction set. */

typedef struct {
    vec re, im;
} NAME(Complex);
#define complex NAME(Complex)

INLINE complex NAME(add)(complex a, complex b) { return (complex){a.re + b.re, a.im + b.im}; }
INLINE complex NAME(subtract)(complex a, complex b) { return (complex){a.re - b.re, a.im - b.im}; }
INLINE complex NAME(scale)(complex a, float by) { return (complex){a.re * by, a.im * by}; }
INLINE complex NAME(turn)(complex a) { return (complex){a.im, -a.re}; } /* by -i */

/* One butterfly: the transform of `radix` numbers, in place. */
INLINE void NAME(butterfly)(complex *a, int radix)
{
    if (radix == 2) {
        complex sum = NAME(add)(a[0], a[1]);
        a[1] = NAME(subtract)(a[0], a[1]), a[0] = sum;
    } else if (radix == 3) {
        complex sum = NAME(add)(a[1], a[2]), middle = NAME(subtract)(a[0], NAME(scale)(sum, 0.5f));
        complex turned = NAME(turn)(NAME(scale)(NAME(subtract)(a[1], a[2]), 0.866025403784f));
        a[0] = NAME(add)(a[0], sum), a[1] = NAME(add)(middle, turned), a[2] = NAME(subtract)(middle, turned);
    } else if (radix == 4) {
        complex even = NAME(add)(a[0], a[2]), odd = NAME(add)(a[1], a[3]);
        complex apart = NAME(subtract)(a[0], a[2]), turned = NAME(turn)(NAME(subtract)(a[1], a[3]));
        a[0] = NAME(add)(even, odd), a[2] = NAME(subtract)(even, odd);
        a[1] = NAME(add)(apart, turned), a[3] = NAME(subtract)(apart, turned);
    } else {
        const float c1 = 0.309016994375f, c2 = -0.809016994375f, s1 = 0.951056516295f, s2 = 0.587785252292f;
        complex t1 = NAME(add)(a[1], a[4]), t2 = NAME(add)(a[2], a[3]);
        complex t3 = NAME(subtract)(a[1], a[4]), t4 = NAME(subtract)(a[2], a[3]);
        complex m1 = NAME(add)(a[0], NAME(add)(NAME(scale)(t1, c1), NAME(scale)(t2, c2)));
        complex m2 = NAME(add)(a[0], NAME(add)(NAME(scale)(t1, c2), NAME(scale)(t2, c1)));
        complex n1 = NAME(turn)(NAME(add)(NAME(scale)(t3, s1), NAME(scale)(t4, s2)));
        complex n2 = NAME(turn)(NAME(subtract)(NAME(scale)(t3, s2), NAME(scale)(t4, s1)));
        a[0] = NAME(add)(a[0], NAME(add)(t1, t2));
        a[1] = NAME(add)(m1, n1), a[4] = NAME(subtract)(m1, n1), a[2] = NAME(add)(m2, n2), a[3] = NAME(subtract)(m2, n2);
    }
}

/* One pass of Stockham's: `length` numbers, `stride` sequences of them interleaved, are split into `radix` times as many. */
INLINE void NAME(pass)(const float *turns, long length, long stride, int radix, const vec *restrict re, const vec *restrict im,
                       vec *restrict to_re, vec *restrict to_im)
{
    long part = length / radix;
    for (long p = 0; p < part; p++) {
        float cosine[5], sine[5];
        for (int k = 1; k < radix; k++) cosine[k] = turns[2 * (p * k * stride)], sine[k] = turns[2 * (p * k * stride) + 1];
        for (long q = 0; q < stride; q++) {
            complex a[5];
            for (int j = 0; j < radix; j++)
                a[j] = (complex){re[q + stride * (p + part * j)], im[q + stride * (p + part * j)]};
            NAME(butterfly)(a, radix);
            to_re[q + stride * radix * p] = a[0].re, to_im[q + stride * radix * p] = a[0].im;
            for (int k = 1; k < radix; k++) {
                to_re[q + stride * (radix * p + k)] = a[k].re * cosine[k] + a[k].im * sine[k];
                to_im[q + stride * (radix * p + k)] = a[k].im * cosine[k] - a[k].re * sine[k];
            }
        }
    }
}

/* Transform `size` numbers, in the first and second of four parts of the memory, which the passes use in turn; returned is where
 * the result is: the first of two parts. With real and imaginary parts exchanged on both sides it is the inverse transform. */
static vec *NAME(transform)(const float *turns, long size, vec *memory, int back)
{
    vec *from = memory, *to = memory + 2 * size;
    long re = back ? size : 0, im = back ? 0 : size;
    for (long stride = 1, length = size; length > 1;) {
        int radix = length % 4 == 0 ? 4 : length % 2 == 0 ? 2 : length % 3 == 0 ? 3 : 5;
        if (radix == 4) NAME(pass)(turns, length, stride, 4, from + re, from + im, to + re, to + im);
        else if (radix == 3) NAME(pass)(turns, length, stride, 3, from + re, from + im, to + re, to + im);
        else if (radix == 5) NAME(pass)(turns, length, stride, 5, from + re, from + im, to + re, to + im);
        else NAME(pass)(turns, length, stride, 2, from + re, from + im, to + re, to + im);
        length /= radix, stride *= radix;
        vec *other = from;
        from = to, to = other;
    }
    return from;
}

/* Columns `column` to + 2 LANES of the grid, the second half of them as imaginary parts; separated again by their symmetry. */
static void NAME(down)(const Convolution *c, long column, float *scratch)
{
    vec *z = (vec *)scratch;
    long size = c->size, plane = rows_of(c) * c->pitch;
    for (long i = 0; i < size; i++) {
        const float *row = c->grid + i * c->pitch + column;
        z[i] = i < c->side ? NAME(load)(row) : (vec){0};
        z[size + i] = i < c->side ? NAME(load)(row + LANES) : (vec){0};
    }
    z = NAME(transform)(c->turns, size, z, 0);
    for (long k = 0; k <= size / 2; k++) {
        long mirrored = k ? size - k : 0;
        float *to = c->spectra + k * c->pitch + column;
        NAME(store)(to, 0.5f * (z[k] + z[mirrored]));
        NAME(store)(to + plane, 0.5f * (z[size + k] - z[size + mirrored]));
        NAME(store)(to + LANES, 0.5f * (z[size + k] + z[size + mirrored]));
        NAME(store)(to + plane + LANES, 0.5f * (z[mirrored] - z[k]));
    }
}

/* Between LANES rows of a plane and a sequence of vectors with these rows as lanes. */
INLINE void NAME(turn_in)(const float *plane, long pitch, vec *to)
{
    for (long column = 0; column < pitch; column += LANES) {
        vec rows[LANES];
        for (long i = 0; i < LANES; i++) rows[i] = NAME(load)(plane + i * pitch + column);
        NAME(transpose)(rows);
        for (long i = 0; i < LANES; i++) to[column + i] = rows[i];
    }
}

INLINE void NAME(turn_out)(const vec *from, float *plane, long pitch)
{
    for (long column = 0; column < pitch; column += LANES) {
        vec rows[LANES];
        for (long i = 0; i < LANES; i++) rows[i] = from[column + i];
        NAME(transpose)(rows);
        for (long i = 0; i < LANES; i++) NAME(store)(plane + i * pitch + column, rows[i]);
    }
}

/* Rows `row` to + LANES: there, times the kernels, and back. */
static double NAME(along)(const Convolution *c, long row, float *scratch)
{
    vec *spectrum = (vec *)scratch, *memory = spectrum + 2 * c->size;
    long size = c->size, plane = rows_of(c) * c->pitch;
    long at = row / WIDEST * size * WIDEST + row % WIDEST; /* of the kernels */
    float *here = c->spectra + row * c->pitch;
    for (long i = c->side; i < size; i++) memory[i] = memory[size + i] = (vec){0};
    /* What lies between side and pitch is zero too, and pitch may exceed the doubled side of a small grid. */
    NAME(turn_in)(here, c->pitch, memory), NAME(turn_in)(here + plane, c->pitch, memory + size);
    vec *z = NAME(transform)(c->turns, size, memory, 0);
    vec total = {0};
    for (long q = 0; q < size; q++) {
        spectrum[q] = z[q], spectrum[size + q] = z[size + q];
        total += (z[q] * z[q] + z[size + q] * z[size + q]) * NAME(load)(c->even + at + q * WIDEST);
    }
    for (long field = 0; field < 2; field++) {
        const float *odd = c->odd + field * rows_of(c) * size + at;
        for (long q = 0; q < size; q++) {
            vec kernel = NAME(load)(odd + q * WIDEST);
            memory[q] = -spectrum[size + q] * kernel, memory[size + q] = spectrum[q] * kernel;
        }
        z = NAME(transform)(c->turns, size, memory, 1);
        float *to = here + 2 * field * plane;
        NAME(turn_out)(z, to, c->pitch), NAME(turn_out)(z + size, to + plane, c->pitch);
    }
    return NAME(sum)(total);
}

/* Columns `column` to + LANES of both fields, as the real and imaginary parts of one sequence. */
static void NAME(up)(const Convolution *c, long column, float *scratch)
{
    vec *z = (vec *)scratch;
    long size = c->size, plane = rows_of(c) * c->pitch;
    for (long k = 0; k <= size / 2; k++) {
        const float *from = c->spectra + k * c->pitch + column;
        vec re0 = NAME(load)(from), im0 = NAME(load)(from + plane);
        vec re1 = NAME(load)(from + 2 * plane), im1 = NAME(load)(from + 3 * plane);
        if (k) z[size - k] = re0 + im1, z[size + size - k] = re1 - im0;
        z[k] = re0 - im1, z[size + k] = im0 + re1;
    }
    z = NAME(transform)(c->turns, size, z, 1);
    for (long i = 0; i < c->side; i++) {
        float *to = c->fields + i * c->pitch + column;
        NAME(store)(to, z[i]), NAME(store)(to + c->side * c->pitch, z[size + i]);
    }
}

static const Kernels NAME(kernels) = {LANES, NAME(down), NAME(along), NAME(up)};

#undef complex

/* What all kernels are made of: included once for each instruction set, by instruction_sets.h, which defines LANES, BLOCK_M,
 * BLOCK_S, BLOCK_L, BLOCK_R and NAME(). A row is two vectors: what the images of a chunk take at one place of one channel. */

typedef float NAME(vec) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t NAME(bits) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
#define vec NAME(vec)
#define bits NAME(bits)
#define ROW (2 * LANES)

#define INLINE static inline __attribute__((always_inline))

INLINE vec NAME(load)(const float *from) { return *(const vec *)from; }
INLINE void NAME(store)(float *to, vec value) { *(vec *)to = value; }

INLINE float NAME(sum)(vec value)
{
    float lanes[LANES], total = 0;
    NAME(store)(lanes, value);
    for (int half = LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    total = lanes[0];
    return total;
}

/* ---- transposition: LANES x LANES numbers */

INLINE void NAME(transpose)(vec *rows)
{
#if defined(__GNUC__) && !defined(__clang__)
    for (int d = LANES / 2; d; d /= 2) {
        bits low, high;
        for (int j = 0; j < LANES; j++) {
            low[j] = j & d ? LANES + j - d : j;
            high[j] = j & d ? LANES + j : j + d;
        }
        for (int i = 0; i < LANES; i++)
            if (!(i & d)) {
                vec a = rows[i], b = rows[i + d];
                rows[i] = __builtin_shuffle(a, b, low);
                rows[i + d] = __builtin_shuffle(a, b, high);
            }
    }
#else
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < i; j++) {
            float one = rows[i][j];
            rows[i][j] = rows[j][i];
            rows[j][i] = one;
        }
#endif
}

/* acc[m] += sum over k of w[m * across + k * along] times row k, for `m` up to `rows`; the compiler unrolls it for each. */
INLINE void NAME(multiply)(int rows, vec acc[][2], const float *x, long pitch, const float *w, long across, long along, long n)
{
    for (long k = 0; k < n; k++, x += pitch, w += along) {
        vec left = NAME(load)(x), right = NAME(load)(x + LANES);
        for (int m = 0; m < rows; m++) {
            float one = w[m * across];
            acc[m][0] += one * left;
            acc[m][1] += one * right;
        }
    }
}

/* The kernels of muon.c, once for each instruction set. Matrices are padded with zeros to whole rows of blocks and vectors. */

/* One row of the momentum, and of the direction that it gives (Nesterov). */
INLINE void NAME(direct_row)(const Matrix *a, long row, long step, float *to, float momentum)
{
    const float *gradient = a->gradient + row * a->row_step;
    float *moment = a->moment + row * a->row_step;
    for (long n = 0; n < a->columns; n++) {
        float now = gradient[n * step], next = moment[n * step] + (1 - momentum) * (now - moment[n * step]);
        moment[n * step] = next;
        to[n] = now + momentum * (next - now);
    }
}

/* Some rows of them, and the padding. */
static void NAME(direct)(const Matrix *a, long row, long pitch, float momentum)
{
    for (long i = row; i < row + BLOCK_S; i++) {
        float *to = a->direction + i * pitch;
        if (i >= a->rows) memset(to, 0, pitch * sizeof *to);
        else if (a->column_step == 1) NAME(direct_row)(a, i, 1, to, momentum);
        else NAME(direct_row)(a, i, a->column_step, to, momentum);
        if (i < a->rows) memset(to + a->columns, 0, (pitch - a->columns) * sizeof *to);
    }
}

/* Some rows of the Gram matrix of the direction, from the diagonal on, and their mirror image. */
static void NAME(gram)(const Matrix *a, float *gram, long row, long side, long pitch)
{
    for (long other = row / BLOCK_L * BLOCK_L; other < side; other += BLOCK_L) {
        vec acc[BLOCK_S][BLOCK_L] = {{{0}}};
        const float *x = a->direction + row * pitch, *y = a->direction + other * pitch;
        for (long n = 0; n < pitch; n += LANES)
            for (int i = 0; i < BLOCK_S; i++) {
                vec one = NAME(load)(x + i * pitch + n);
                for (int j = 0; j < BLOCK_L; j++) acc[i][j] += one * NAME(load)(y + j * pitch + n);
            }
        for (int i = 0; i < BLOCK_S; i++)
            for (int j = 0; j < BLOCK_L; j++)
                gram[(row + i) * side + other + j] = gram[(other + j) * side + row + i] = NAME(sum)(acc[i][j]);
    }
}

/* to = alpha * left * right + beta * more, all square; `to` may be `more` but neither of the factors. */
static void NAME(square)(float *to, const float *left, const float *right, const float *more, float alpha, float beta, long side)
{
    for (long i = 0; i < side; i += BLOCK_M)
        for (long j = 0; j < side; j += ROW) {
            vec acc[BLOCK_M][2] = {{{0}}};
            NAME(multiply)(BLOCK_M, acc, right + j, side, left + i * side, side, 1, side);
            for (int m = 0; m < BLOCK_M; m++)
                for (int half = 0; half < 2; half++) {
                    long at = (i + m) * side + j + half * LANES;
                    NAME(store)(to + at, alpha * acc[m][half] + beta * NAME(load)(more + at));
                }
        }
}

/* Some columns of the weight: weight -= length * factor * direction. */
static void NAME(apply)(const Matrix *a, const float *factor, long column, float length, long side, long pitch)
{
    long wide = a->columns - column < ROW ? a->columns - column : ROW;
    for (long i = 0; i < a->rows; i += BLOCK_M) {
        vec acc[BLOCK_M][2] = {{{0}}};
        NAME(multiply)(BLOCK_M, acc, a->direction + column, pitch, factor + i * side, side, 1, side);
        for (int m = 0; m < BLOCK_M && i + m < a->rows; m++) {
            float *to = a->weight + (i + m) * a->row_step + column * a->column_step, step[ROW];
            NAME(store)(step, acc[m][0]);
            NAME(store)(step + LANES, acc[m][1]);
            for (long n = 0; n < wide; n++) to[n * a->column_step] -= length * a->scale * step[n];
        }
    }
}

static const Kernels NAME(kernels) = {ROW, BLOCK_S, NAME(direct), NAME(gram), NAME(square), NAME(apply)};

/* The kernels of half.c, once for each instruction set. */

/* `images` rows of `size` numbers each become `size` rows of ROW numbers each; missing images are zeros. */
static void NAME(into_chunk)(const float *from, float *to, long images, long size)
{
    for (long lane = 0; lane < ROW; lane += LANES)
        for (long first = 0; first < size; first += LANES) {
            vec rows[LANES];
            long wide = size - first < LANES ? size - first : LANES;
            for (long i = 0; i < LANES; i++) {
                rows[i] = (vec){0};
                if (lane + i >= images) continue;
                const float *row = from + (lane + i) * size + first;
                if (wide == LANES) rows[i] = NAME(load)(row);
                else for (long j = 0; j < wide; j++) rows[i][j] = row[j];
            }
            NAME(transpose)(rows);
            for (long j = 0; j < wide; j++) NAME(store)(to + (first + j) * ROW + lane, rows[j]);
        }
}

/* The inverse: rows of ROW numbers become images of `size` numbers, `pitch` numbers apart. */
static void NAME(out_of_chunk)(const float *from, float *to, long images, long size, long pitch)
{
    for (long lane = 0; lane < ROW && lane < images; lane += LANES)
        for (long first = 0; first < size; first += LANES) {
            vec rows[LANES];
            long wide = size - first < LANES ? size - first : LANES;
            for (long j = 0; j < LANES; j++)
                rows[j] = j < wide ? NAME(load)(from + (first + j) * ROW + lane) : (vec){0};
            NAME(transpose)(rows);
            for (long i = 0; i < LANES && lane + i < images; i++) {
                float *row = to + (lane + i) * pitch + first;
                if (wide == LANES) NAME(store)(row, rows[i]);
                else for (long j = 0; j < wide; j++) row[j] = rows[i][j];
            }
        }
}

/* ---- products */

/* Apply ReLU, or pass values only where a gate is open, and write. NaN passes, as in torch, so that it is noticed. */
INLINE void NAME(put)(int rows, vec acc[][2], float *y, int relu, const float *gate)
{
    for (int m = 0; m < rows; m++)
        for (int half = 0; half < 2; half++) {
            vec value = acc[m][half];
            long at = m * ROW + half * LANES;
            if (relu) value = (vec)((bits)value & ~(value <= 0));
            if (gate) value = (vec)((bits)value & ~(NAME(load)(gate + at) <= 0));
            NAME(store)(y + at, value);
        }
}

/* From a large map to some channels of one place of the small one. */
INLINE void NAME(down_at)(int rows, const Layer *a, const float *large, float *y, long s, const float *bias, long top,
                          long left, int relu, const float *gate)
{
    long i0 = top < 0 ? -top : 0, i1 = a->large_h - top < a->kernel_h ? a->large_h - top : a->kernel_h;
    long j0 = left < 0 ? -left : 0, j1 = a->large_w - left < a->kernel_w ? a->large_w - left : a->kernel_w;
    long across = a->kernel_h * a->kernel_w * a->large_c;
    vec acc[BLOCK_M][2];
    for (int m = 0; m < rows; m++) acc[m][0] = acc[m][1] = (vec){0} + (bias ? bias[s + m] : 0);
    for (long i = i0; i < i1 && j0 < j1; i++) {
        const float *x = large + ((top + i) * a->large_w + left + j0) * a->large_c * ROW;
        const float *w = a->weight + s * across + (i * a->kernel_w + j0) * a->large_c;
        NAME(multiply)(rows, acc, x, ROW, w, across, 1, (j1 - j0) * a->large_c);
    }
    NAME(put)(rows, acc, y + s * ROW, relu, gate ? gate + s * ROW : 0);
}

/* A convolution, which is also the backward pass of a transposed one. */
static void NAME(down)(const Layer *a, const float *large, float *small, const float *bias, int relu, const float *gate)
{
    for (long p = 0; p < a->small_h; p++)
        for (long q = 0; q < a->small_w; q++) {
            long at = (p * a->small_w + q) * a->small_c * ROW, s = 0;
            long top = p * a->stride_h - a->padding_h, left = q * a->stride_w - a->padding_w;
            const float *g = gate ? gate + at : 0;
            for (; s + BLOCK_M <= a->small_c; s += BLOCK_M)
                NAME(down_at)(BLOCK_M, a, large, small + at, s, bias, top, left, relu, g);
            for (; s < a->small_c; s++) NAME(down_at)(1, a, large, small + at, s, bias, top, left, relu, g);
        }
}

/* From the small map to some channels of one place of the large one. */
INLINE void NAME(up_at)(int rows, const Layer *a, const float *small, float *large, long l, const float *bias, long y,
                        long x, int relu, const float *gate)
{
    long along = a->kernel_h * a->kernel_w * a->large_c;
    vec acc[BLOCK_M][2];
    for (int m = 0; m < rows; m++) acc[m][0] = acc[m][1] = (vec){0} + (bias ? bias[l + m] : 0);
    for (long i = (y + a->padding_h) % a->stride_h; i < a->kernel_h; i += a->stride_h) {
        long p = (y + a->padding_h - i) / a->stride_h;
        if (y + a->padding_h < i || p >= a->small_h) continue;
        for (long j = (x + a->padding_w) % a->stride_w; j < a->kernel_w; j += a->stride_w) {
            long q = (x + a->padding_w - j) / a->stride_w;
            if (x + a->padding_w < j || q >= a->small_w) continue;
            const float *w = a->weight + (i * a->kernel_w + j) * a->large_c + l;
            NAME(multiply)(rows, acc, small + (p * a->small_w + q) * a->small_c * ROW, ROW, w, 1, along, a->small_c);
        }
    }
    NAME(put)(rows, acc, large + l * ROW, relu, gate ? gate + l * ROW : 0);
}

/* What a transposed convolution does, and what takes the gradient back through a plain one. */
static void NAME(up)(const Layer *a, const float *small, float *large, const float *bias, int relu, const float *gate)
{
    for (long y = 0; y < a->large_h; y++)
        for (long x = 0; x < a->large_w; x++) {
            long at = (y * a->large_w + x) * a->large_c * ROW, l = 0;
            const float *g = gate ? gate + at : 0;
            for (; l + BLOCK_M <= a->large_c; l += BLOCK_M)
                NAME(up_at)(BLOCK_M, a, small, large + at, l, bias, y, x, relu, g);
            for (; l < a->large_c; l++) NAME(up_at)(1, a, small, large + at, l, bias, y, x, relu, g);
        }
}

/* ---- gradients of weights; `chunks` chunks, whose maps lie `pitch` numbers apart */

/* Of some channels of the small map with some numbers of the kernel over the large one: places of it, and channels there. */
INLINE void NAME(weigh_at)(int rows, int columns, const Layer *a, const Maps *in, long s, long first)
{
    vec acc[BLOCK_R][KERNEL_NUMBERS];
    long row = a->kernel_w * a->large_c, offset[KERNEL_NUMBERS];
    for (int n = 0; n < columns; n++) {
        offset[n] = ((first + n) / row * a->large_w * a->large_c + (first + n) % row) * ROW;
        for (int m = 0; m < rows; m++) acc[m][n] = (vec){0};
    }
    for (long chunk = 0; chunk < in->chunks; chunk++)
        for (long p = 0; p < a->small_h; p++)
            for (long q = 0; q < a->small_w; q++) {
                long top = p * a->stride_h - a->padding_h, left = q * a->stride_w - a->padding_w;
                int inside = top >= 0 && left >= 0 && top + a->kernel_h <= a->large_h && left + a->kernel_w <= a->large_w;
                const float *small = in->small + chunk * in->small_pitch + ((p * a->small_w + q) * a->small_c + s) * ROW;
                const float *large = in->large + chunk * in->large_pitch + (top * a->large_w + left) * a->large_c * ROW;
                for (int half = 0; half < 2; half++, small += LANES, large += LANES) {
                    vec one[BLOCK_R];
                    for (int m = 0; m < rows; m++) one[m] = NAME(load)(small + m * ROW);
                    for (int n = 0; n < columns; n++) {
                        if (!inside) {
                            long y = top + (first + n) / row, x = left + (first + n) % row / a->large_c;
                            if (y < 0 || y >= a->large_h || x < 0 || x >= a->large_w) continue;
                        }
                        vec other = NAME(load)(large + offset[n]);
                        for (int m = 0; m < rows; m++) acc[m][n] += one[m] * other;
                    }
                }
            }
    for (int m = 0; m < rows; m++)
        for (int n = 0; n < columns; n++) {
            float *to = a->weight_gradient + (s + m) * a->kernel_h * row + first + n;
            *to = NAME(sum)(acc[m][n]) + (in->add ? *to : 0);
        }
}

/* Of some channels of the small map, from `s` on, with some numbers of the kernel, from `first` on. */
static void NAME(weigh)(const Layer *a, const Maps *in, long s, long first)
{
    long all = a->kernel_h * a->kernel_w * a->large_c, end = first + KERNEL_NUMBERS < all ? first + KERNEL_NUMBERS : all;
    if (s + BLOCK_R <= a->small_c && first + KERNEL_NUMBERS == end) {
        NAME(weigh_at)(BLOCK_R, KERNEL_NUMBERS, a, in, s, first);
        return;
    }
    for (long last = s + BLOCK_R < a->small_c ? s + BLOCK_R : a->small_c; s < last; s++)
        for (long n = first; n < end; n++) NAME(weigh_at)(1, 1, a, in, s, n);
}

/* Where the small map is one place, sums over images are all there is: vectors run along the weights of the large map, which
 * lies transposed, an image a row of `size` numbers. */
INLINE void NAME(weigh_vector_at)(int rows, const Layer *a, const Maps *in, long size, long first, long s)
{
    long all = a->kernel_h * a->kernel_w * a->large_c, wide = all - first < ROW ? all - first : ROW;
    vec acc[BLOCK_M][2];
    for (int m = 0; m < rows; m++) acc[m][0] = acc[m][1] = (vec){0};
    for (long chunk = 0; chunk < in->chunks; chunk++)
        NAME(multiply)(rows, acc, in->large + chunk * in->large_pitch + first, size,
                       in->small + chunk * in->small_pitch + s * ROW, ROW, 1, ROW);
    for (int m = 0; m < rows; m++) {
        float *to = a->weight_gradient + (s + m) * all + first, out[ROW];
        NAME(store)(out, acc[m][0]);
        NAME(store)(out + LANES, acc[m][1]);
        for (long n = 0; n < wide; n++) to[n] = out[n] + (in->add ? to[n] : 0);
    }
}

static void NAME(weigh_vector)(const Layer *a, const Maps *in, long size, long first)
{
    long s = 0;
    for (; s + BLOCK_M <= a->small_c; s += BLOCK_M) NAME(weigh_vector_at)(BLOCK_M, a, in, size, first, s);
    for (; s < a->small_c; s++) NAME(weigh_vector_at)(1, a, in, size, first, s);
}

/* Of some channels of the small map with a stretch of a row of the kernel, over a row of the small map: vectors run along the
 * numbers of the row, in which places of the kernel and channels of the large map follow each other. */
INLINE void NAME(weigh_row_at)(int rows, const Layer *a, const float *large, const float *small, long pitch, float *to, long along,
                               long wide)
{
    vec acc[BLOCK_M][2];
    for (int m = 0; m < rows; m++) acc[m][0] = acc[m][1] = (vec){0};
    for (long q = 0; q < a->small_w; q++, large += a->stride_w * a->large_c, small += a->small_c * ROW)
        NAME(multiply)(rows, acc, large, pitch, small, ROW, 1, ROW);
    for (int m = 0; m < rows; m++, to += along) {
        float out[ROW];
        NAME(store)(out, acc[m][0]);
        NAME(store)(out + LANES, acc[m][1]);
        for (long n = 0; n < wide; n++) to[n] += out[n];
    }
}

/* Of the channels s to end of the small map. The large map lies transposed, images `pitch` numbers apart. */
static void NAME(weigh_rows)(const Layer *a, const Maps *in, long pitch, long s, long end)
{
    long row = a->kernel_w * a->large_c, along = a->kernel_h * row;
    if (!in->add) memset(a->weight_gradient + s * along, 0, sizeof(float) * (end - s) * along);
    for (long chunk = 0; chunk < in->chunks; chunk++)
        for (long p = 0; p < a->small_h; p++)
            for (long i = 0; i < a->kernel_h; i++) {
                const float *large = in->large + chunk * in->large_pitch + (p * a->stride_h + i) * ROW * pitch;
                const float *small = in->small + chunk * in->small_pitch + p * a->small_w * a->small_c * ROW;
                for (long first = 0; first < row; first += ROW) {
                    float *to = a->weight_gradient + i * row + first;
                    long c = s, wide = row - first < ROW ? row - first : ROW;
                    for (; c + BLOCK_M <= end; c += BLOCK_M)
                        NAME(weigh_row_at)(BLOCK_M, a, large + first, small + c * ROW, pitch, to + c * along, along, wide);
                    for (; c < end; c++)
                        NAME(weigh_row_at)(1, a, large + first, small + c * ROW, pitch, to + c * along, along, wide);
                }
            }
}

/* Of a bias: sums over places and images of a map with so many channels. */
static void NAME(weigh_bias)(float *bias, const float *map, long pitch, long chunks, long places, long channels, int add)
{
    for (long c = 0; c < channels; c++) {
        vec total = {0};
        for (long chunk = 0; chunk < chunks; chunk++)
            for (long place = 0; place < places; place++) {
                const float *row = map + chunk * pitch + (place * channels + c) * ROW;
                total += NAME(load)(row) + NAME(load)(row + LANES);
            }
        bias[c] = NAME(sum)(total) + (add ? bias[c] : 0);
    }
}

static const Kernels NAME(kernels) = {
    ROW, BLOCK_R, LANES, NAME(into_chunk), NAME(out_of_chunk), NAME(down), NAME(up), NAME(weigh),
    NAME(weigh_rows), NAME(weigh_vector), NAME(weigh_bias),
};

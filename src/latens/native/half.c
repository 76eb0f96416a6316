/* A half of a network, an encoder or a decoder, forward and backward, on a CPU: the form `native` of latens.networks.half.
 *
 * Images are taken in chunks. Within a chunk a map is (H, W, C, images): a vector register holds the same place of several
 * images, so that a kernel of any shape and any number of channels keeps the arithmetic units busy. A convolution is a product
 * of registers with weights that are read in place, (small_c, kernel_h, kernel_w, large_c); nothing is gathered, padded
 * or packed. A layer is a kernel between a large map and a small one: a convolution maps large to small, a transposed one small to large.
 *
 * Chunks, and weights in the second half of the backward pass, are divided among the threads dynamically; the order of
 * every sum is fixed, so that results are the same bits for any number of threads.
 */

#include <stdint.h>
#include <string.h>

#include "threads.h"

#define MOST_LAYERS 64
#define GROUP 4 /* chunks whose gradients are held at a time */
#define KERNEL_NUMBERS 9 /* of the kernel whose gradients are summed at a time: all of 3 x 3 over one channel */
#define TOGETHER 32 /* channels of the small map for which a row of the large one is read once */

typedef struct {
    int64_t up; /* from the small map to the large one */
    int64_t large_c, large_h, large_w, small_c, small_h, small_w;
    int64_t kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w;
    int64_t relu; /* follows it */
    const float *weight, *bias;
    float *weight_gradient, *bias_gradient;
} Layer;

typedef struct { /* the inputs of the gradient of a layer's weight */
    const float *large, *small;
    long large_pitch, small_pitch, chunks;
    int add; /* to what is there */
} Maps;

typedef struct {
    long row, block_r, lanes;
    void (*into_chunk)(const float *from, float *to, long images, long size);
    void (*out_of_chunk)(const float *from, float *to, long images, long size, long pitch);
    void (*down)(const Layer *, const float *large, float *small, const float *bias, int relu, const float *gate);
    void (*up)(const Layer *, const float *small, float *large, const float *bias, int relu, const float *gate);
    void (*weigh)(const Layer *, const Maps *, long s, long first);
    void (*weigh_rows)(const Layer *, const Maps *, long pitch, long s, long end);
    void (*weigh_vector)(const Layer *, const Maps *, long size, long first);
    void (*weigh_bias)(float *bias, const float *map, long pitch, long chunks, long places, long channels, int add);
} Kernels;

#define KERNELS "half_kernels.h"
#include "instruction_sets.h"

/* ---- a half of a network */

static long align(long numbers) { return (numbers + 15) / 16 * 16; }

static long places(const Layer *a, int large) { return large ? a->large_h * a->large_w : a->small_h * a->small_w; }

static long numbers(const Layer *a, int large) { return places(a, large) * (large ? a->large_c : a->small_c); }

/* Map i of a half is the input of layer i; map `count` is the output of the last one. */
static long map_numbers(const Layer *layers, long count, long i)
{
    return i < count ? numbers(layers + i, !layers[i].up) : numbers(layers + i - 1, layers[i - 1].up != 0);
}

/* The small map is a vector, and the kernel covers all of the large one. */
static int is_vector(const Layer *a)
{
    return places(a, 0) == 1 && a->kernel_h == a->large_h && a->kernel_w == a->large_w && !a->padding_h && !a->padding_w;
}

/* Sums over places and images are a product of rows where a row of the kernel over the large map has many numbers: it
 * lies transposed, padded with zeros, as (rows, images, numbers of a row). Each map is then read a few times only. */
static int is_wide(const Layer *a) { return !is_vector(a) && 2 * a->large_c >= kernels()->lanes; }

static long reach(long small, long stride, long kernel) { return (small - 1) * stride + kernel; }

/* Numbers from one image's row to the next: an odd number of cache lines, so that rows do not share the same places of a cache. */
static long pitch_of(const Layer *a)
{
    return (align(reach(a->small_w, a->stride_w, a->kernel_w) * a->large_c + kernels()->row) / 16 | 1) * 16;
}

static void lay_across(const Layer *a, const float *large, float *to)
{
    const Kernels *k = kernels();
    long pitch = pitch_of(a), before = a->padding_w * a->large_c, size = a->large_w * a->large_c;
    for (long y = -a->padding_h; y < reach(a->small_h, a->stride_h, a->kernel_h) - a->padding_h; y++, to += k->row * pitch) {
        memset(to, 0, sizeof(float) * k->row * pitch);
        if (y < 0 || y >= a->large_h) continue;
        long room = pitch - before < size ? pitch - before : size;
        k->out_of_chunk(large + y * size * k->row, to + before, k->row, room, pitch);
    }
}

typedef struct {
    const Layer *layers;
    long count, images, chunk0, chunks, chunk_size;
    const float *x, *dy;
    float *y, *dx, *maps, *gradients;
    int keep, add;
    long map_at[MOST_LAYERS + 2], across_at[MOST_LAYERS + 1]; /* places in the memory of a chunk */
    long gradient_size;
} Half;

/* The layout of the memory of a chunk; with the transposed large maps behind the gradients. */
static int lay_out(Half *half)
{
    long row = kernels()->row, at = 0;
    if (half->count < 1 || half->count > MOST_LAYERS) return -1;
    for (long i = 0; i <= half->count; i++) {
        half->map_at[i] = at;
        at += align(map_numbers(half->layers, half->count, i) * row);
    }
    half->chunk_size = half->map_at[half->count + 1] = at;
    for (long i = 0; i < half->count; i++) {
        half->across_at[i] = at;
        const Layer *a = half->layers + i;
        if (is_vector(a)) at += align((numbers(a, 1) + row) * row);
        if (is_wide(a)) at += reach(a->small_h, a->stride_h, a->kernel_h) * row * pitch_of(a);
    }
    half->gradient_size = at;
    return 0;
}

static long images_of(const Half *half, long chunk)
{
    long row = kernels()->row, left = half->images - chunk * row;
    return left < row ? left : row;
}

static void forward_chunk(void *work, long chunk, long slot)
{
    Half *half = work;
    const Kernels *k = kernels();
    float *maps = half->maps + (half->keep ? chunk : slot) * half->chunk_size;
    long size = map_numbers(half->layers, half->count, 0);
    k->into_chunk(half->x + chunk * k->row * size, maps, images_of(half, chunk), size);
    for (long i = 0; i < half->count; i++) {
        const Layer *a = half->layers + i;
        (a->up ? k->up : k->down)(a, maps + half->map_at[i], maps + half->map_at[i + 1], a->bias, a->relu != 0, 0);
    }
    size = map_numbers(half->layers, half->count, half->count);
    k->out_of_chunk(maps + half->map_at[half->count], half->y + chunk * k->row * size, images_of(half, chunk), size, size);
}

static void backward_chunk(void *work, long number, long slot)
{
    Half *half = work;
    const Kernels *k = kernels();
    long chunk = half->chunk0 + number, size = map_numbers(half->layers, half->count, half->count);
    const float *maps = half->maps + chunk * half->chunk_size;
    float *gradients = half->gradients + number * half->gradient_size;
    (void)slot;
    k->into_chunk(half->dy + chunk * k->row * size, gradients + half->map_at[half->count], images_of(half, chunk), size);
    for (long i = half->count - 1; i >= 0; i--) {
        const Layer *a = half->layers + i;
        const float *gate = i && half->layers[i - 1].relu ? maps + half->map_at[i] : 0;
        const float *large = a->up ? gradients + half->map_at[i + 1] : maps + half->map_at[i];
        if (is_vector(a)) k->out_of_chunk(large, gradients + half->across_at[i], k->row, numbers(a, 1), numbers(a, 1));
        if (is_wide(a)) lay_across(a, large, gradients + half->across_at[i]);
        if (i || half->dx)
            (a->up ? k->down : k->up)(a, gradients + half->map_at[i + 1], gradients + half->map_at[i], 0, 0, gate);
    }
    size = map_numbers(half->layers, half->count, 0);
    if (half->dx)
        k->out_of_chunk(gradients, half->dx + chunk * k->row * size, images_of(half, chunk), size, size);
}

/* Groups of the numbers of a kernel over the channels of the large map. */
static long groups_of(const Layer *a)
{
    return (a->kernel_h * a->kernel_w * a->large_c + KERNEL_NUMBERS - 1) / KERNEL_NUMBERS;
}

/* The gradients of a layer are divided into tasks: one for some channels of the small map, or for a few of them and a group of
 * numbers of the kernel, or one a block of columns where the small map is a vector; and one for the bias. */
static long tasks_of(const Layer *a)
{
    const Kernels *k = kernels();
    if (is_vector(a)) return 1 + (numbers(a, 1) + k->row - 1) / k->row;
    if (is_wide(a)) return 1 + (a->small_c + TOGETHER - 1) / TOGETHER;
    return 1 + groups_of(a) * ((a->small_c + k->block_r - 1) / k->block_r);
}

static void weigh_task(void *work, long task, long slot)
{
    Half *half = work;
    const Kernels *k = kernels();
    long i = 0;
    (void)slot;
    for (; task >= tasks_of(half->layers + i); i++) task -= tasks_of(half->layers + i);
    const Layer *a = half->layers + i;
    const float *before = half->maps + half->chunk0 * half->chunk_size + half->map_at[i];
    const float *after = half->gradients + half->map_at[i + 1];
    if (task == 0) {
        k->weigh_bias(a->bias_gradient, after, half->gradient_size, half->chunks, places(a, a->up != 0),
                      a->up ? a->large_c : a->small_c, half->add);
        return;
    }
    task--;
    Maps in = {before, after, half->chunk_size, half->gradient_size, half->chunks, half->add};
    if (a->up) in = (Maps){after, before, half->gradient_size, half->chunk_size, half->chunks, half->add};
    if (is_vector(a) || is_wide(a)) in.large = half->gradients + half->across_at[i], in.large_pitch = half->gradient_size;
    if (is_vector(a)) {
        k->weigh_vector(a, &in, numbers(a, 1), task * k->row);
        return;
    }
    if (is_wide(a)) {
        long s = task * TOGETHER;
        k->weigh_rows(a, &in, pitch_of(a), s, s + TOGETHER < a->small_c ? s + TOGETHER : a->small_c);
        return;
    }
    k->weigh(a, &in, task / groups_of(a) * k->block_r, task % groups_of(a) * KERNEL_NUMBERS);
}

/* ---- called from Python */

/* Numbers of memory: for the maps of one chunk, and for its gradients; images in a chunk. -1: too many layers. */
int latens_half_sizes(const Layer *layers, long count, long *sizes)
{
    Half half = {.layers = layers, .count = count};
    if (lay_out(&half)) return -1;
    sizes[0] = half.chunk_size, sizes[1] = half.gradient_size, sizes[2] = kernels()->row, sizes[3] = GROUP;
    return 0;
}

/* x (images, H, W, C) to y (images, H', W', C'). `maps` has room for one chunk a thread, or with `keep` for all chunks. */
void latens_half_forward(const Layer *layers, long count, const float *x, float *y, long images, float *maps, int keep,
                         long threads)
{
    Half half = {.layers = layers, .count = count, .images = images, .x = x, .y = y, .maps = maps, .keep = keep};
    if (!lay_out(&half)) share(forward_chunk, &half, (images + kernels()->row - 1) / kernels()->row, threads);
}

/* After a forward pass that kept its maps: all gradients from dy. `dx` may be null; `gradients` has room for GROUP chunks. */
void latens_half_backward(const Layer *layers, long count, const float *dy, float *dx, long images, const float *maps,
                          float *gradients, long threads)
{
    Half half = {.layers = layers, .count = count, .images = images, .dy = dy, .dx = dx, .maps = (float *)maps,
                 .gradients = gradients};
    if (lay_out(&half)) return;
    long chunks = (images + kernels()->row - 1) / kernels()->row, tasks = 0;
    for (long i = 0; i < count; i++) tasks += tasks_of(layers + i);
    for (; half.chunk0 < chunks; half.chunk0 += GROUP, half.add = 1) {
        half.chunks = chunks - half.chunk0 < GROUP ? chunks - half.chunk0 : GROUP;
        share(backward_chunk, &half, half.chunks, threads);
        share(weigh_task, &half, tasks, threads);
    }
}

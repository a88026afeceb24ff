/* The loops over pixels that ingest spends its time in. Plain C: nothing of Python is needed to
 * build it; kernels.py loads it and every function has its twin there or beside its caller.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define GREY_LEVELS 256
#define LANES 8

/* ---- Row filters of PNG ----
 *
 * The Average and Paeth filters are chains from pixel to pixel, so one image cannot be done in
 * parallel. Several can: each takes a lane of a vector, whatever filter its row has. The vector
 * extensions of GCC and Clang make SSE2 or NEON of this.
 * Source: the PNG specification, third edition, W3C 2025, section 9.
 */

typedef int16_t lanes_t __attribute__((vector_size(2 * LANES)));
typedef uint8_t bytes_t __attribute__((vector_size(LANES)));

enum filter { NONE, SUB, UP, AVERAGE, PAETH };

static inline lanes_t choose(lanes_t mask, lanes_t yes, lanes_t no) {
    return (yes & mask) | (no & ~mask);
}

/* The neighbour nearest to left + up - corner, left before up before corner where they tie.
 *
 * With low <= high the two of left and up, and bend = 3 corner - left - up: it is low where
 * bend >= high, high where bend <= low, and corner between (the tests try all 2^24 cases).
 */
static inline lanes_t paeth(lanes_t left, lanes_t up, lanes_t corner) {
    lanes_t bend = corner + corner + corner - up - left;
    lanes_t low = choose(left < up, left, up), high = choose(left < up, up, left);
    return choose(bend <= low, high, choose(bend >= high, low, corner));
}

/* Masks of one row: all ones in the lanes whose row has that filter. */
struct masks {
    lanes_t sub, up, average, paeth;
};

static struct masks masks_of(const uint8_t *const *rows, int lanes) {
    struct masks m = {{0}, {0}, {0}, {0}};
    for (int i = 0; i < lanes; i++) {
        m.sub[i] = -(rows[i][0] == SUB);
        m.up[i] = -(rows[i][0] == UP);
        m.average[i] = -(rows[i][0] == AVERAGE);
        m.paeth[i] = -(rows[i][0] == PAETH);
    }
    return m;
}

/* Swap, within pairs of words `step` apart, the bytes that lie off the diagonal. */
static inline void swap(uint64_t w[LANES], int step, uint64_t keep) {
    for (int i = 0; i < LANES; i += 2 * step)
        for (int j = i; j < i + step; j++) {
            uint64_t moved = ((w[j] >> 8 * step) ^ w[j + step]) & keep;
            w[j] ^= moved << 8 * step;
            w[j + step] ^= moved;
        }
}

/* Turn 8 x 8 bytes: byte j of word i becomes byte i of word j, on any byte order. */
static inline void transpose(uint64_t w[LANES]) {
    swap(w, 4, 0x00000000FFFFFFFF);
    swap(w, 2, 0x0000FFFF0000FFFF);
    swap(w, 1, 0x00FF00FF00FF00FF);
}

/* memcpy of a whole word is one instruction, of a variable count it is a call. */
static inline void copy(void *to, const void *from, size_t count) {
    if (count == LANES)
        memcpy(to, from, LANES);
    else
        memcpy(to, from, count);
}

/* Up to LANES images, each height x (1 + width) bytes. `line`: width, rounded up, x LANES. */
static void undo_lanes(const uint8_t *const *images, int lanes, size_t height, size_t width,
                       uint8_t *const *out, lanes_t *line) {
    const uint8_t *rows[LANES];
    uint64_t w[LANES] = {0};
    for (size_t y = 0; y < height; y++) {
        for (int i = 0; i < lanes; i++) rows[i] = images[i] + y * (1 + width);
        struct masks m = masks_of(rows, lanes);
        lanes_t left = {0}, corner = {0};
        for (size_t start = 0; start < width; start += LANES) {
            size_t count = width - start < LANES ? width - start : LANES;
            for (int i = 0; i < lanes; i++) copy(&w[i], rows[i] + 1 + start, count);
            transpose(w);
            for (int x = 0; x < LANES; x++) {
                bytes_t raw;
                memcpy(&raw, &w[x], LANES);
                lanes_t up = line[start + x];
                lanes_t guess = (m.sub & left) | (m.up & up) | (m.average & ((left + up) >> 1)) |
                                (m.paeth & paeth(left, up, corner));
                left = (__builtin_convertvector(raw, lanes_t) + guess) & 255;
                corner = up;
                line[start + x] = left;
                bytes_t done = __builtin_convertvector(left, bytes_t);
                memcpy(&w[x], &done, LANES);
            }
            transpose(w);
            for (int i = 0; i < lanes; i++) copy(out[i] + y * width + start, &w[i], count);
        }
    }
}

/* Returns 0, or -1 where there is no memory for one row. */
int platewise_undo_filters(const uint8_t *const *images, size_t count, size_t height, size_t width,
                           uint8_t *const *out) {
    size_t bytes = (width + LANES) * sizeof(lanes_t);
    lanes_t *line = aligned_alloc(sizeof(lanes_t), bytes);
    if (!line) return -1;
    for (size_t i = 0; i < count; i += LANES) {
        int lanes = count - i < LANES ? (int)(count - i) : LANES;
        memset(line, 0, bytes);
        undo_lanes(images + i, lanes, height, width, out + i, line);
    }
    free(line);
    return 0;
}

/* ---- Counts and sums ---- */

/* Counts of each grey level of each channel; equal neighbours would wait for one another in a
 * single table, so four take turns.
 */
void platewise_histogram(const uint8_t *pixels, size_t channels, size_t size, int64_t *counts) {
    for (size_t c = 0; c < channels; c++, pixels += size, counts += GREY_LEVELS) {
        uint64_t tables[4][GREY_LEVELS] = {{0}};
        size_t i = 0;
        for (; i + 4 <= size; i += 4)
            for (int k = 0; k < 4; k++) tables[k][pixels[i + k]]++;
        for (; i < size; i++) tables[0][pixels[i]]++;
        for (int q = 0; q < GREY_LEVELS; q++)
            counts[q] = tables[0][q] + tables[1][q] + tables[2][q] + tables[3][q];
    }
}

/* Sum and sum of squares of the Laplacian of each channel, on every `step`th row from the second
 * on, borders left out. A row of fewer than 2^11 pixels cannot overflow 32 bits; longer ones are
 * summed in pieces.
 */
void platewise_laplacian(const uint8_t *pixels, size_t channels, size_t height, size_t width,
                         size_t step, int64_t *sums, int64_t *squares) {
    for (size_t c = 0; c < channels; c++, pixels += height * width) {
        sums[c] = squares[c] = 0;
        for (size_t y = 1; y + 1 < height; y += step) {
            const uint8_t *here = pixels + y * width, *above = here - width, *below = here + width;
            for (size_t start = 1; start + 1 < width; start += 1024) {
                size_t end = start + 1024 < width - 1 ? start + 1024 : width - 1;
                int32_t sum = 0, square = 0;
                for (size_t x = start; x < end; x++) {
                    int32_t l = 4 * here[x] - here[x - 1] - here[x + 1] - above[x] - below[x];
                    sum += l;
                    square += l * l;
                }
                sums[c] += sum;
                squares[c] += square;
            }
        }
    }
}

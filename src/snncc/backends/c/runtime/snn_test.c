/* SPDX-License-Identifier: Apache-2.0 */
/* Replays golden vectors on the host: every event of every layer at every step, and every output, must be equal.
   Usage: snn_test [golden.bin [weights.bin]]. Compile everything with -DSNN_TRACE. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "snn_model.h"

void snn_trace(uint32_t layer, const snn_plane *events); /* snn_model.c calls it after each layer */

static FILE *golden;
static uint32_t differences;
static snn_input input[SNN_INPUT_SIZE];
static uint8_t loaded[SNN_WEIGHTS_SIZE + 1u];

static uint32_t read_number(uint32_t bytes)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        int c = getc(golden);
        if (c == EOF) {
            differences++;
            return 0;
        }
        value |= (uint32_t)c << (8 * i);
    }
    return value;
}

/* Equal as numbers of `bytes` bytes in two's complement. */
static int equal(int32_t found, uint32_t expected, uint32_t bytes)
{
    uint32_t mask = bytes == 4 ? 0xffffffffu : (1u << (8 * bytes)) - 1u;
    return ((uint32_t)found & mask) == expected;
}

void snn_trace(uint32_t layer, const snn_plane *events)
{
    uint32_t octets = (events->size + 7) / 8, wrong = 0;
    if (golden == 0) {
        return;
    }
    if (events->type == SNN_BITS || events->type == SNN_SIGNED_BITS) {
        const uint8_t *bits = (const uint8_t *)events->data;
        octets *= events->type == SNN_BITS ? 1u : 2u;
        for (uint32_t i = 0; i < octets; i++) {
            wrong += bits[i] != read_number(1);
        }
    } else {
        uint32_t bytes = events->type <= SNN_INT8 ? 1u : events->type <= SNN_INT16 ? 2u : 4u;
        for (uint32_t i = 0; i < events->size; i++) {
            wrong += !equal(snn_get(events, i), read_number(bytes), bytes);
        }
    }
    if (wrong && differences == 0) {
        printf("layer %u differs\n", (unsigned)layer);
    }
    differences += wrong;
}

static void read_input(void)
{
    for (uint32_t i = 0; i < SNN_INPUT_SIZE; i++) {
        uint32_t byte = read_number(1);
        input[i] = (snn_input)((snn_input)-1 < 0 && byte > 127 ? (int32_t)byte - 256 : (int32_t)byte);
    }
}

static int check_golden(const char *path)
{
    uint32_t samples, steps;
    golden = fopen(path, "rb");
    if (golden == 0) {
        printf("%s cannot be read\n", path);
        return 1;
    }
    samples = read_number(4);
    steps = read_number(4);
    for (uint32_t s = 0; s < samples && differences == 0; s++) {
        read_input();
        snn_reset();
        for (uint32_t t = 0; t < steps && differences == 0; t++) {
            differences += snn_step(t == 0 ? input : 0) != SNN_OK;
            for (uint32_t i = 0; i < SNN_OUTPUT_SIZE; i++) {
                differences += !equal(snn_output()[i], read_number(4), 4);
            }
            if (differences) {
                printf("sample %u, step %u: not the golden vector\n", (unsigned)s, (unsigned)t + 1);
            }
        }
    }
    differences += getc(golden) != EOF;
    fclose(golden);
    golden = 0;
    printf("golden vectors: %u samples, %u steps, %u layers: %s\n", (unsigned)samples, (unsigned)steps,
           (unsigned)SNN_LAYERS, differences ? "DIFFERENT" : "equal");
    return differences != 0;
}

/* weights.bin is the built-in array; changing any byte of it is noticed. */
static int check_blob(const char *path)
{
    uint32_t bad = 0, stride = SNN_WEIGHTS_SIZE / 211u + 1u;
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(loaded, 1, sizeof loaded, file) : 0;
    if (file) {
        fclose(file);
    }
    bad += size != SNN_WEIGHTS_SIZE || snn_load(loaded, SNN_WEIGHTS_SIZE) != SNN_OK;
    bad += snn_load(loaded, SNN_WEIGHTS_SIZE - 1u) != SNN_ERROR_BLOB;
    for (uint32_t i = 0; i < SNN_WEIGHTS_SIZE && !bad; i += stride) {
        loaded[i] ^= 1u;
        bad += snn_load(loaded, SNN_WEIGHTS_SIZE) != SNN_ERROR_BLOB || snn_step(input) != SNN_ERROR_BLOB;
        loaded[i] ^= 1u;
    }
    bad += snn_load(0, 0) != SNN_OK;
    printf("weights: CRC-32 %s\n", bad ? "DOES NOT PROTECT THEM" : "equal, and notices corrupted bytes");
    return bad != 0;
}

static int check_limits(void)
{
    uint32_t bad = snn_run(input, SNN_MAX_TIMESTEPS + 1u) != SNN_ERROR_TIMESTEPS;
    snn_reset();
    bad += snn_step(0) != SNN_ERROR_INPUT;
    for (uint32_t t = 0; t < SNN_MAX_TIMESTEPS; t++) {
        bad += snn_step(t == 0 ? input : 0) != SNN_OK;
    }
    bad += snn_step(0) != SNN_ERROR_TIMESTEPS;
    printf("limits: %s\n", bad ? "NOT KEPT" : "errors beyond the last step and without input");
    return bad != 0;
}

/* Stopping when the arg max is decided must not change it. */
static int check_early_exit(const char *path)
{
    uint32_t bad = 0, samples, steps, used = 0;
    golden = fopen(path, "rb");
    if (golden == 0) {
        return 1;
    }
    samples = read_number(4);
    steps = read_number(4);
    fclose(golden);
    golden = 0;
    for (uint32_t s = 0; s < samples; s++) {
        uint32_t expected, seed = s;
        if (s > 0) { /* other inputs than the golden ones */
            for (uint32_t i = 0; i < SNN_INPUT_SIZE; i++) {
                seed = seed * 1664525u + 1013904223u;
                input[i] = (snn_input)((seed >> 24) & 127u);
            }
        }
        snn_run(input, steps);
        expected = snn_argmax();
        int made = snn_run_early(input, steps, 0);
        bad += made < 0 || snn_argmax() != expected;
        used += (uint32_t)(made < 0 ? 0 : made);
    }
    printf("early exit: %u of %u steps made, arg max %s\n", (unsigned)used, (unsigned)(samples * steps),
           bad ? "CHANGED" : "equal");
    return bad != 0;
}

static void measure(void)
{
    clock_t begin = clock();
    double seconds = 0;
    uint32_t runs = 0;
    while (seconds < 0.1) {
        snn_run(input, SNN_TIMESTEPS);
        runs++;
        seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    }
    printf("time: %.3f ms per inference of %u steps\n", 1000.0 * seconds / runs, (unsigned)SNN_TIMESTEPS);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "golden.bin";
    int failed = snn_step(input) != SNN_ERROR_BLOB; /* nothing runs on weights that were not checked */
    failed += snn_load(0, 0) != SNN_OK;
    failed += check_blob(argc > 2 ? argv[2] : "weights.bin");
    failed += check_golden(path);
    failed += check_limits();
    failed += check_early_exit(path);
    measure();
    printf("%s\n", failed ? "FAILED" : "passed");
    return failed != 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime of the networks that snncc emits; see snn_rt.h. No signed overflow, no shift of a negative number. */
#include "snn_rt.h"

uint32_t snn_crc32(const uint8_t *data, uint32_t size)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
        0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu,
    };
    uint32_t crc = 0xffffffffu;
    for (uint32_t i = 0; i < size; i++) {
        crc = (crc >> 4) ^ table[(crc ^ data[i]) & 15u];
        crc = (crc >> 4) ^ table[(crc ^ (uint32_t)(data[i] >> 4)) & 15u];
    }
    return crc ^ 0xffffffffu;
}

/* The number that the low bits of `x` stand for in two's complement; `half` is the weight of the sign bit. */
static int32_t signed_value(uint32_t x, uint32_t half)
{
    return x < half ? (int32_t)x : -1 - (int32_t)(half - 1u - (x - half));
}

/* Entry i of a table, i < period. */
static int32_t entry_at(const uint8_t *blob, const snn_table *table, uint32_t i)
{
    const uint8_t *p = blob + table->offset + table->bytes * i;
    if (table->bytes == 1) {
        return signed_value(p[0], 0x80u);
    }
    if (table->bytes == 2) {
        return signed_value(p[0] | (uint32_t)p[1] << 8, 0x8000u);
    }
    return signed_value(p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24, 0x80000000u);
}

int32_t snn_entry(const uint8_t *blob, const snn_table *table, uint32_t i)
{
    return entry_at(blob, table, i % table->period);
}

/* The entries of a table one after another; `at` is the next one, 0 at first. */
static int32_t next_entry(const uint8_t *blob, const snn_table *table, uint32_t *at)
{
    int32_t value = entry_at(blob, table, *at);
    *at = *at + 1 == table->period ? 0 : *at + 1;
    return value;
}

static uint32_t bit(const uint8_t *bits, uint32_t i)
{
    return ((uint32_t)bits[i / 8] >> (i % 8)) & 1u;
}

int32_t snn_get(const snn_plane *plane, uint32_t i)
{
    const uint8_t *bits = (const uint8_t *)plane->data;
    switch (plane->type) {
    case SNN_BITS:
        return (int32_t)bit(bits, i);
    case SNN_SIGNED_BITS:
        return (int32_t)bit(bits, i) - (int32_t)bit(bits + (plane->size + 7) / 8, i);
    case SNN_UINT8:
        return bits[i];
    case SNN_INT8:
        return ((const int8_t *)plane->data)[i];
    case SNN_UINT16:
        return ((const uint16_t *)plane->data)[i];
    case SNN_INT16:
        return ((const int16_t *)plane->data)[i];
    default:
        return ((const int32_t *)plane->data)[i];
    }
}

static void put_bit(uint8_t *bits, uint32_t i, uint32_t value)
{
    bits[i / 8] = (uint8_t)((bits[i / 8] & ~(1u << (i % 8))) | value << (i % 8));
}

void snn_set(const snn_plane *plane, uint32_t i, int32_t value)
{
    uint8_t *bits = (uint8_t *)plane->data;
    switch (plane->type) {
    case SNN_BITS:
        put_bit(bits, i, value != 0);
        break;
    case SNN_SIGNED_BITS:
        put_bit(bits, i, value > 0);
        put_bit(bits + (plane->size + 7) / 8, i, value < 0);
        break;
    case SNN_UINT8:
        bits[i] = (uint8_t)value;
        break;
    case SNN_INT8:
        ((int8_t *)plane->data)[i] = (int8_t)value;
        break;
    case SNN_UINT16:
        ((uint16_t *)plane->data)[i] = (uint16_t)value;
        break;
    case SNN_INT16:
        ((int16_t *)plane->data)[i] = (int16_t)value;
        break;
    default:
        ((int32_t *)plane->data)[i] = value;
        break;
    }
}

void snn_clear(const snn_plane *plane)
{
    uint32_t size = plane->size;
    if (plane->type == SNN_BITS || plane->type == SNN_SIGNED_BITS) {
        uint8_t *bits = (uint8_t *)plane->data;
        uint32_t bytes = (size + 7) / 8 * (plane->type == SNN_BITS ? 1u : 2u);
        for (uint32_t i = 0; i < bytes; i++) {
            bits[i] = 0;
        }
        return;
    }
    for (uint32_t i = 0; i < size; i++) {
        snn_set(plane, i, 0);
    }
}

void snn_fill(const snn_plane *plane, const uint8_t *blob, const snn_table *table)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < plane->size; i++) {
        snn_set(plane, i, next_entry(blob, table, &at));
    }
}

/* The first entry from `i` on that is not zero, or the size; bytes of bits without events are skipped. */
static uint32_t next_event(const snn_plane *plane, uint32_t i)
{
    const uint8_t *bits = (const uint8_t *)plane->data;
    uint32_t minus = plane->type == SNN_SIGNED_BITS ? (plane->size + 7) / 8 : 0;
    if (plane->type != SNN_BITS && plane->type != SNN_SIGNED_BITS) {
        while (i < plane->size && snn_get(plane, i) == 0) {
            i++;
        }
        return i;
    }
    while (i < plane->size) {
        uint32_t events = (uint32_t)(bits[i / 8] | bits[i / 8 + minus]) >> (i % 8);
        if (events == 0) {
            i = (i / 8 + 1) * 8;
        } else if (events & 1u) {
            return i;
        } else {
            i++;
        }
    }
    return plane->size;
}

#define CHUNK 32u

/* Up to CHUNK weights of 4 or 2 bits, from number `first` on. */
static void unpack(int8_t *row, const uint8_t *weights, uint32_t bits, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (bits == 4) {
            uint32_t code = (uint32_t)weights[(first + i) / 2] >> (first + i) % 2 * 4;
            row[i] = (int8_t)((int32_t)((code & 15u) ^ 8u) - 8);
        } else {
            uint32_t code = (uint32_t)weights[(first + i) / 4] >> (first + i) % 4 * 2;
            row[i] = (int8_t)((int32_t)(code & 1u) - (int32_t)(code >> 1 & 1u));
        }
    }
}

static void add_16(int16_t *restrict to, const int8_t *restrict row, uint32_t count, int32_t z)
{
    for (uint32_t i = 0; i < count; i++) {
        to[i] = (int16_t)(to[i] + z * row[i]);
    }
}

static void add_32(int32_t *restrict to, const int8_t *restrict row, uint32_t count, int32_t z)
{
    for (uint32_t i = 0; i < count; i++) {
        to[i] += z * row[i];
    }
}

/* to[target + i] += z * row[i] */
static void add_entries(const snn_plane *to, uint32_t target, const int8_t *row, uint32_t count, int32_t z)
{
    if (to->type == SNN_INT16) {
        add_16((int16_t *)to->data + target, row, count, z);
    } else {
        add_32((int32_t *)to->data + target, row, count, z);
    }
}

/* to[target + i] += z * weight[first + i] for `count` weights. */
static void add_row(const snn_plane *to, uint32_t target, const uint8_t *weights, uint32_t bits, uint32_t first,
                    uint32_t count, int32_t z)
{
    int8_t row[CHUNK];
    if (bits == 8) { /* int8_t is two's complement and may alias uint8_t */
        add_entries(to, target, (const int8_t *)weights + first, count, z);
        return;
    }
    for (uint32_t done = 0; done < count; done += CHUNK) {
        uint32_t n = count - done < CHUNK ? count - done : CHUNK;
        unpack(row, weights, bits, first + done, n);
        add_entries(to, target + done, row, n, z);
    }
}

/* The output position that input position `at` reaches with a tap, or `limit` where there is none. */
static uint32_t reached(uint32_t at, int32_t pad, uint32_t tap, uint32_t dilation, uint32_t stride, uint32_t limit)
{
    int32_t shifted = (int32_t)at + pad - (int32_t)(tap * dilation);
    uint32_t position = (uint32_t)shifted;
    if (shifted < 0 || (stride > 1 && position % stride != 0)) {
        return limit;
    }
    position = stride > 1 ? position / stride : position;
    return position < limit ? position : limit;
}

void snn_conv(const snn_conv_layer *layer, const uint8_t *blob, const snn_plane *from, const snn_plane *to,
              int32_t sign)
{
    const uint8_t *weights = blob + layer->weights;
    uint32_t row_length = layer->out_channels / layer->groups;
    uint32_t group_inputs = layer->channels / layer->groups;
    for (uint32_t i = next_event(from, 0); i < from->size; i = next_event(from, i + 1)) {
        int32_t z = sign * snn_get(from, i);
        uint32_t c = i / layer->channel_stride % layer->channels;
        uint32_t y = i / layer->row_stride % layer->height;
        uint32_t x = i / layer->column_stride % layer->width;
        uint32_t group = c / group_inputs * row_length;
        for (uint32_t ky = 0; ky < layer->kernel_height; ky++) {
            uint32_t oy = reached(y, layer->pad_top, ky, layer->dilation_y, layer->stride_y, layer->out_height);
            if (oy == layer->out_height) {
                continue;
            }
            for (uint32_t kx = 0; kx < layer->kernel_width; kx++) {
                uint32_t ox = reached(x, layer->pad_left, kx, layer->dilation_x, layer->stride_x, layer->out_width);
                if (ox == layer->out_width) {
                    continue;
                }
                uint32_t target = (oy * layer->out_width + ox) * layer->out_channels + group;
                uint32_t first = ((c * layer->kernel_height + ky) * layer->kernel_width + kx) * row_length;
                add_row(to, target, weights, layer->bits, first, row_length, z);
            }
        }
    }
}

static void add_entry(const snn_route_layer *layer, const uint8_t *blob, const snn_plane *from, const snn_plane *to,
                      uint32_t source, uint32_t target)
{
    int32_t value = snn_get(from, source);
    if (value != 0) {
        int32_t scale = layer->scale.bytes ? snn_entry(blob, &layer->scale, target) : 1;
        snn_set(to, target, snn_get(to, target) + layer->factor * scale * value);
    }
}

void snn_route(const snn_route_layer *layer, const uint8_t *blob, const snn_plane *from, const snn_plane *to)
{
    const uint32_t *n = layer->extent;
    if (layer->index.bytes) {
        for (uint32_t i = 0; i < to->size; i++) {
            int32_t source = snn_entry(blob, &layer->index, i);
            if (source >= 0) {
                add_entry(layer, blob, from, to, (uint32_t)source, i);
            }
        }
        return;
    }
    for (uint32_t a = 0; a < n[0]; a++) {
        for (uint32_t b = 0; b < n[1]; b++) {
            for (uint32_t c = 0; c < n[2]; c++) {
                for (uint32_t d = 0; d < n[3]; d++) {
                    const int32_t *f = layer->from_stride, *t = layer->to_stride;
                    int32_t source = (int32_t)a * f[0] + (int32_t)b * f[1] + (int32_t)c * f[2] + (int32_t)d * f[3];
                    int32_t target = (int32_t)a * t[0] + (int32_t)b * t[1] + (int32_t)c * t[2] + (int32_t)d * t[3];
                    add_entry(layer, blob, from, to, (uint32_t)((int32_t)layer->from + source),
                              (uint32_t)((int32_t)layer->to + target));
                }
            }
        }
    }
}

void snn_fire(const snn_neuron_layer *layer, const uint8_t *blob, const snn_plane *current, const snn_plane *membrane,
              const snn_plane *count, const snn_plane *spikes)
{
    uint32_t at = 0;
    snn_clear(spikes);
    for (uint32_t i = 0; i < membrane->size; i++) {
        int32_t threshold = next_entry(blob, &layer->threshold, &at);
        int32_t u = snn_get(membrane, i) + (current ? snn_get(current, i) : 0);
        int32_t n = count ? snn_get(count, i) : 0;
        int32_t high = layer->cap - n < layer->levels ? layer->cap - n : layer->levels;
        int32_t low = layer->negative == SNN_POSITIVE ? 0 : n < layer->levels ? -n : -layer->levels;
        int32_t z = 0;
        if (threshold > 0) {
            while (z < high && u >= threshold) {
                u -= threshold;
                z++;
            }
            while (z <= 0 && z > low && (layer->negative == SNN_EARLY ? u < 0 : u <= -threshold)) {
                u += threshold;
                z--;
            }
        }
        if (z != 0) {
            snn_set(spikes, i, z);
            if (layer->reset_to_zero) {
                u = 0;
            }
            if (count) {
                snn_set(count, i, n + z);
            }
        }
        snn_set(membrane, i, u);
    }
}

void snn_max_pool(const snn_pool_layer *layer, const snn_plane *from, const snn_plane *total, const snn_plane *last,
                  const snn_plane *to)
{
    uint32_t at = 0;
    for (uint32_t i = from ? next_event(from, 0) : 0; from && i < from->size; i = next_event(from, i + 1)) {
        snn_set(total, i, snn_get(total, i) + snn_get(from, i));
    }
    snn_clear(to);
    for (uint32_t oy = 0; oy < layer->out_height; oy++) {
        for (uint32_t ox = 0; ox < layer->out_width; ox++) {
            for (uint32_t c = 0; c < layer->channels; c++, at++) {
                int32_t largest = INT32_MIN;
                for (uint32_t ky = 0; ky < layer->kernel_height; ky++) {
                    int32_t y = (int32_t)(oy * layer->stride_y + ky * layer->dilation_y) - layer->pad_top;
                    for (uint32_t kx = 0; kx < layer->kernel_width; kx++) {
                        int32_t x = (int32_t)(ox * layer->stride_x + kx * layer->dilation_x) - layer->pad_left;
                        if (y >= 0 && x >= 0 && (uint32_t)y < layer->height && (uint32_t)x < layer->width) {
                            int32_t value = snn_get(total, c * layer->channel_stride + (uint32_t)y * layer->row_stride +
                                                               (uint32_t)x * layer->column_stride);
                            largest = value > largest ? value : largest;
                        }
                    }
                }
                snn_set(to, at, largest - snn_get(last, at));
                snn_set(last, at, largest);
            }
        }
    }
}

void snn_rescale(const snn_plane *plane, const uint8_t *blob, const snn_table *scale, const snn_table *shift)
{
    uint32_t at_scale = 0, at_shift = 0;
    for (uint32_t i = 0; i < plane->size; i++) {
        int32_t value = snn_get(plane, i) * next_entry(blob, scale, &at_scale);
        snn_set(plane, i, shift ? value + next_entry(blob, shift, &at_shift) : value);
    }
}

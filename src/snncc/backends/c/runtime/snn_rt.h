/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snn_rt: the runtime of the networks that snncc emits as C. C99; nothing but <stdint.h>; no heap; no floating point.
 *
 * A network's values lie in planes, flat arrays of entries. Layers are driven by events: only entries other than zero
 * cost anything; each adds the weights of the connections that it has to the accumulators of the layer behind it.
 * Parameters are read from one blob, byte by byte and little-endian, so that neither alignment nor the byte order of
 * the processor matters. The widths of accumulators and membranes are chosen by the compiler so that nothing overflows.
 */
#ifndef SNN_RT_H
#define SNN_RT_H

#include <stdint.h>

/* How a plane stores its entries. SNN_BITS: 0 or 1, entry i is bit i % 8 of byte i / 8. SNN_SIGNED_BITS: -1, 0 or 1,
   a bit plane of the positive entries and behind it, from byte (size + 7) / 8 on, one of the negative entries. */
enum { SNN_BITS, SNN_SIGNED_BITS, SNN_UINT8, SNN_INT8, SNN_UINT16, SNN_INT16, SNN_INT32 };

typedef struct {
    void *data;
    uint32_t size; /* entries */
    uint8_t type;
} snn_plane;

/* Integers of the blob: entry i is the signed number of `bytes` bytes at offset + bytes * (i % period).
   bytes = 0: no table. */
typedef struct {
    uint32_t offset;
    uint32_t period;
    uint8_t bytes;
} snn_table;

/* Weights of the blob, packed in 8, 4 or 2 bits; 2 bits: 0, 1 = +1, 2 = -1. Order: (input channel, kernel row,
   kernel column, output channel of the group). A fully connected layer is a convolution of one pixel. */
typedef struct {
    uint32_t channels, height, width;                   /* of the source */
    uint32_t channel_stride, row_stride, column_stride; /* its entry (c, y, x) lies at the sum of their multiples */
    uint32_t out_channels, out_height, out_width;       /* of the target: (y, x, c), contiguous */
    uint32_t groups;
    uint32_t kernel_height, kernel_width;
    uint32_t stride_y, stride_x;
    int32_t pad_top, pad_left;
    uint32_t dilation_y, dilation_x;
    uint32_t weights; /* offset in the blob */
    uint8_t bits;
} snn_conv_layer;

/* Entries added to others along up to four nested loops, or (index.bytes > 0) target entry i takes source entry
   index[i], none where that is negative. */
typedef struct {
    uint32_t extent[4];
    int32_t to_stride[4], from_stride[4];
    uint32_t to, from; /* the first entries */
    int32_t factor;
    snn_table scale; /* by target entry */
    snn_table index;
} snn_route_layer;

enum { SNN_POSITIVE, SNN_EARLY, SNN_SIGNED }; /* negative spikes: none; where u < 0; where u <= -threshold */

typedef struct {
    snn_table threshold; /* 0: the neuron never fires */
    uint8_t negative;
    uint8_t reset_to_zero;
    int32_t levels; /* spikes per step */
    int32_t cap;    /* the largest count; INT32_MAX: none */
} snn_neuron_layer;

typedef struct {
    uint32_t channels, height, width;
    uint32_t channel_stride, row_stride, column_stride;
    uint32_t out_height, out_width; /* the target: (y, x, c), contiguous */
    uint32_t kernel_height, kernel_width;
    uint32_t stride_y, stride_x;
    int32_t pad_top, pad_left;
    uint32_t dilation_y, dilation_x;
} snn_pool_layer;

/* CRC-32 as in zlib, PNG and Ethernet. */
uint32_t snn_crc32(const uint8_t *data, uint32_t size);

int32_t snn_get(const snn_plane *plane, uint32_t i);
void snn_set(const snn_plane *plane, uint32_t i, int32_t value);
int32_t snn_entry(const uint8_t *blob, const snn_table *table, uint32_t i);

/* Every entry becomes 0. */
void snn_clear(const snn_plane *plane);
/* Entry i becomes table[i]. */
void snn_fill(const snn_plane *plane, const uint8_t *blob, const snn_table *table);
/* Entry i becomes entry i * scale[i] + shift[i]; shift = 0: nothing is added. */
void snn_rescale(const snn_plane *plane, const uint8_t *blob, const snn_table *scale, const snn_table *shift);
/* Every event of `from` adds its weights, times `sign`, to the accumulators `to`. */
void snn_conv(const snn_conv_layer *layer, const uint8_t *blob, const snn_plane *from, const snn_plane *to,
              int32_t sign);
/* to[...] += factor * scale * from[...] */
void snn_route(const snn_route_layer *layer, const uint8_t *blob, const snn_plane *from, const snn_plane *to);
/* One step of a layer of neurons: u += current; as many spikes as u >= threshold allows; u -= spikes * threshold.
   current = 0: silence. count (the sum of the spikes so far) is needed for negative spikes and for a cap. */
void snn_fire(const snn_neuron_layer *layer, const uint8_t *blob, const snn_plane *current, const snn_plane *membrane,
              const snn_plane *count, const snn_plane *spikes);
/* Max pooling by events: total += from; to = max(total) - last, over each window; last = max(total).
   from = 0: silence. */
void snn_max_pool(const snn_pool_layer *layer, const snn_plane *from, const snn_plane *total, const snn_plane *last,
                  const snn_plane *to);

#endif

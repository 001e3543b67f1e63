/* Entries taken from elsewhere in the sample (slices, pads, concatenations, reshapes): table -1 leaves them alone. */
#define MOVE(NAME, TYPE)                                                                                              \
    INLINE void NAME(TYPE *restrict out, const TYPE *restrict in, const int32_t *restrict table, int64_t samples,     \
                     int64_t out_size, int64_t in_size, const int clear)                                              \
    {                                                                                                                 \
        _Pragma("omp for schedule(static)") for (int64_t k = 0; k < samples; k++) for (int64_t i = 0; i < out_size;   \
                                                                                         i++)                         \
            if (table[i] >= 0)                                                                                        \
                out[k * out_size + i] = in[k * in_size + table[i]];                                                   \
            else if (clear)                                                                                           \
                out[k * out_size + i] = 0;                                                                            \
    }
MOVE(move_spikes, int8_t)
MOVE(move_values, real)

/* SPDX-License-Identifier: Apache-2.0 */
/* What a firmware does with an emitted network; printf stands for whatever the device does with the answer. */
#include <stdio.h>

#include "snn_model.h"

#include "image.h" /* after snn_model.h: it uses snn_input and SNN_INPUT_SIZE */

int main(void)
{
    int steps;

    /* Once after power-on: is the weight memory intact? Nothing runs on weights that were not checked. */
    if (snn_load(0, 0) != SNN_OK) {
        printf("the weights are damaged\n");
        return 1;
    }

    /* A whole inference. */
    if (snn_run(image, SNN_TIMESTEPS) != SNN_OK) {
        return 1;
    }
    printf("class %u after %u steps\n", (unsigned)snn_argmax(), (unsigned)SNN_TIMESTEPS);

    /* Step by step, with other work in between: the input once, then 0. */
    snn_reset();
    for (uint32_t t = 0; t < SNN_TIMESTEPS; t++) {
        snn_step(t == 0 ? image : 0);
        printf("step %u: class %u\n", (unsigned)t + 1, (unsigned)snn_argmax());
    }

    /* As few steps as need be: stop when the largest output leads by 2,000. 0 would stop when nothing can change the
       answer any more, whatever the input. */
    steps = snn_run_early(image, SNN_TIMESTEPS, 2000);
    printf("class %u after %d steps\n", (unsigned)snn_argmax(), steps);
    return snn_argmax() != LABEL;
}

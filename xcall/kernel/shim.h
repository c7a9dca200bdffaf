/* SPDX-License-Identifier: GPL-2.0 */
#ifndef XCALL_SHIM_H
#define XCALL_SHIM_H

unsigned int xcall_shim_raw_smp_processor_id(void);

#endif

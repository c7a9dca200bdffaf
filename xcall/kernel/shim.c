// SPDX-License-Identifier: GPL-2.0
#include <linux/smp.h>

#include "shim.h"

unsigned int xcall_shim_raw_smp_processor_id(void)
{
	return raw_smp_processor_id();
}
